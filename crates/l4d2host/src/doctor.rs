//! `doctor`: what the host must provide, and how to provide it. The one place that preflights anything.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::supervisor::systemd;
use crate::{Host, SupervisorKind};

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

/// A check's finding: what is there, or what is not.
type Finding = std::result::Result<String, String>;

impl Host {
    /// Looks at everything; changes nothing.
    pub fn doctor(&self) -> Vec<Check> {
        let systemd = self.supervisor_kind() == SupervisorKind::Systemd;
        let check = |id, what, needed: bool, finding: Finding, fix: &str| {
            let missing = if needed { CheckState::Missing } else { CheckState::Optional };
            let state = if finding.is_ok() { CheckState::Ok } else { missing };
            let fix = finding.is_err().then(|| fix.to_owned());
            Check { id, what, state, found: finding.unwrap_or_else(|why| why), fix }
        };
        let install = "sudo cargo xtask install";
        let own = format!("sudo chown -R left4me: {}", self.root().display());
        vec![
            check(
                "overlayfs",
                "kernel overlayfs",
                true,
                overlayfs(),
                "sudo modprobe overlay (Linux 6.8 or newer is needed)",
            ),
            check(
                "user-namespaces",
                "user namespaces",
                !systemd,
                user_namespaces(),
                "sudo sysctl user.max_user_namespaces=10000",
            ),
            check("root", "root directory", true, self.check_root(), &own),
            check("installation", "the game", true, self.check_game(), "l4d2ctl install"),
            check("disk", "disk space", true, self.check_disk(), "make room: a fresh installation takes 12 GiB"),
            check("steamcmd", "SteamCMD", false, steamcmd(), "sudo apt install steamcmd (non-free, i386)"),
            check(
                "lib32",
                "32-bit libraries",
                false,
                lib32(),
                "sudo dpkg --add-architecture i386 && sudo apt install libc6:i386 lib32gcc-s1",
            ),
            check("steam-client", "~/.steam", false, steam_client(self.home()), "l4d2ctl install"),
            check("unit", "systemd unit", systemd, unit(), install),
            check("helpers", "root helpers", systemd, helpers(), install),
            check("sudo", "sudo rules", systemd, sudo_rules(), install),
        ]
    }

    fn check_root(&self) -> Finding {
        match self.open_for_reading() {
            Ok(_) => Ok(format!("{} belongs to whoever runs this", self.root().display())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn check_game(&self) -> Finding {
        let path = self.root().join("installation/srcds_run");
        if path.is_file() { Ok(format!("{}", path.display())) } else { Err(format!("{} is not there", path.display())) }
    }

    fn check_disk(&self) -> Finding {
        let dir = self.open_for_reading().map_err(|error| error.to_string())?;
        let answer = rustix::fs::fstatvfs(&dir).map_err(|errno| errno.to_string())?;
        let free = answer.f_bavail.saturating_mul(answer.f_frsize) >> 20;
        let found = format!("{free} MiB free");
        // With the game in place a server needs next to nothing.
        let wanted = if self.check_game().is_ok() { 256 } else { 12 << 10 };
        if free >= wanted { Ok(found) } else { Err(found) }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// What can be known without mounting: the module is there, and the kernel is one that has `lowerdir+` and unique mount
/// ids. The mount itself tries, and never compares versions.
fn overlayfs() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 8) {
        return Err(format!("Linux {release} is too old"));
    }
    let known = read("/proc/filesystems").is_some_and(|text| text.lines().any(|line| line.ends_with("\toverlay")));
    let module = Path::new(&format!("/lib/modules/{release}/kernel/fs/overlayfs")).is_dir();
    if known || module { Ok(format!("Linux {release}")) } else { Err(format!("Linux {release} has no overlayfs")) }
}

fn user_namespaces() -> Finding {
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return Err("user.max_user_namespaces is 0".to_owned());
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Err("kernel.unprivileged_userns_clone is 0".to_owned());
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Err("kernel.apparmor_restrict_unprivileged_userns is 1".to_owned());
    }
    Ok("allowed".to_owned())
}

fn steamcmd() -> Finding {
    crate::steam::find_steamcmd(None).map(|path| path.display().to_string()).map_err(|error| error.to_string())
}

fn lib32() -> Finding {
    let loaders = ["/lib/ld-linux.so.2", "/lib/i386-linux-gnu/ld-linux.so.2"];
    match loaders.into_iter().find(|path| Path::new(path).exists()) {
        Some(path) => Ok(path.to_owned()),
        None => Err("no 32-bit loader".to_owned()),
    }
}

fn steam_client(home: Option<PathBuf>) -> Finding {
    let home = home.ok_or("there is no home directory")?;
    let missing = |sdk: &&str| !home.join(".steam").join(sdk).join("steamclient.so").is_file();
    match ["sdk32", "sdk64"].into_iter().find(missing) {
        Some(sdk) => Err(format!("{}/.steam/{sdk} has no steamclient.so", home.display())),
        None => Ok(format!("{}/.steam", home.display())),
    }
}

fn unit() -> Finding {
    match systemd::installed_prefix() {
        Some(prefix) => Ok(format!("installed in {}", prefix.display())),
        None => Err("systemd is not running, or the unit is not installed".to_owned()),
    }
}

/// The helpers must be root's alone: whoever can write one is root.
fn helpers() -> Finding {
    let prefix = systemd::installed_prefix().ok_or("not installed")?;
    let dir = prefix.join("libexec/left4me");
    for name in ["left4me-overlay", "left4me-systemctl", "left4me-journalctl", "left4me-launch"] {
        let path = dir.join(name);
        let metadata = fs::symlink_metadata(&path).map_err(|_| format!("{} is not there", path.display()))?;
        if metadata.uid() != 0 || metadata.permissions().mode() & 0o022 != 0 || !metadata.is_file() {
            return Err(format!("{} is not root's alone", path.display()));
        }
    }
    Ok(dir.display().to_string())
}

fn sudo_rules() -> Finding {
    let prefix = systemd::installed_prefix().ok_or("not installed")?;
    for (helper, args) in [
        ("left4me-systemctl", &["show", "doctor"][..]),
        ("left4me-journalctl", &["doctor", "--lines", "1", "--no-follow"]),
    ] {
        let mut sudo = crate::process::command("/usr/bin/sudo");
        sudo.args(["-n", "-l"]).arg(prefix.join("libexec/left4me").join(helper)).args(args);
        match sudo.output() {
            Ok(output) if output.status.success() => {}
            Ok(_) => return Err(format!("this user may not call {helper} without a password")),
            Err(error) => return Err(format!("can't run sudo: {error}")),
        }
    }
    Ok("both helpers can be called".to_owned())
}
