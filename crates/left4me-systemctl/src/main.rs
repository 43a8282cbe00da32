//! `left4me-systemctl enable|disable|show NAME…`: what the service user may ask of systemd, and nothing else.
//!
//! Called by the service user through sudo and run by root, so the caller is taken to be hostile. It gives one of three
//! words and names that follow the rule of instance names; from these come all arguments of `/usr/bin/systemctl`.
//! Nothing else of the caller's is used:
//!
//! - Environment: children get an empty one. This program reads no variable, and being linked statically has no loader
//!   that would.
//! - Descriptors above 2, limits, signals, umask and directory: [`helper::sanitise`]. What std opens itself is
//!   close-on-exec, and children read `/dev/null`.
//! - Signals: none interrupts it between two steps of one verb. A systemctl that waits can be interrupted.
//! - No thread is ever started.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod ask;
mod request;
mod systemctl;

use std::process::ExitCode;

use request::Request;

fn main() -> ExitCode {
    if let Err(error) = helper::sanitise() {
        helper::say(&format!("error: can't change to the directory /: {error}"));
        return ExitCode::FAILURE;
    }
    match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => {
            helper::block_signals();
            ask::run(&request).unwrap_or_else(systemctl::Failure::report)
        }
        Err(error) => {
            helper::say(&format!("error: {error}"));
            ExitCode::from(request::EXIT_USAGE)
        }
    }
}
