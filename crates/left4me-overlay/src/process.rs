//! Where the helper acts: what it reads of the environment, and PID 1's mount namespace.

use std::os::fd::AsFd;

use overlay::{Error, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

/// What was read of the environment before it was cleared.
#[derive(Debug)]
pub(crate) struct Environment {
    /// `LEFT4ME_OVERLAY_PRINT_ONLY=1`: print the plan and do nothing.
    pub(crate) print_only: bool,
    /// systemd started this process. It sets `INVOCATION_ID` for what it starts and nobody may use print-only there:
    /// a variable in the manager's environment would otherwise turn every mount into a message.
    pub(crate) under_systemd: bool,
}

impl Environment {
    /// Looks at the two variables that mean something here.
    pub(crate) fn read() -> Self {
        Self {
            print_only: std::env::var_os("LEFT4ME_OVERLAY_PRINT_ONLY").is_some_and(|value| value == "1"),
            under_systemd: std::env::var_os("INVOCATION_ID").is_some(),
        }
    }
}

/// Leaves the mount namespace of the unit for PID 1's. Single-threaded, before anything is opened: a layer opened before
/// is refused by the kernel, and the old working directory would keep a mount busy (`setns` moves it to the new root).
///
/// By a pidfd, as the unit's root has no `/proc` for root's steps.
pub(crate) fn enter_pid1_mount_namespace() -> Result<()> {
    let pid1 = pidfd_open(Pid::INIT, PidfdFlags::empty())
        .map_err(|errno| Error::new(format!("can't find process 1: {errno}")))?;
    move_into_thread_name_spaces(pid1.as_fd(), ThreadNameSpaceType::MOUNT)
        .map_err(|errno| Error::new(format!("can't enter the mount namespace of PID 1: {errno}")))
}
