//! The last part: giving every privilege away and becoming the game.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd};
use rustix::stdio::{dup2_stdin, stdin};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Standard input is a pipe to PID 1: it closes when the game is executed, and says why if it is not.
pub(super) fn run(merged: &OsStr, launch: &OsStr) -> ExitCode {
    let why = match become_game(Path::new(merged), Path::new(launch)) {
        Ok((mut pipe, why)) => {
            // Nobody listens any more only if PID 1 died, and then so do we.
            let _ = pipe.write_all(why.as_bytes());
            why
        }
        Err(error) => error.to_string(),
    };
    // Its stderr is the instance's log.
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}

/// Returns only to say why it did not work, with the pipe to say it on.
fn become_game(merged: &Path, launch: &Path) -> std::io::Result<(File, String)> {
    let pipe = fcntl_dupfd_cloexec(stdin(), 3)?;
    debug_assert!(fcntl_getfd(&pipe)?.contains(FdFlags::CLOEXEC));
    dup2_stdin(File::open("/dev/null")?)?;
    let why = match drop_capabilities() {
        Err(errno) => format!("can't drop capabilities: {errno}"),
        Ok(()) => match left4me_launch::exec_game(merged, launch) {
            Ok(never) => match never {},
            Err(error) => error.to_string(),
        },
    };
    Ok((File::from(pipe), why))
}

/// None are left, none can come back: not by the exec, not by a set-uid program.
fn drop_capabilities() -> rustix::io::Result<()> {
    clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // An older kernel knows fewer.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
