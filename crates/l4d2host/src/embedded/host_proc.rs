//! The host's `/proc`, kept open from before there was a new one: there, processes have the numbers that the host knows.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Pid;

use super::state::parse_start_time;
use crate::{Error, ErrorKind, Result};

pub(super) struct HostProc(OwnedFd);

impl HostProc {
    pub(super) fn open() -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, "/proc", flags, Mode::empty());
        Ok(Self(dir.map_err(|errno| Error::io("can't open /proc", errno.into()))?))
    }

    fn read(&self, path: &str) -> std::io::Result<String> {
        let file = openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = String::new();
        File::from(file).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Our own process: number and start time.
    pub(super) fn identity(&self) -> Result<(u32, u64)> {
        let stat = self.read("self/stat").map_err(|e| Error::io("can't read /proc/self/stat", e))?;
        let pid = stat.split(' ').next().and_then(|pid| pid.parse().ok());
        pid.zip(parse_start_time(&stat)).ok_or_else(|| Error::new(ErrorKind::Internal, "can't read /proc/self/stat"))
    }

    /// The number of a child of process `own`: the one whose innermost number (`NSpid:`, proc_pid_status(5)) is `child`.
    /// None where the kernel does not tell (`CONFIG_PROC_CHILDREN`): the status then does without.
    pub(super) fn number_of(&self, own: u32, child: Pid) -> Option<u32> {
        let children = self.read(&format!("{own}/task/{own}/children")).ok()?;
        let inner = child.as_raw_nonzero().get().to_string();
        let is_child = |pid: &u32| {
            let status = self.read(&format!("{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.and_then(|numbers| numbers.split_ascii_whitespace().last()) == Some(inner.as_str())
        };
        children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).find(is_child)
    }
}
