//! What the game sees: its `merged`, and of the rest of the root directory nothing.

use std::os::fd::OwnedFd;
use std::path::Path;

use names::InstanceName;
use overlay::beneath::Dir;
use overlay::mount::Detached;
use overlay::stack::{Stack, open_layers, staged_layers};
use rustix::fs::fstatfs;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, mount_remount, move_mount,
    open_tree,
};
use rustix::process::geteuid;

use super::namespaces::forbidden;
use crate::{Error, ErrorKind, Result};

/// As much as `left4me_launch` reads.
const MAX_LAUNCH: usize = 64 * 1024;

/// Where the copy of the instance's `launch` file lies below the root directory, which is covered.
pub(super) const LAUNCH: &str = "launch";

/// Mounts the stack, and hides the rest of the root directory behind an empty file system: the game must not see its own
/// upper, other instances, layers, logs or passwords, all of which belong to the user that it runs as.
pub(super) fn mount_everything(dir: &Dir, root: &Path, name: &InstanceName) -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(forbidden)?;
    let mut stack = Stack::open(dir, name, open_layers(dir, staged_layers(dir, name)?)?)?;
    let overlay = Detached::create(&stack).map_err(|error| explain(error, &stack))?;
    // A copy, as the instance may be made anew while it runs, and a restart is to run what was started.
    let launch = dir.read(format!("instances/{name}/staged/launch"), MAX_LAUNCH)?;
    let steam = steam_libraries(dir)?;

    mount("left4me", root, "tmpfs", INERT, Some(c"mode=755,size=256k")).map_err(failed("cover the root directory"))?;
    let cover = Dir::open_root(root)?;
    cover.create_file(LAUNCH, &launch, 0o600)?;
    stack.runtime = cover.make_dirs(format!("runtime/{name}"), 0o755)?;
    stack.merged = stack.runtime.make_dir("merged", 0o755)?;
    if let Some(steam) = steam {
        attach(&steam, &cover.make_dir(".steam", 0o755)?)?;
    }
    overlay.attach(&stack)?;
    mount_remount(root, MountFlags::RDONLY | INERT, c"").map_err(failed("make the cover read-only"))?;

    mount_proc()
}

/// For file systems that hold no programs.
const INERT: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// A `/proc` of the new process numbers. Says whether it could be had: a container's masked /proc forbids a new one, and
/// then processes outside are visible, and out of reach all the same.
pub(crate) fn mount_new_proc() -> Result<bool> {
    match mount("proc", "/proc", "proc", INERT, None) {
        Ok(()) => Ok(true),
        Err(Errno::PERM) => Ok(false),
        Err(errno) => Err(failed("mount /proc")(errno)),
    }
}

/// The same, without what the game must not have in it.
fn mount_proc() -> Result<()> {
    if !mount_new_proc()? {
        return Ok(());
    }
    forbid_user_namespaces()?;
    // Read-only, since to /proc/sys a root without capabilities is still root.
    mount_remount("/proc", MountFlags::RDONLY | INERT, c"").map_err(failed("make /proc read-only"))
}

/// In a user namespace of its own the game would be root again, and reach the parts of the kernel that only root gets to.
/// The limit is counted for each user namespace: where there is none of our own it would be the host's, and is left alone.
#[expect(clippy::disallowed_methods, reason = "of the /proc that was mounted just now, where nobody can put a link")]
fn forbid_user_namespaces() -> Result<()> {
    let (uid, io) = (geteuid().as_raw().to_string(), |e| Error::io("can't forbid user namespaces to the game", e));
    let map = std::fs::read_to_string("/proc/self/uid_map").map_err(io)?;
    // What this process's first part wrote.
    if map.split_whitespace().ne([uid.as_str(), uid.as_str(), "1"]) {
        return Ok(());
    }
    std::fs::write("/proc/sys/user/max_user_namespaces", "0").map_err(io)
}

fn failed(what: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::io(format!("can't {what}"), errno.into())
}

/// Says what is wrong with the place, where the kernel says EINVAL and no more.
pub(super) fn explain(error: overlay::Error, stack: &Stack) -> Error {
    /// `OVERLAYFS_SUPER_MAGIC` (linux/magic.h).
    const OVERLAYFS: u64 = 0x794c_7630;
    let on_overlay = fstatfs(&stack.upper).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(OVERLAYFS));
    if !on_overlay {
        return error.into();
    }
    let message = format!("{} lies on an overlay, which can't hold an upper", stack.upper.label());
    Error::new(ErrorKind::Unsupported, message)
        .because(Error::from(error))
        .hint("a container's own file system is one: put the root directory (LEFT4ME_ROOT) on a volume")
}

/// HOME is the root directory for an installed service user, and the game wants `~/.steam`.
fn steam_libraries(dir: &Dir) -> Result<Option<OwnedFd>> {
    let place = match dir.open_dir(".steam") {
        Ok(place) => place,
        Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    /// `AT_EMPTY_PATH` (linux/fcntl.h), which open_tree takes beside its own flags.
    const AT_EMPTY_PATH: u32 = 0x1000;
    let at = OpenTreeFlags::from_bits_retain(AT_EMPTY_PATH);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | at;
    let tree = open_tree(&place, "", flags);
    Ok(Some(tree.map_err(|errno| Error::io(format!("can't bind {}", place.label()), errno.into()))?))
}

fn attach(tree: &OwnedFd, place: &Dir) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
        .map_err(|errno| Error::io(format!("can't bind {}", place.label()), errno.into()))
}
