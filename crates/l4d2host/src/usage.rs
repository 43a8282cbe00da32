//! What running instances use of the machine: processor time, memory, tasks, and how long they waited for these.
//!
//! Under systemd each server has a control group, whose files answer; under the embedded supervisor it has none of its
//! own, and its processes are added up. Nothing is asked of systemd: a question about 200 units costs it half a second.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use names::InstanceName;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::{Host, Result};

/// What one instance uses. `None` is "not known": the kernel does not count it here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time used since the counting began, which it does anew with each run under systemd, and with each start
    /// by hand under the embedded supervisor.
    pub cpu: Option<Duration>,
    /// Bytes of memory. Under systemd what `MemoryMax=` limits, the files that it keeps cached included; under the embedded
    /// supervisor what is resident of its processes, where memory that two of them share counts twice.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

/// For what one instance waited; `None` where the kernel does not count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Option<Waited>,
    /// For memory.
    pub memory: Option<Waited>,
    /// For a disk.
    pub io: Option<Waited>,
}

/// How long an instance waited for one resource since the counting began (the kernel's pressure stall information).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waited {
    /// Time in which at least one task waited.
    pub some: Duration,
    /// Time in which all tasks that were not idle waited; `None` where the kernel does not tell.
    pub full: Option<Duration>,
}

impl Host {
    /// What these instances use, of those that run: one that does not, and one of which nothing can be known, is left out.
    /// Costs three small files for each, so that it can be asked every second.
    pub fn usage(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, Usage>> {
        self.supervisor().usage(names)
    }

    /// For what these instances waited, of those that run; none under the embedded supervisor. Costs as much again.
    pub fn pressure(&self, names: &[InstanceName]) -> BTreeMap<InstanceName, Pressure> {
        self.supervisor().pressure(names)
    }
}

/// Opens a directory of the kernel's own.
pub(crate) fn open_kernel_dir(path: impl AsRef<Path>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path.as_ref(), flags, Mode::empty())
}

/// One of the kernel's small files, which gives itself whole to the first read that has room for it. Three system calls,
/// where the standard library makes six: there are some for each instance.
pub(crate) fn read_kernel_file<'a>(dir: impl AsFd, path: &str, room: &'a mut [u8]) -> rustix::io::Result<&'a [u8]> {
    let file = openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        match rustix::io::read(&file, &mut *room) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(length) => return Ok(&room[..length]),
        }
    }
}
