//! Making the process safe to be root in: nothing that the caller chose stays, but argv and the standard streams.

use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use overlay::{Error, Result};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};
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

/// Clears what a process inherits. Nothing here can fail in a way that leaves it less safe, so nothing is reported.
pub(crate) fn sanitise() -> Environment {
    let environment = Environment {
        print_only: std::env::var_os("LEFT4ME_OVERLAY_PRINT_ONLY").is_some_and(|value| value == "1"),
        under_systemd: std::env::var_os("INVOCATION_ID").is_some(),
    };
    clear_environment();
    close_inherited();
    umask(Mode::WGRP | Mode::WOTH);
    // A caller's limits must not decide what root can do: 500 layers are 500 descriptors, and a file size limit would
    // kill the write of the record. Root may raise them; for print-only as a user it does not matter.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(4096), maximum: Some(4096) });
    let _ = setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None });
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    environment
}

#[allow(unsafe_code)]
fn clear_environment() {
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names {
        // SAFETY: the process has one thread, at the start of main, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
}

/// Closes every descriptor above 2: one into a mount would make its umount busy with us. std has made 0 to 2 valid
/// before main. rustix has no `close_range`.
#[allow(unsafe_code)]
fn close_inherited() {
    let listed: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd > 2)
        .collect();
    for fd in listed {
        // The listing's own descriptor is closed by now.
        if fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok() {
            // SAFETY: nothing in this process has opened a descriptor that it still uses, so this one is inherited,
            // open (checked) and owned by nobody here.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

/// Leaves the mount namespace of the unit for PID 1's. Single-threaded, before anything is opened: a layer opened before
/// is refused by the kernel, and the old working directory would keep a mount busy (`setns` moves it to the new root).
pub(crate) fn enter_pid1_mount_namespace() -> Result<()> {
    std::env::set_current_dir("/").map_err(|e| Error::new(format!("can't change to /: {e}")))?;
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
