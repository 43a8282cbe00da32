//! `left4me-overlay mount|umount NAME`: the root helper that mounts an instance's stack, and undoes it.
//!
//! It runs as the unit's own root step (`ExecStartPre=+`, `ExecStopPost=+`) and at the end of `left4me-systemctl
//! disable`. Read top to bottom it is the list of what it does with root: clear what it was given, leave the unit's
//! mount namespace for PID 1's, take the root directory from root's own file, lock, act.

#![deny(clippy::print_stderr, clippy::print_stdout)]

mod lock;
mod process;
mod request;
mod verbs;

use std::process::ExitCode;

use request::Request;

/// Wrong arguments.
const USAGE: u8 = 2;
/// Refused or failed.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    let environment = process::Environment::read();
    if let Err(error) = helper::sanitise() {
        helper::say(&format!("left4me-overlay: can't change to the directory /: {error}"));
        return ExitCode::from(FAILURE);
    }
    let request = match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(why) => {
            helper::say(&format!("left4me-overlay: {why}"));
            helper::say("usage: left4me-overlay mount|umount NAME");
            return ExitCode::from(USAGE);
        }
    };
    let done = if environment.print_only { verbs::print(&request, &environment) } else { verbs::run(&request) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            helper::say(&format!("left4me-overlay: {request}: {error}"));
            ExitCode::from(FAILURE)
        }
    }
}
