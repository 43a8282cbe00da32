//! What a machine needs on this one (a directory, cgroups, mounts and processes), by name, so that it can be removed
//! also after a run that was killed: each name has the process in it that made it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::build::{project, succeed};

const PREFIX: &str = "left4me-machine-";

/// A machine's root directory, in its directory.
pub(super) const TREE: &str = "rootfs";

/// Machines of this process, to tell them apart.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Where machines lie, and what they are copied from.
pub(super) fn directory() -> PathBuf {
    project().join("target/machines")
}

pub(super) fn new_name() -> String {
    format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Where a machine's cgroups are: both hierarchies that systemd uses if this machine's own layout is the hybrid one.
pub(super) fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    ["unified", "systemd"].map(|name| root.join(name)).into_iter().filter(|path| path.is_dir()).collect()
}

/// What machines of a process left, or of all processes that are no more.
pub(crate) fn leftovers(of: Option<u32>) -> Vec<String> {
    let is_left = |path: &PathBuf| match (maker(path), of) {
        (Some(maker), Some(of)) => maker == of,
        (Some(maker), None) => !Path::new(&format!("/proc/{maker}")).exists(),
        (None, _) => false,
    };
    let files = places().into_iter().filter(is_left).map(|path| path.display().to_string());
    let own = of.map(|of| directory().join(format!("{PREFIX}{of}-")).display().to_string());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_ours = |line: &&str| own.as_ref().is_some_and(|own| line.contains(own.as_str()));
    let mounted = mounts.lines().filter(is_ours).map(str::to_owned).collect::<Vec<_>>();
    files.chain(mounted).chain(processes(own.as_deref())).collect()
}

/// Removes what processes left that are no more.
pub(crate) fn remove_leftovers() {
    for path in leftovers(None).iter().map(Path::new) {
        if path.starts_with("/sys/fs/cgroup") {
            remove_cgroup(path);
        } else {
            remove(path);
        }
    }
}

/// Removes a machine's directory, unless it is to be looked at. Best effort: the next run tries again.
pub(super) fn remove(work: &Path) {
    // A disk that was booted is mounted there.
    if is_mounted(&work.join(TREE)) {
        let _ = succeed(Command::new("umount").arg(work.join(TREE)));
    }
    if std::env::var_os("LEFT4ME_KEEP_MACHINES").is_none() {
        let _ = succeed(Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(work));
    }
}

fn is_mounted(path: &Path) -> bool {
    mount_points().iter().any(|at| at == path)
}

/// Whatever is mounted below a directory.
pub(super) fn mounted_below(path: &Path) -> Option<PathBuf> {
    mount_points().into_iter().find(|at| at != path && at.starts_with(path))
}

fn mount_points() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(4).map(PathBuf::from)).collect()
}

/// Removes a cgroup with all that is in it, processes too.
pub(super) fn remove_cgroup(cgroup: &Path) {
    // cgroup2 alone has it; what is in the other hierarchy is in this one, too.
    let _ = fs::write(cgroup.join("cgroup.kill"), "1");
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        for nested in entries(cgroup).filter(|path| path.is_dir()) {
            remove_cgroup(&nested);
        }
        if fs::remove_dir(cgroup).is_ok() || !cgroup.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process that made what has this name.
fn maker(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn places() -> Vec<PathBuf> {
    hierarchies().into_iter().chain([directory()]).flat_map(|dir| entries(&dir).collect::<Vec<_>>()).collect()
}

/// Processes that were told of a machine's directory: qemu and nspawn.
fn processes(directory: Option<&str>) -> Vec<String> {
    let Some(directory) = directory else { return Vec::new() };
    let told = |path: PathBuf| {
        let words = fs::read(path.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        line.contains(directory).then(|| format!("{}: {line}", path.display()))
    };
    entries(Path::new("/proc")).filter_map(told).collect()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}
