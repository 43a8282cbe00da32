//! What the systemd supervisor needs: the unit, root's helpers, and the rules that let this user call them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, Lack, lack};
use crate::supervisor::systemd;

const INSTALL: &str = "sudo cargo xtask install";
const NOT_INSTALLED: &str = "systemd does not run here, or left4me is not installed";

/// Where left4me is installed from source by default, and by the package. Systemd takes the unit of the first.
const SOURCE: &str = "/usr/local";
const PACKAGE: &str = "/usr";

fn prefix() -> std::result::Result<PathBuf, Lack> {
    match systemd::installed_prefix() {
        Ok(Some(prefix)) => Ok(prefix),
        Ok(None) => Err(Lack {
            found: NOT_INSTALLED.to_owned(),
            fix: format!("sudo apt install ./left4me_VERSION_amd64.deb, or from source {INSTALL}"),
        }),
        Err(error) => Err(Lack { found: error.to_string(), fix: INSTALL.to_owned() }),
    }
}

/// What brings the files of a prefix back.
fn install_again(prefix: &Path) -> &'static str {
    if prefix == Path::new(PACKAGE) { "sudo apt install --reinstall ./left4me_VERSION_amd64.deb" } else { INSTALL }
}

/// `root` is where the helpers are told that the root directory is.
pub(super) fn unit(root: &Path) -> Finding {
    let prefix = prefix()?;
    let path = prefix.join(systemd::UNIT);
    match (check_roots_alone(&path), fs::read_to_string(&path)) {
        (Err(why), _) => lack(why, install_again(&prefix)),
        (_, Err(error)) => lack(format!("can't read {}: {error}", path.display()), install_again(&prefix)),
        (_, Ok(text)) if !runs_helpers_of(&text, &prefix) => {
            lack(format!("{} runs helpers of another prefix", path.display()), install_again(&prefix))
        }
        (_, Ok(text)) => match root_of(&text) {
            Some(of_unit) if of_unit != root => another_root(&prefix, &path, of_unit, root),
            _ => server_root(&text).map(|()| path.display().to_string()),
        },
    }
}

/// What each server's own root is mounted on: without it systemd fails before the first program, and names only the path.
fn server_root(unit: &str) -> std::result::Result<(), Lack> {
    let Some(place) = unit.lines().find_map(|line| line.strip_prefix("RootDirectory=")) else { return Ok(()) };
    if Path::new(place).is_dir() {
        return Ok(());
    }
    let fix = "sudo systemd-tmpfiles --create left4me.conf".to_owned();
    Err(Lack { found: format!("{place} is missing, on which each server gets a root of its own"), fix })
}

/// The root directory that a unit was installed for.
fn root_of(unit: &str) -> Option<&Path> {
    unit.lines().find_map(|line| line.strip_prefix("BindPaths=")?.strip_suffix("/runtime/%i/merged")).map(Path::new)
}

/// The unit has its root directory written into it: the root file alone can't change it.
fn another_root(prefix: &Path, unit: &Path, of_unit: &Path, root: &Path) -> Finding {
    let found =
        format!("{} is for {}, and {} names {}", unit.display(), of_unit.display(), names::ROOT_FILE, root.display());
    if prefix != Path::new(PACKAGE) {
        return lack(found, INSTALL);
    }
    lack(
        found,
        format!(
            "echo {0} | sudo tee {1}, and mount another disk at {0} where it is to be on one",
            of_unit.display(),
            names::ROOT_FILE
        ),
    )
}

/// One installation from source and one by the package work side by side, but they may be of different versions, and only one
/// of them is what systemd runs.
pub(super) fn single() -> Finding {
    let prefix = prefix()?;
    let both = [SOURCE, PACKAGE].map(Path::new);
    for other in both {
        if !systemd::is_there(&other.join(systemd::UNIT))
            .map_err(|e| Lack { found: e.to_string(), fix: INSTALL.to_owned() })?
        {
            return Ok(format!("one, in {}", prefix.display()));
        }
    }
    lack(
        format!(
            "two: from source in {SOURCE}, whose units systemd uses, and the package in {PACKAGE}; this l4d2ctl calls the \
             helpers in {}",
            prefix.display()
        ),
        "sudo cargo xtask uninstall to go on with the package, or sudo apt remove left4me; each keeps the data",
    )
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
            return lack(why, install_again(&prefix));
        }
    }
    for path in files {
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() || metadata.mode() & 0o111 == 0) {
            return lack(format!("{} is not an executable file", path.display()), install_again(&prefix));
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
            Ok(_) => {
                return lack(format!("this user may not call {helper} without a password"), install_again(&prefix));
            }
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
    fn a_unit_of_another_root_directory() {
        let unit = include_str!("../../../../dist/systemd/system/left4me-server@.service");
        let filled = unit.replace("@ROOT@", "/var/lib/left4me");
        assert_eq!(root_of(&filled), Some(Path::new("/var/lib/left4me")));
        let lack = |prefix: &str| {
            another_root(Path::new(prefix), Path::new("/u"), Path::new("/var/lib/left4me"), Path::new("/srv/x"))
                .unwrap_err()
        };
        assert!(lack("/usr").fix.starts_with("echo /var/lib/left4me | sudo tee /etc/left4me/root"));
        assert!(lack("/usr").found.contains("names /srv/x"));
        assert_eq!(lack("/usr/local").fix, INSTALL);
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
