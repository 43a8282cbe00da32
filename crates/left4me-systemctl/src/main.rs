//! `left4me-systemctl enable|disable|show NAME…`: what the service user may ask of systemd, and nothing else.
//!
//! Called by the service user through sudo and run by root, so the caller is taken to be hostile. It gives one of three
//! words and names that follow the rule of instance names; from these come all arguments of `/usr/bin/systemctl`.
//! Nothing else of the caller's is used:
//!
//! - Environment: children get an empty one. This program reads no variable, and being linked statically has no loader
//!   that would.
//! - Descriptors: sudo closes everything above 2 before it runs us (`closefrom`), std opens whatever of 0 to 2 is closed
//!   on `/dev/null`, and what std opens itself is close-on-exec. Children read `/dev/null`.
//! - Directory: `/`, before anything else. The umask is sudo's.
//! - No thread is ever started.

mod ask;
mod request;
mod systemctl;

use std::process::ExitCode;

use request::Request;

fn main() -> ExitCode {
    if let Err(error) = std::env::set_current_dir("/") {
        eprintln!("error: can't change to the directory /: {error}");
        return ExitCode::FAILURE;
    }
    match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => ask::run(&request).unwrap_or_else(systemctl::Failure::report),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(request::EXIT_USAGE)
        }
    }
}
