//! `left4me-launch run NAME | stop [PID]`: the unit's `ExecStart=` and `ExecStop=`, inside its sandbox and without privilege.

#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use left4me_launch::{Error, GRACE, Result, Stopped, exec_game, stop};
use names::InstanceName;
use rustix::process::Pid;

const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_str()).collect();
    let result = match arguments.as_slice() {
        [Some("run"), Some(name)] => run(name).map(|never| match never {}),
        // The unit says `$MAINPID`, which is nothing at all when the game has ended by itself.
        [Some("stop")] => Ok(()),
        [Some("stop"), Some(pid)] => stop_game(pid),
        _ => {
            helper::say("error: usage: left4me-launch run NAME | stop [PID]");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            helper::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str) -> Result<Infallible> {
    let name: InstanceName = name.parse().map_err(|error: names::NameError| Error::new(error.to_string()))?;
    let root = root_directory(Path::new(names::ROOT_FILE))?;
    let merged = root.join("runtime").join(name.as_str()).join("merged");
    let staged = root.join("instances").join(name.as_str()).join("staged");
    check_bound(&[&merged, &staged, &root.join(".steam")], rustix::process::geteuid().as_raw())?;
    exec_game(&merged, &staged.join("launch"))
}

/// Refuses to start the game where the unit's sandbox holds something that is not the service user's.
///
/// systemd makes the unit's binds as root and by path, through links, and the service user can put a link in place of each
/// of these directories (of `merged` from an older mount namespace). A link to a directory that lies behind one of mode
/// 0700 would give the game what that directory keeps from it. Checked here, after the fact, no race is left: the binds of
/// this namespace don't change any more, and nothing but this program has run in it. What does belong to the service user
/// is no gain for him. One that is missing is no danger; whoever needs it says so.
fn check_bound(directories: &[&Path], owner: u32) -> Result<()> {
    for directory in directories {
        match std::fs::metadata(directory) {
            Ok(found) if found.uid() == owner => (),
            Ok(_) => {
                return Err(Error::new(format!(
                    "{} is not the service user's own directory: is there a link in its place?",
                    directory.display()
                )));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            Err(error) => return Err(Error::new(format!("can't check {}: {error}", directory.display()))),
        }
    }
    Ok(())
}

/// The directory that the file at `path` names. The file is root's and hangs together with the unit, so it is believed.
fn root_directory(path: &Path) -> Result<PathBuf> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::new(format!("can't read {}: {error}", path.display())))?;
    match text.strip_suffix('\n') {
        Some(root) if root.starts_with('/') && !root.contains('\n') => Ok(PathBuf::from(root)),
        _ => Err(Error::new(format!("{} is not one absolute path and a newline", path.display()))),
    }
}

/// A game that does not end in time is no failure of this program: systemd then kills what is left (`KillSignal=SIGKILL`)
/// and marks the unit `failed` with the result `signal`, as it does with a service that outlives its own `TimeoutStopSec=`.
/// That is meant: a game that can't be stopped in order may have lost what its plugins wanted to save, and the operator
/// is to see it. This line in the journal says why. The stop itself has succeeded, and nothing restarts.
fn stop_game(pid: &str) -> Result<()> {
    let number: Option<i32> = pid.parse().ok().filter(|&number| number > 1);
    let pid = number.and_then(Pid::from_raw).ok_or_else(|| {
        let begin: String = pid.chars().take(80).collect();
        Error::new(format!("{begin:?} is not the number of a process"))
    })?;
    if stop(pid, GRACE)? == Stopped::StillRuns {
        helper::say(&format!("the game has not ended {} s after SIGINT: it is killed now", GRACE.as_secs()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_file_is_one_absolute_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root");
        for (text, ok) in
            [("/srv/l4d2\n", true), ("/srv/l4d2", false), ("srv\n", false), ("/a\n/b\n", false), ("", false)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(root_directory(&path).is_ok(), ok, "{text:?}");
        }
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (own, missing) = (directory.path().join("own"), directory.path().join("missing"));
        std::fs::create_dir(&own).unwrap();
        let uid = std::fs::metadata(&own).unwrap().uid();
        check_bound(&[&own, &missing], uid).unwrap();
        let error = check_bound(&[&missing, &own], uid + 1).unwrap_err().to_string();
        assert!(error.contains(own.to_str().unwrap()), "{error}");
    }

    #[test]
    fn only_a_process_number_is_taken() {
        for pid in ["", "0", "1", "-1", "x", "1 2", "99999999999"] {
            assert!(stop_game(pid).is_err(), "{pid:?}");
        }
    }
}
