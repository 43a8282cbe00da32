//! Letting everybody go who is traced, PID 1 too, so that they go on as if nothing had been.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::super::place::key;
use super::{Tracee, Tracer, to_next_stop};

impl Tracer<'_> {
    /// Lets everybody go who still runs. Whoever's turn comes first: waiting for one by itself could last for ever, as PID 1
    /// of a namespace ends only when those in it are reaped, which is ours to do as long as we trace them.
    pub(in crate::crash::trace) fn let_go(&mut self) -> Result<()> {
        for &pid in self.tracees.keys() {
            match ptrace::interrupt(pid) {
                Ok(()) | Err(Errno::EIO | Errno::ESRCH) => {}
                Err(errno) => return Err(errno).with_context(|| format!("can't stop {pid} to let it go")),
            }
        }
        // Of these nobody is told any more, or their parents will tell of them later.
        let mut freed = std::mem::take(&mut self.early);
        for &pid in &freed {
            to_next_stop(ptrace::detach(pid, None))?;
        }
        while !self.tracees.is_empty() {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.let_one_go(status, &mut freed)?,
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(errno) => return Err(errno).context("can't wait for who is to be let go"),
            }
        }
        Ok(())
    }

    fn let_one_go(&mut self, status: WaitStatus, freed: &mut BTreeSet<Pid>) -> Result<()> {
        let (pid, signal) = match status {
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            WaitStatus::PtraceSyscall(pid) | WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                self.tracees.remove(&pid);
                return Ok(());
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => return Ok(()),
        };
        if let WaitStatus::PtraceEvent(
            _,
            _,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
        ) = status
        {
            // Its child is traced, too, and stops, if it has not yet.
            let child = Pid::from_raw(i32::try_from(ptrace::getevent(pid).unwrap_or(0))?);
            if !freed.contains(&child) {
                self.tracees.insert(child, Tracee::new(key("?"), false));
            }
        }
        self.tracees.remove(&pid);
        freed.insert(pid);
        to_next_stop(ptrace::detach(pid, signal))
    }
}
