//! `install` with SteamCMDs that are shell scripts, on real ptys: each way to fail, and what is left afterwards.
//!
//! The command line's tests run the simulated SteamCMD; here time is injected and single properties are looked at.

#![allow(clippy::disallowed_methods, reason = "tests make and damage trees by path")]

mod check;
mod end;
mod failures;
mod passes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use l4d2host::{Error, Host, InstallRequest, Installed, Progress};

/// What the scripts share. A pass' working directory is the installation.
const SHARED: &str = r#"
pass=none
while [ $# -gt 0 ]; do
    [ "$1" = +@sSteamCmdForcePlatformType ] && pass=$2
    shift
done
good() {
    mkdir -p bin
    : > srcds_run
    cat > steamapps/appmanifest_222860.acf <<END
"AppState"
{
	"appid"		"222860"
	"StateFlags"		"${1:-4}"
	"buildid"		"17"
	"SizeOnDisk"		"9913050319"
}
END
    echo "Success! App '222860' fully installed."
}
"#;

/// One SteamCMD for all tests, written before any of them can have forked: a script that a child still has open for
/// writing can't be executed. What it does lies in HOME.
fn steamcmd() -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("steamcmd.sh");
        fs::write(&path, "#!/bin/sh\n. \"$HOME/behaviour.sh\"\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        dir
    });
    dir.path().join("steamcmd.sh")
}

/// A root directory, which is HOME, too, and what SteamCMD does there.
struct Place {
    dir: tempfile::TempDir,
    request: InstallRequest,
}

/// An install that has ended.
struct Ran {
    result: Result<Installed, Error>,
    progress: Vec<Progress>,
}

impl Place {
    /// `before` is what the script does before it looks at its arguments, `then` is what it does then.
    fn new(before: &str, then: &str) -> Self {
        let steamcmd = Some(steamcmd());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("behaviour.sh"), format!("echo >> \"$HOME/runs\"\n{before}\n{SHARED}\n{then}\n"))
            .unwrap();
        let first_pause = Duration::from_millis(1);
        Self { dir, request: InstallRequest { steamcmd, first_pause, ..InstallRequest::default() } }
    }

    fn install(&self) -> Ran {
        let mut progress = Vec::new();
        let host = Host::embedded(self.dir.path()).unwrap();
        let result = host.install(&self.request, &mut |event| progress.push(event.clone()));
        Ran { result, progress }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// How often SteamCMD was run.
    fn runs(&self) -> usize {
        self.read("runs").lines().count()
    }
}

impl Ran {
    fn error(self) -> Error {
        self.result.unwrap_err()
    }

    /// The error's own words and its causes'.
    fn text(self) -> String {
        let error = self.error();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}\n{cause}")
    }

    fn steps(&self) -> Vec<&str> {
        let steps = self.progress.iter().filter_map(|event| match event {
            Progress::Step { step } => Some(step.as_str()),
            _ => None,
        });
        steps.collect()
    }
}
