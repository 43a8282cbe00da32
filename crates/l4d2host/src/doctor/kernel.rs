//! What the kernel must be able to do. Tried, not guessed from versions; where it can't be tried, what is known is said.

use std::fs;
use std::path::Path;

use overlay::beneath::Dir;

use super::{Finding, Lack, lack};
use crate::Result;
use crate::embedded::{Probe, probe};

const MODPROBE: &str = "sudo modprobe overlay (Linux 6.8 or newer is needed: Debian 13 has 6.12)";

/// `overlayfs` and `user-namespaces`, in this order; they are tried together.
pub(super) fn look(root: Option<&Dir>) -> (Finding, Finding) {
    // Without a root directory, or one that can't be written to, there is no place to try it in.
    match root.map(try_it) {
        Some(Ok(Probe::Mounts)) => (Ok("a mount was tried".to_owned()), Ok("tried".to_owned())),
        Some(Ok(Probe::NoMount(why))) => (Err(no_mount(why)), Ok("tried".to_owned())),
        Some(Ok(Probe::NoNamespaces(why))) => {
            (overlayfs(), Err(forbidden().unwrap_or(Lack { found: why, fix: CONTAINER.to_owned() })))
        }
        Some(Err(_)) | None => {
            (overlayfs(), forbidden().map_or_else(|| Ok("not forbidden (not tried)".to_owned()), Err))
        }
    }
}

/// Several doctors may look at the same time.
fn try_it(root: &Dir) -> Result<Probe> {
    probe(&root.open_dir("tmp")?, &format!("doctor-{}", std::process::id()))
}

fn no_mount(why: String) -> Lack {
    let fix =
        if why.contains("lies on an overlay") { "put the root directory (LEFT4ME_ROOT) on a volume" } else { MODPROBE };
    Lack { found: why, fix: fix.to_owned() }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Whether there is any overlayfs: whether it is one that will do, only a mount can tell.
fn overlayfs() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let known = read("/proc/filesystems").is_some_and(|text| text.lines().any(|line| line.ends_with("\toverlay")));
    let module = Path::new(&format!("/lib/modules/{release}/kernel/fs/overlayfs")).is_dir();
    if known || module {
        Ok(format!("Linux {release} has it (not tried)"))
    } else {
        lack(format!("Linux {release} has no overlayfs"), MODPROBE)
    }
}

/// What to do where no setting forbids it.
const CONTAINER: &str = "allow user namespaces in the container's seccomp or AppArmor profile";

/// The settings that forbid user namespaces, and the value that does.
const FORBIDDEN: [(&str, &str, &str); 4] = [
    ("user.max_user_namespaces", "0", "10000"),
    ("user.max_mnt_namespaces", "0", "10000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
];

fn forbidden() -> Option<Lack> {
    FORBIDDEN.into_iter().find_map(|(key, forbids, allows)| {
        let value = read(&format!("/proc/sys/{}", key.replace('.', "/")));
        let found = format!("{key} is {forbids}");
        (value.as_deref() == Some(forbids)).then(|| Lack { found, fix: format!("sudo sysctl {key}={allows}") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_directory_on_an_overlay_is_not_the_kernel_s_fault() {
        assert!(no_mount("/r/upper lies on an overlay, which can't hold an upper".to_owned()).fix.contains("volume"));
        assert_eq!(no_mount("this kernel has no overlayfs".to_owned()).fix, MODPROBE);
    }
}
