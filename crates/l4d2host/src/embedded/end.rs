//! The end of a supervisor, and of all that is in its namespace with it: asking, killing, waiting.

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::lock;
use super::state::State;
use crate::{Error, ErrorKind, Result};

/// The game's 15 s of grace, and some for the rest. A supervisor that needs longer is killed.
const STOP_LIMIT: Timespec = Timespec { tv_sec: 25, tv_nsec: 0 };

/// How long the kernel may take to end a namespace: its unmount syncs the file system of the upper, which takes minutes
/// on a slow disk. The unit's `TimeoutStopSec=`.
const END_LIMIT: Timespec = Timespec { tv_sec: 300, tv_nsec: 0 };

/// Asks the supervisor to end, and kills it if it does not. When this returns, nothing of the namespace is left. Says
/// whether there was one.
pub(super) fn end_supervisor(root: &Dir, name: &InstanceName) -> Result<bool> {
    let Some(holder) = lock::holder(root, name)? else { return wait_for_the_last(root, name).map(|()| false) };
    let Some(pid) = holder.pid else {
        return Err(Error::new(ErrorKind::WrongSupervisor, format!("instance {name} runs outside of this container")));
    };
    let failed = |errno: Errno| Error::io(format!("can't end the supervisor of {name}"), errno.into());
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(true),
        Err(errno) => return Err(failed(errno)),
    };
    // Asked again, now that the number can't change hands any more.
    if lock::holder(root, name)? != Some(holder) {
        return wait_for_the_last(root, name).map(|()| true);
    }
    for (signal, limit) in [(Signal::TERM, STOP_LIMIT), (Signal::KILL, END_LIMIT)] {
        match pidfd_send_signal(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(failed(errno)),
        }
        if wait_for_end(&process, &limit)? {
            return Ok(true);
        }
    }
    Err(does_not_die(name))
}

/// A supervisor that was killed has let go of the lock, but its namespace may take a moment to end.
pub(super) fn wait_for_the_last(root: &Dir, name: &InstanceName) -> Result<()> {
    let Some(process) = State::read(root, name).map(|state| state.process()).transpose()?.flatten() else {
        return Ok(());
    };
    if wait_for_end(&process, &END_LIMIT)? { Ok(()) } else { Err(does_not_die(name)) }
}

fn does_not_die(name: &InstanceName) -> Error {
    Error::new(ErrorKind::Timeout, format!("the supervisor of {name} does not die"))
}

/// Waits for the end of a process. That of PID 1 of a namespace comes after everybody else's in it, and after its mounts.
fn wait_for_end(process: &OwnedFd, limit: &Timespec) -> Result<bool> {
    loop {
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(limit)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("can't wait for the supervisor", errno.into())),
        }
    }
}
