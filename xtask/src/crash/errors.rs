//! Which calls can fail with which of the errors that are tried: by their manual pages, and what the kernel does besides.

use nix::errno::Errno;
use syscalls::Sysno;

use super::trace::Place;

/// The errors, as they are named on the command line.
pub(super) const ERRORS: [(&str, Errno); 5] = [
    ("ENOSPC", Errno::ENOSPC),
    ("EIO", Errno::EIO),
    ("EROFS", Errno::EROFS),
    ("EMFILE", Errno::EMFILE),
    ("EINTR", Errno::EINTR),
];

/// Whether this call can return this error. A call that is in no list (memory, signals, identity) can't return any.
pub(super) fn can_fail(place: &Place, errno: Errno) -> bool {
    let call = place.call();
    if place.on_pipe && errno != Errno::EINTR {
        return false;
    }
    let calls: &[Sysno] = match errno {
        Errno::ENOSPC => &WRITING,
        Errno::EIO => return READING.contains(&call) || WRITING.contains(&call),
        Errno::EROFS => &CHANGING,
        Errno::EMFILE => &DESCRIPTORS,
        Errno::EINTR => &WAITING,
        _ => &[],
    };
    calls.contains(&call)
}

/// What takes space, or puts on disk what was to take it; or is one namespace too many.
const WRITING: [Sysno; 24] = [
    Sysno::write,
    Sysno::pwrite64,
    Sysno::writev,
    Sysno::open,
    Sysno::openat,
    Sysno::openat2,
    Sysno::mkdir,
    Sysno::mkdirat,
    Sysno::mknodat,
    Sysno::link,
    Sysno::linkat,
    Sysno::symlinkat,
    Sysno::rename,
    Sysno::renameat,
    Sysno::renameat2,
    Sysno::fsync,
    Sysno::fdatasync,
    Sysno::syncfs,
    Sysno::fallocate,
    Sysno::copy_file_range,
    Sysno::inotify_add_watch,
    Sysno::fsconfig,
    Sysno::fsetxattr,
    Sysno::unshare,
];

/// What reads from a disk that can go bad.
const READING: [Sysno; 21] = [
    Sysno::read,
    Sysno::pread64,
    Sysno::readv,
    Sysno::getdents64,
    Sysno::stat,
    Sysno::lstat,
    Sysno::fstat,
    Sysno::newfstatat,
    Sysno::statx,
    Sysno::readlink,
    Sysno::readlinkat,
    Sysno::unlink,
    Sysno::unlinkat,
    Sysno::rmdir,
    Sysno::chmod,
    Sysno::fchmodat,
    Sysno::ftruncate,
    Sysno::fstatfs,
    Sysno::umount2,
    Sysno::fchmod,
    Sysno::fgetxattr,
];

/// What changes a file system that may have become read-only.
const CHANGING: [Sysno; 21] = [
    Sysno::open,
    Sysno::openat,
    Sysno::openat2,
    Sysno::mkdir,
    Sysno::mkdirat,
    Sysno::mknodat,
    Sysno::unlink,
    Sysno::unlinkat,
    Sysno::rmdir,
    Sysno::rename,
    Sysno::renameat,
    Sysno::renameat2,
    Sysno::link,
    Sysno::linkat,
    Sysno::symlinkat,
    Sysno::chmod,
    Sysno::fchmodat,
    Sysno::ftruncate,
    Sysno::fsync,
    Sysno::fchmod,
    Sysno::fsetxattr,
];

/// What makes a descriptor.
const DESCRIPTORS: [Sysno; 21] = [
    Sysno::open,
    Sysno::openat,
    Sysno::openat2,
    Sysno::pipe2,
    Sysno::socket,
    Sysno::socketpair,
    Sysno::dup,
    Sysno::dup2,
    Sysno::dup3,
    Sysno::fcntl,
    Sysno::pidfd_open,
    Sysno::inotify_init1,
    Sysno::eventfd2,
    Sysno::epoll_create1,
    Sysno::signalfd4,
    Sysno::timerfd_create,
    Sysno::memfd_create,
    Sysno::fsopen,
    Sysno::fsmount,
    Sysno::open_tree,
    Sysno::landlock_create_ruleset,
];

/// What waits, so that a signal can come in between.
const WAITING: [Sysno; 22] = [
    Sysno::read,
    Sysno::pread64,
    Sysno::readv,
    Sysno::write,
    Sysno::pwrite64,
    Sysno::writev,
    Sysno::open,
    Sysno::openat,
    Sysno::openat2,
    Sysno::flock,
    Sysno::fcntl,
    Sysno::poll,
    Sysno::ppoll,
    Sysno::wait4,
    Sysno::waitid,
    Sysno::nanosleep,
    Sysno::clock_nanosleep,
    Sysno::connect,
    Sysno::recvmsg,
    Sysno::sendmsg,
    Sysno::getrandom,
    Sysno::epoll_wait,
];
