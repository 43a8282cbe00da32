//! `doctor`: what the host must provide, and how to provide it. The one place that preflights anything.

mod kernel;
mod steam;
mod systemd;

use overlay::beneath::Dir;
use serde::Serialize;

use crate::{Error, Host, SupervisorKind};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// It is there.
    Ok,
    /// It is needed and not there.
    Missing,
    /// It is not there, and the supervisor in use does without.
    Optional,
}

impl CheckState {
    /// The word as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Optional => "optional",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// A word for programs.
    pub id: &'static str,
    /// A word for people.
    pub what: &'static str,
    /// How it ended.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// The command that mends it.
    pub fix: Option<String>,
}

/// What is not there, and the command that mends it.
#[derive(Debug, PartialEq, Eq)]
struct Lack {
    found: String,
    fix: String,
}

/// What is there, or what is not.
type Finding = std::result::Result<String, Lack>;

fn lack(found: impl Into<String>, fix: impl Into<String>) -> Finding {
    Err(Lack { found: found.into(), fix: fix.into() })
}

impl Host {
    /// Looks at everything and leaves nothing. What the supervisor in use does without is at most optional.
    pub fn doctor(&self) -> Vec<Check> {
        let systemd = self.supervisor_kind() == SupervisorKind::Systemd;
        let root = self.open_for_reading();
        let (overlayfs, namespaces) = kernel::look(root.as_ref().ok());
        let on_root = |look: &dyn Fn(&Dir) -> Finding| match &root {
            Ok(root) => look(root),
            Err(error) => lack("there is no root directory to look in", mends(error)),
        };
        let installation = on_root(&steam::installation);
        let disk = on_root(&|root| steam::disk(root, installation.is_ok()));
        let owner = match &root {
            Ok(root) => Ok(format!("{} belongs to whoever runs this", root.label())),
            Err(error) => lack(error.to_string(), mends(error)),
        };
        vec![
            check("overlayfs", "kernel overlayfs", true, overlayfs),
            check("user-namespaces", "user namespaces", !systemd, namespaces),
            check("root", "root directory", true, owner),
            check("installation", "the game", true, installation),
            check("disk", "disk space", true, disk),
            check("steamcmd", "SteamCMD", false, steam::steamcmd()),
            check("lib32", "32-bit libraries", false, steam::lib32()),
            check("steam-client", "~/.steam", false, steam::client(self.home())),
            check("unit", "systemd unit", systemd, systemd::unit(self.root())),
            check("helpers", "root helpers", systemd, systemd::helpers()),
            check("sudo", "sudo rules", systemd, systemd::sudo_rules()),
            check("installations", "installations", systemd, systemd::single()),
        ]
    }
}

/// Errors about the root directory know who may use it or how it is made.
fn mends(error: &Error) -> String {
    error
        .hint_text()
        .unwrap_or("sudo apt install ./left4me_VERSION_amd64.deb, or from source sudo cargo xtask install")
        .to_owned()
}

fn check(id: &'static str, what: &'static str, needed: bool, finding: Finding) -> Check {
    let missing = if needed { CheckState::Missing } else { CheckState::Optional };
    match finding {
        Ok(found) => Check { id, what, state: CheckState::Ok, found, fix: None },
        Err(Lack { found, fix }) => Check { id, what, state: missing, found, fix: Some(fix) },
    }
}
