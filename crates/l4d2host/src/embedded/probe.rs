//! Trying, for `doctor` and before an update, what a start needs: namespaces, and an overlay in them below this root
//! directory. No version is compared, and nothing is left.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use names::Layer;
use overlay::beneath::Dir;
use overlay::mount::Detached;
use overlay::stack::Stack;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::mounts::explain;
use super::namespaces::unshare;
use crate::{Error, ErrorKind, Result};

/// What the child says; only that counts, as a program without [`super::run_if_called`] may well exit with 0.
const ENTERED: &str = "namespaces\n";
const MOUNTED: &str = "overlay\n";

/// It takes milliseconds.
const LIMIT: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How far it came.
#[derive(Debug)]
pub(crate) enum Probe {
    /// Both are to be had.
    Mounts,
    /// Namespaces are, and mounting is not.
    NoMount(String),
    /// There are no namespaces for this user.
    NoNamespaces(String),
}

/// Tries, in a process of its own: who enters a user namespace can't leave it. `name` is for a directory in `place`, which
/// is gone afterwards.
pub(crate) fn probe(place: &Dir, name: &str) -> Result<Probe> {
    // Of a try that was killed.
    place.remove(name)?;
    let dir = place.create_dir(name, 0o700)?;
    let tried = ["lower", "upper", "work", "merged"].iter().try_for_each(|part| dir.create_dir(part, 0o700).map(drop));
    let said = tried.map_err(Error::from).and_then(|()| ask(Path::new(dir.label())));
    place.remove(name)?;
    let said = said?;
    match said.strip_prefix(ENTERED) {
        Some(MOUNTED) => Ok(Probe::Mounts),
        Some(why) => Ok(Probe::NoMount(why.trim().to_owned())),
        None if said.is_empty() => Err(Error::new(ErrorKind::Unsupported, "this program can't try it")),
        None => Ok(Probe::NoNamespaces(said.trim().to_owned())),
    }
}

fn ask(dir: &Path) -> Result<String> {
    let failed = |e| Error::io("can't try namespaces", e);
    let mut command = crate::process::command("/proc/self/exe");
    command.arg("supervise-probe").arg(dir).current_dir("/").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(|errno| failed(errno.into()))?;
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&LIMIT));
    if !matches!(ended, Ok(1..)) {
        child.kill().map_err(failed)?;
    }
    child.wait().map_err(failed)?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(4096).read_to_string(&mut said).map_err(failed)?;
    }
    Ok(said)
}

/// The child.
pub(super) fn run(dir: &OsStr) -> ExitCode {
    let tell = |text: &str| {
        // Whoever does not listen any more has no use for it.
        let _ = std::io::stdout().write_all(text.as_bytes());
    };
    let tried = unshare().and_then(|()| {
        tell(ENTERED);
        mount(Path::new(dir))
    });
    match tried {
        Ok(()) => {
            tell(MOUNTED);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&super::init::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The same code as a start's; the mount hangs nowhere and is gone at once.
fn mount(dir: &Path) -> Result<()> {
    let dir = Dir::open_root(dir)?;
    let stack = Stack {
        source: "left4me-doctor".to_owned(),
        layers: vec![(Layer::Installation, dir.open_place("lower")?)],
        upper: dir.open_dir("upper")?,
        work: dir.open_dir("work")?,
        merged: dir.open_dir("merged")?,
        runtime: dir,
    };
    Detached::create(&stack).map(drop).map_err(|error| explain(error, &stack))
}
