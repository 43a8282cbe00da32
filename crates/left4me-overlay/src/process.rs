//! Where the helper acts: what it reads of the environment, and PID 1's mount namespace.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use overlay::{Error, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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
pub(crate) fn enter_pid1_mount_namespace() -> Result<()> {
    let id = |path| {
        fs::metadata(path).map(|m| (m.dev(), m.ino())).map_err(|e| Error::new(format!("can't read {path}: {e}")))
    };
    if id("/proc/self/ns/mnt")? == id("/proc/1/ns/mnt")? {
        return Ok(());
    }
    let namespace =
        fs::File::open("/proc/1/ns/mnt").map_err(|e| Error::new(format!("can't open /proc/1/ns/mnt: {e}")))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|errno| Error::new(format!("can't enter the mount namespace of PID 1: {errno}")))
}
