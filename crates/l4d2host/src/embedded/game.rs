//! The last part: giving every privilege away and becoming the game.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use rustix::fd::AsFd;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, stdin};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Standard input is a pipe to PID 1: it closes when the game is executed, and says why if it is not.
pub(super) fn run(merged: &OsStr, launch: &OsStr) -> ExitCode {
    match fcntl_dupfd_cloexec(stdin(), 3) {
        Ok(pipe) => say(&pipe, &become_game(Path::new(merged), Path::new(launch))),
        Err(errno) => say(stdin(), &std::io::Error::from(errno).to_string()),
    }
}

fn say(pipe: impl AsFd, why: &str) -> ExitCode {
    // Nobody listens any more only if PID 1 died, and then so does this process.
    let _ = rustix::io::write(pipe, why.as_bytes());
    ExitCode::FAILURE
}

/// Returns only to say why it did not work.
fn become_game(merged: &Path, launch: &Path) -> String {
    let nothing = File::open("/dev/null").and_then(|null| Ok(dup2_stdin(null)?));
    if let Err(error) = nothing {
        return format!("can't open /dev/null: {error}");
    }
    if let Err(errno) = drop_capabilities() {
        return format!("can't drop capabilities: {}", std::io::Error::from(errno));
    }
    match left4me_launch::exec_game(merged, launch) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    }
}

/// None are left, none can come back: not by the exec, not by a set-uid program.
pub(crate) fn drop_capabilities() -> rustix::io::Result<()> {
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
