//! The lock that says whether a supervisor runs an instance, and which process it is: `locks/NAME.supervisor`.
//!
//! A record lock (`fcntl(F_SETLK)`) and no `flock`: asking takes nothing, so that a look at the status never stands in a
//! start's way; the kernel names the holder, in the asker's numbering, so that no file has to be believed; and no child
//! inherits it. It goes when its process does, a moment before the kernel ends the rest of the namespace: who needs that
//! to be over waits for the process.

use std::fs::File;

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use crate::{Error, Result};

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    /// None for a process that has no number here: it runs outside of this container.
    pub(super) pid: Option<Pid>,
}

/// What the file of an instance's lock ends with.
pub(super) const SUFFIX: &str = ".supervisor";

fn path(name: &InstanceName) -> String {
    format!("locks/{name}{SUFFIX}")
}

/// Who holds the lock of an instance, if anybody does.
pub(super) fn holder(root: &Dir, name: &InstanceName) -> Result<Option<Holder>> {
    let file = match root.open_file(path(name)) {
        Ok(file) => file,
        Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))
        .map_err(|errno| Error::io(format!("can't look at the lock of {name}"), errno.into()))?;
    Ok(found.map(|lock| Holder { pid: lock.pid }))
}

/// Takes the lock for this process, until the file is dropped; none if another process has it. The file must not be
/// opened a second time: closing any descriptor of it would let go of the lock (fcntl(2)).
pub(super) fn take(root: &Dir, name: &InstanceName) -> Result<Option<File>> {
    let file = root.open_dir("locks")?.open_or_create(format!("{name}{SUFFIX}"), 0o600)?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(Error::io(format!("can't take the lock of {name}"), errno.into())),
    }
}
