//! Where the lines that were typed are kept: `$XDG_STATE_HOME/left4me/console/NAME`, or below `~/.local/state`, which is
//! where the XDG base directories want what a program remembers and could lose. It is the user's and not the instance's:
//! a copy of the root directory tells nobody what was typed. For who calls us as root, it is the service user's.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use l4d2host::{Account, Error};
use names::InstanceName;

/// The file of an instance; its directory is made if it is missing.
pub(super) fn file(name: &InstanceName) -> Result<PathBuf, Error> {
    let directory = state_home()?.join("left4me/console");
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(|error| Error::io(format!("can't make {}", directory.display()), error))?;
    Ok(directory.join(name.as_str()))
}

fn state_home() -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let set = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    match set("HOME") {
        // Another's is left alone, and so is what else the environment says: we have become somebody else.
        Some(home) if std::fs::metadata(&home).is_ok_and(|metadata| metadata.uid() == uid) => {
            Ok(set("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")))
        }
        _ => Ok(Account::by_uid(uid)?.home.join(".local/state")),
    }
}

/// Whether a line may be kept: what somebody wants forgotten begins with a space, as shells have it, and a password is
/// nobody's to find.
pub(super) fn may_keep(line: &str) -> bool {
    !line.starts_with(' ') && !line.trim().is_empty() && !line.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept() {
        assert!(may_keep("status") && may_keep("say x"));
        for line in [" status", "", "  ", "rcon_password x", "say a; SV_Password \"x\""] {
            assert!(!may_keep(line), "{line}");
        }
    }
}
