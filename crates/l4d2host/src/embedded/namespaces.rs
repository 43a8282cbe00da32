//! The first part: entering namespaces of our own. Ends once PID 1 of them is started.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, ExitCode};

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getegid, geteuid, setrlimit, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, configure_capability_in_ambient_set, set_capabilities,
    unshare_unsafe,
};

use crate::{Error, ErrorKind, Result};

/// What PID 1 keeps through its exec, of all that the map gives it: mounting, what overlayfs does in the mounter's name
/// (copying up; the mode-000 directory that it works in needs DAC_OVERRIDE), setting the limit on user namespaces to none,
/// and giving the rest away for good.
/// Not MKNOD: a whiteout is a device that needs none since Linux 5.8.
const KEPT: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::SYS_RESOURCE)
    .union(CapabilitySet::SETPCAP);

pub(super) fn enter(root: &OsStr, name: &OsStr) -> ExitCode {
    match try_enter(root, name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::init::report(&error),
    }
}

fn try_enter(root: &OsStr, name: &OsStr) -> Result<()> {
    // Away from the terminal and the session of whoever starts a server: it outlives them.
    setsid().map_err(|errno| Error::io("can't make a session", errno.into()))?;
    keep_descriptors_from_children()?;
    // The unit's LimitCORE=: a crash loop would fill the upper with copies of the game's memory.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|errno| Error::io("can't forbid core files", errno.into()))?;
    unshare()?;
    // Without wait: PID 1 of the namespaces goes on when this process has ended. Its stdin is the instance's lock.
    let mut init = Command::new("/proc/self/exe");
    init.arg("supervise-init").arg(root).arg(name);
    init.spawn().map(drop).map_err(|e| Error::io("can't start the supervisor", e))
}

/// What the caller of `l4d2ctl` had open beside the standard streams is not the server's: it would hold a script's lock,
/// or keep the reader of a pipe waiting, for as long as the server runs.
fn keep_descriptors_from_children() -> Result<()> {
    let failed = |e| Error::io("can't look at /proc/self/fd", e);
    let numbers = fs::read_dir("/proc/self/fd").map_err(failed)?;
    let numbers: Vec<i32> = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        match set_cloexec(number) {
            // The directory that was read here, closed meanwhile.
            Ok(()) | Err(Errno::BADF) => {}
            Err(errno) => return Err(Error::io("can't keep a descriptor from the game", errno.into())),
        }
    }
    Ok(())
}

#[allow(unsafe_code)]
fn set_cloexec(number: i32) -> rustix::io::Result<()> {
    // SAFETY: the number is not -1, and used for this one call, which changes no state that anything of ours relies on:
    // descriptors opened here have the flag already. Of a closed one the kernel says EBADF.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(fd, FdFlags::CLOEXEC)
}

/// Makes user, mount and PID namespaces; the next child is PID 1. Real root that is forbidden a user namespace (in a
/// container) does without one.
pub(crate) fn unshare() -> Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    let others = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    match unshare_flags(UnshareFlags::NEWUSER | others) {
        Ok(()) => {}
        Err(_) if uid.is_root() => return unshare_flags(others).map_err(forbidden),
        Err(errno) => return Err(forbidden(errno)),
    }
    // Each id as itself: the game sees the user that it really is.
    #[expect(clippy::disallowed_methods, reason = "of /proc/self, where nobody can put a link")]
    let write = |file: &str, text: String| {
        fs::write(file, text)
            .map_err(|e| Error::io(format!("can't write {file}: is it forbidden to map ids?"), e).hint(HINT))
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{uid} {uid} 1", uid = uid.as_raw()))?;
    write("/proc/self/gid_map", format!("{gid} {gid} 1", gid = gid.as_raw()))?;
    keep_capabilities().map_err(|errno| Error::io("can't keep capabilities", errno.into()))
}

#[allow(unsafe_code)]
fn unshare_flags(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: the call is unsafe for what it may do to other threads (shared descriptors, directories); this process
    // was executed for this and has one thread.
    unsafe { unshare_unsafe(flags) }
}

/// An exec drops the capabilities of every user but 0, except ambient ones.
fn keep_capabilities() -> rustix::io::Result<()> {
    let now = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: KEPT, ..now })?;
    KEPT.iter().try_for_each(|capability| configure_capability_in_ambient_set(capability, true))
}

const HINT: &str = "an administrator allows it: `sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), \
                    `sysctl kernel.unprivileged_userns_clone=1`, or a container's seccomp profile; or use systemd: \
                    `sudo cargo xtask install`";

/// What it means that a namespace, or mounting in it, is refused.
pub(crate) fn forbidden(errno: Errno) -> Error {
    let why = match errno {
        // user_namespaces(7): ENOSPC is the limit of /proc/sys/user.
        Errno::NOSPC => {
            "the limit is reached: /proc/sys/user/max_user_namespaces or max_mnt_namespaces is 0 or too low"
        }
        Errno::PERM | Errno::ACCESS => "forbidden here, by a sysctl, AppArmor or a container's profile",
        _ => "not possible here",
    };
    Error::new(ErrorKind::Unsupported, format!("can't mount in a user namespace: {why}"))
        .because(std::io::Error::from(errno))
        .hint(HINT)
}
