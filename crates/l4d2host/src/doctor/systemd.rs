//! What the systemd supervisor needs: the unit, root's helpers, and the rules that let this user call them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, Lack, lack};
use crate::supervisor::systemd;

const INSTALL: &str = "sudo cargo xtask install";
const NOT_INSTALLED: &str = "systemd does not run here, or left4me is not installed";

fn prefix() -> std::result::Result<PathBuf, Lack> {
    match systemd::installed_prefix() {
        Ok(Some(prefix)) => Ok(prefix),
        Ok(None) => Err(Lack { found: NOT_INSTALLED.to_owned(), fix: INSTALL.to_owned() }),
        Err(error) => Err(Lack { found: error.to_string(), fix: INSTALL.to_owned() }),
    }
}

pub(super) fn unit() -> Finding {
    let prefix = prefix()?;
    let path = prefix.join(systemd::UNIT);
    match (check_roots_alone(&path), fs::read_to_string(&path)) {
        (Err(why), _) => lack(why, INSTALL),
        (_, Err(error)) => lack(format!("can't read {}: {error}", path.display()), INSTALL),
        (_, Ok(text)) if !runs_helpers_of(&text, &prefix) => {
            lack(format!("{} runs helpers of another prefix", path.display()), INSTALL)
        }
        _ => Ok(path.display().to_string()),
    }
}

/// A unit and helpers from different installs may not fit together.
fn runs_helpers_of(unit: &str, prefix: &Path) -> bool {
    let launch = prefix.join("libexec/left4me/left4me-launch");
    unit.lines()
        .any(|line| line.strip_prefix("ExecStart=").is_some_and(|line| line.starts_with(&*launch.to_string_lossy())))
}

/// The helpers must be root's alone: whoever can write one is root.
pub(super) fn helpers() -> Finding {
    let prefix = prefix()?;
    let dir = prefix.join("libexec/left4me");
    let names = ["left4me-overlay", "left4me-systemctl", "left4me-journalctl", "left4me-launch"];
    let files = names.iter().map(|name| dir.join(name));
    // Nor may others be able to put another one in its place.
    for path in [dir.clone(), names::ROOT_FILE.into()].into_iter().chain(files.clone()) {
        if let Err(why) = check_roots_alone(&path) {
            return lack(why, INSTALL);
        }
    }
    for path in files {
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() || metadata.mode() & 0o111 == 0) {
            return lack(format!("{} is not an executable file", path.display()), INSTALL);
        }
    }
    Ok(dir.display().to_string())
}

fn check_roots_alone(path: &Path) -> std::result::Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|_| format!("{} is not there", path.display()))?;
    if metadata.uid() == 0 && metadata.mode() & 0o022 == 0 && !metadata.is_symlink() {
        return Ok(());
    }
    Err(format!("{} is not root's alone", path.display()))
}

pub(super) fn sudo_rules() -> Finding {
    let prefix = prefix()?;
    for (helper, args) in [
        ("left4me-systemctl", &["show", "doctor"][..]),
        ("left4me-journalctl", &["doctor", "--lines", "1", "--no-follow"]),
    ] {
        let mut sudo = crate::process::command("/usr/bin/sudo");
        sudo.args(["-n", "-l"]).arg(prefix.join("libexec/left4me").join(helper)).args(args);
        match sudo.output() {
            Ok(output) if output.status.success() => {}
            Ok(_) => return lack(format!("this user may not call {helper} without a password"), INSTALL),
            Err(error) => return lack(format!("can't run sudo: {error}"), "apt install sudo, as root"),
        }
    }
    Ok("both helpers can be called".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_of_another_prefix() {
        let unit = "[Service]\nExecStart=/usr/libexec/left4me/left4me-launch run %i\n";
        assert!(runs_helpers_of(unit, Path::new("/usr")) && !runs_helpers_of(unit, Path::new("/usr/local")));
    }

    #[test]
    fn root_s_alone() {
        let mine = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(mine.path(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        assert!(check_roots_alone(mine.path()).unwrap_err().contains("not root's alone"));
        assert!(check_roots_alone(Path::new("/nowhere/x")).unwrap_err().contains("is not there"));
        assert_eq!(check_roots_alone(Path::new("/usr")), Ok(()));
    }
}
