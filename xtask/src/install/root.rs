//! Which directory may be the root directory: it becomes the service user's, so a wrong one would give away the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{USER, plain_path};

/// The same as `names::DEFAULT_ROOT`.
const DEFAULT: &str = "/var/lib/left4me";

/// What the helpers are told is the root directory.
pub(super) const ROOT_FILE: &str = "/etc/left4me/root";

/// The host's own, gone at reboot, replaced in every unit (`PrivateTmp=`), or closed to all but root.
const NEVER_BELOW: [&str; 15] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp",
    "/usr", "/var/tmp",
];

/// Directories that hold other people's.
const NEVER_ITSELF: [&str; 11] = [
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/srv",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/local",
];

/// The root directory of the installation that is there, if one is.
pub(super) fn installed() -> Option<PathBuf> {
    let text = fs::read_to_string(ROOT_FILE).ok()?;
    plain_path(Path::new(text.trim_end())).ok()
}

/// What holds where nothing was said: an update keeps the directory that it finds, a package knows of none.
pub(super) fn default(for_this_host: bool) -> PathBuf {
    installed().filter(|_| for_this_host).unwrap_or_else(|| PathBuf::from(DEFAULT))
}

/// What a path tells by itself, also when it is for another host (`--destdir`).
pub(super) fn check_path(root: &Path) -> Result<()> {
    let never =
        NEVER_BELOW.iter().any(|dir| root.starts_with(dir)) || NEVER_ITSELF.iter().any(|dir| root == Path::new(dir));
    ensure!(!never, "{} can't be the root directory: it would become the service user's", root.display());
    Ok(())
}

/// What only this host tells: whose the directory, the ways to it and the user's home are.
pub(super) fn check_host(root: &Path) -> Result<()> {
    if let Some(old) = installed().filter(|old| old != root) {
        bail!("left4me is installed for {}; `cargo xtask uninstall` first, it leaves the directory", old.display());
    }
    // A game looks for Steam's library in the home, and the unit shows the root directory's.
    if let Some(home) = home_of(&fs::read_to_string("/etc/passwd").context("can't read /etc/passwd")?, USER)
        && Path::new(home) != root
    {
        bail!("the home of {USER} is {home}; `usermod --home {} {USER}` first", root.display());
    }
    for ancestor in root.ancestors().skip(1) {
        check_ancestor(ancestor)?;
    }
    match fs::metadata(root) {
        Ok(found) if found.is_dir() => check_ours(root, found.uid()),
        Ok(_) => bail!("{} is not a directory", root.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("can't look at {}", root.display())),
    }
}

/// Whoever can write to a directory above the root directory can put another in its place, which root would then mount
/// from; and the service user must be able to pass.
fn check_ancestor(ancestor: &Path) -> Result<()> {
    match fs::metadata(ancestor) {
        Ok(found) => {
            let sound = found.is_dir() && found.uid() == 0 && found.mode() & 0o022 == 0 && found.mode() & 0o001 != 0;
            ensure!(sound, "{} is not a directory that only root can write to and all can pass", ancestor.display());
            Ok(())
        }
        // It will be made, root's and mode 0755.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("can't look at {}", ancestor.display())),
    }
}

/// A directory that is there must be the service user's already, or empty (a new file system's is but for one).
fn check_ours(root: &Path, owner: u32) -> Result<()> {
    let passwd = fs::read_to_string("/etc/passwd").context("can't read /etc/passwd")?;
    if uid_of(&passwd, USER) == Some(owner) {
        return Ok(());
    }
    for entry in fs::read_dir(root).with_context(|| format!("can't list {}", root.display()))? {
        let name = entry?.file_name();
        ensure!(
            name == "lost+found",
            "{} has {} in it and is not {USER}'s: name a new directory",
            root.display(),
            name.display()
        );
    }
    Ok(())
}

fn fields<'a>(passwd: &'a str, user: &str) -> Option<Vec<&'a str>> {
    passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&user))
}

fn uid_of(passwd: &str, user: &str) -> Option<u32> {
    fields(passwd, user)?.get(2)?.parse().ok()
}

fn home_of<'a>(passwd: &'a str, user: &str) -> Option<&'a str> {
    fields(passwd, user)?.get(5).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_directories_are_refused() {
        for path in
            ["/etc", "/etc/left4me", "/usr", "/usr/local/games", "/var/lib", "/home", "/tmp/x", "/run/x", "/root/x"]
        {
            assert!(check_path(Path::new(path)).is_err(), "{path} was taken");
        }
        for path in ["/var/lib/left4me", "/srv/l4d2", "/home/l4d2", "/games", "/etcetera", "/data/l4d2"] {
            check_path(Path::new(path)).unwrap();
        }
    }

    #[test]
    fn a_user_in_passwd() {
        let passwd = "root:x:0:0::/root:/bin/sh\nleft4me2:x:7:7::/b:/x\nleft4me:x:996:996:L:/srv/l:/usr/sbin/nologin\n";
        assert_eq!((uid_of(passwd, "left4me"), home_of(passwd, "left4me")), (Some(996), Some("/srv/l")));
        assert_eq!(home_of(passwd, "left4"), None);
    }

    #[test]
    fn an_ancestor_that_others_can_write_to_is_refused() {
        assert!(check_ancestor(Path::new("/tmp")).is_err());
        check_ancestor(Path::new("/var/lib")).unwrap();
        check_ancestor(Path::new("/there/is/no/such/directory")).unwrap();
    }
}
