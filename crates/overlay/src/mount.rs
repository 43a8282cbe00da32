//! Mounting a stack from its descriptors.
//!
//! New mount API only: `fsopen`, one `lowerdir+` a layer, `fsmount`, `move_mount`. No option string is ever built, so
//! nothing needs escaping, no page limits the layers and no name can inject an option. A kernel without `lowerdir+`
//! (before 6.7) is refused by name.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::fstatvfs;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::beneath::{Dir, mount_id};
use crate::error::{Context, Error, Result, reason};
use crate::stack::Stack;

/// Options with a value, set explicitly because defaults differ by distribution and module parameter. Why each:
/// `index=on` makes an upper ESTALE over a changed lower, and our stacks change by design; `metacopy` and redirects
/// would obey marks that the game made by hand; `xino` changes inode numbers with the number of layers; `nfs_export`
/// needs `index`. A kernel that does not know one does not have the feature either, so that one is left out.
pub const OPTIONS: [(&str, &str); 5] =
    [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"), ("xino", "off"), ("nfs_export", "off")];

/// The option without a value. For root's mounts too: an upper made without root and one made by root then mean the
/// same. Without it, directories replaced in such an upper silently show their old content again.
pub const USERXATTR: &str = "userxattr";

/// How a directory is handed to the kernel.
#[derive(Clone, Copy)]
enum HandOver {
    /// As the descriptor itself: Linux 6.13, `O_PATH` descriptors 6.15.
    Descriptor,
    /// As `/proc/self/fd/N`, which the kernel resolves to the same directory. Debian 13 (6.12) needs it.
    ProcPath,
}

/// A mount that hangs nowhere yet. Dropping it undoes it.
#[derive(Debug)]
pub struct Detached {
    mount: OwnedFd,
    /// Its unique id (`STATX_MNT_ID_UNIQUE`).
    pub id: u64,
}

impl Detached {
    /// Makes the overlay of `stack`, writable or not at all.
    pub fn create(stack: &Stack) -> Result<Self> {
        let context = match configure(stack, HandOver::Descriptor) {
            Err(error) if matches!(error.errno(), Some(Errno::INVAL | Errno::BADF)) => {
                configure(stack, HandOver::ProcPath)?
            }
            other => other?,
        };
        fsconfig_create(&context).map_err(|errno| create_error(stack, &context, errno))?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
            .context(|| format!("can't make the mount {}", stack.source))?;
        check_writable(stack, &mount)?;
        let id = mount_id(&mount, c"").map_err(|errno| match errno {
            Errno::OPNOTSUPP | Errno::INVAL => {
                Error::new("this kernel has no unique mount ids: Linux 6.8 or newer is needed (Debian 13 has 6.12)")
            }
            errno => Error::kernel(format!("can't read the mount id of {}", stack.source), errno),
        })?;
        Ok(Self { mount, id })
    }

    /// Hangs the mount at `place`, wherever that is by now.
    pub fn attach_at(&self, place: &Dir) -> Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.mount, "", place, "", flags).context(|| format!("can't mount at {}", place.label()))
    }

    /// Hangs the mount at the stack's `merged`, and makes sure that this is where it is to be seen: the directory could
    /// have been moved since it was opened.
    pub fn attach(self, stack: &Stack) -> Result<()> {
        self.attach_at(&stack.merged)?;
        if stack.runtime.mount_id_of(c"merged")? == self.id {
            return Ok(());
        }
        Err(Error::new(format!("{} was moved away while it was mounted on", stack.merged.label())))
    }
}

/// Opens a context and sets everything but "create".
fn configure(stack: &Stack, how: HandOver) -> Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| match errno {
        Errno::NODEV => Error::new("this kernel has no overlayfs: `modprobe overlay` loads it"),
        errno => Error::kernel("can't open an overlay context", errno),
    })?;
    fsconfig_set_string(&context, "source", stack.source.as_str()).context(|| "can't set source".to_owned())?;
    fsconfig_set_flag(&context, USERXATTR).map_err(|errno| match errno {
        Errno::INVAL => Error::new("this kernel's overlayfs has no userxattr: Linux 6.8 or newer is needed"),
        errno => Error::kernel("can't set userxattr", errno),
    })?;
    for (key, value) in OPTIONS {
        match fsconfig_set_string(&context, key, value) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(Error::kernel(format!("can't set {key}={value}"), errno)),
        }
    }
    for (_, dir) in &stack.layers {
        hand_over(&context, "lowerdir+", dir, how)?;
    }
    hand_over(&context, "upperdir", &stack.upper, how)?;
    hand_over(&context, "workdir", &stack.work, how)?;
    Ok(context)
}

fn hand_over(context: impl AsFd, key: &str, dir: &Dir, how: HandOver) -> Result<()> {
    let answer = match how {
        HandOver::Descriptor => fsconfig_set_fd(&context, key, dir),
        HandOver::ProcPath => fsconfig_set_string(&context, key, dir.proc_path()),
    };
    answer.map_err(|errno| {
        let said = kernel_log(&context);
        if said.contains("Unknown parameter") {
            return Error::new(format!(
                "this kernel's overlayfs has no {key}: Linux 6.8 or newer is needed (Debian 13 has 6.12)"
            ));
        }
        Error::kernel(format!("can't add {} as {key}{said}", dir.label()), errno)
    })
}

/// What the kernel said in the context, each message after a colon; empty where it said nothing (`ENODATA`).
fn kernel_log(context: impl AsFd) -> String {
    let mut said = String::new();
    let mut buffer = [0_u8; 512];
    while let Ok(length) = rustix::io::read(&context, &mut buffer) {
        if length == 0 {
            break;
        }
        said.push_str(": ");
        said.push_str(String::from_utf8_lossy(&buffer[..length]).trim_end());
    }
    said
}

/// Some of the kernel's reasons for refusing a stack read as something else.
fn create_error(stack: &Stack, context: &OwnedFd, errno: Errno) -> Error {
    let why = match errno {
        Errno::LOOP => "two of its layers are the same directory, or one lies inside another".to_owned(),
        Errno::NOSPC => "no more mounts are allowed (fs.mount-max), or the disk is full".to_owned(),
        Errno::INVAL => "the kernel refuses the stack (upper on a file system that can't hold one, such as a \
                         container's overlayfs or NFS?); `dmesg` may say why"
            .to_owned(),
        Errno::STALE => "the upper was used over other layers with index=on".to_owned(),
        errno => reason(errno),
    };
    let said = kernel_log(context);
    Error::kernel_with(format!("can't mount {} layers as {}: {why}{said}", stack.layers.len(), stack.source), errno)
}

/// Overlayfs mounts read-only, and says success, when it can't make its `work`: on a full disk, or for an owner that is
/// not mapped in the user namespace.
fn check_writable(stack: &Stack, mount: &OwnedFd) -> Result<()> {
    use rustix::fs::StatVfsMountFlags;
    let answer = fstatvfs(mount).context(|| format!("can't look at the mount {}", stack.source))?;
    if !answer.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    Err(Error::kernel_with(
        format!("{} would be read-only: is the disk of {} full or read-only?", stack.source, stack.work.label()),
        Errno::ROFS,
    ))
}
