//! `left4me-overlay mount|umount NAME`: the root helper that mounts an instance's stack, and undoes it.
//!
//! It runs as the unit's own root step (`ExecStartPre=+`, `ExecStopPost=+`) and at the end of `left4me-systemctl
//! disable`. Read top to bottom it is the list of what it does with root: clear what it was given, leave the unit's
//! mount namespace for PID 1's, take the root directory from root's own file, lock, act.

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
    let environment = process::sanitise();
    let request = match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(why) => {
            say(&format!("left4me-overlay: {why}\nusage: left4me-overlay mount|umount NAME"));
            return ExitCode::from(USAGE);
        }
    };
    let done = if environment.print_only { verbs::print(&request, &environment) } else { verbs::run(&request) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("left4me-overlay: {request}: {error}"));
            ExitCode::from(FAILURE)
        }
    }
}

/// Writes to stderr. `eprintln!` would panic where stderr is closed or full; there is then nobody to tell.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
