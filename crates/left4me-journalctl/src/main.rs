//! `left4me-journalctl NAME|--all --lines N --follow|--no-follow [--output cat|json] [--after-cursor CURSOR]`: prints the
//! journal of one instance's unit, or what the servers of all instances print.
//!
//! Called by the service user through sudo and run by root, so the caller is taken to be hostile. It becomes
//! `/usr/bin/journalctl` with arguments built from a checked request. Nothing else of the caller's is used:
//!
//! - Environment: journalctl gets an empty one (a `SYSTEMD_PAGER` or `SYSTEMD_LOG_TARGET` would mean something to it). This
//!   program reads no variable, and being linked statically has no loader that would.
//! - Descriptors above 2, limits, signals, umask and directory: [`helper::sanitise`]. journalctl reads `/dev/null`.
//! - Signals: it may be interrupted at any moment, since it changes nothing.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod request;

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use request::{Output, Request, Whose};

const JOURNALCTL: &str = "/usr/bin/journalctl";
const EXIT_USAGE: u8 = 2;
/// sysexits' EX_UNAVAILABLE: journalctl itself is missing.
const EXIT_UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    if let Err(error) = helper::sanitise() {
        helper::say(&format!("error: can't change to the directory /: {error}"));
        return ExitCode::FAILURE;
    }
    match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => become_journalctl(&request),
        Err(error) => {
            helper::say(&format!("error: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The slice of every server, and of nothing else.
const SLICE: &str = "left4me-game.slice";

/// Why root may do this for a hostile caller: the unit is named by the names crate from a checked name, or the slice is a
/// constant, so only what instances of `left4me-server@.service` print is read; the number and the cursor are checked to be such, and
/// stand behind a `=` or an option that takes them; nothing is written.
fn become_journalctl(request: &Request) -> ExitCode {
    let error = Command::new(JOURNALCTL).args(arguments(request)).env_clear().stdin(Stdio::null()).exec();
    helper::say(&format!("error: can't run {JOURNALCTL}: {error}"));
    ExitCode::from(if error.kind() == ErrorKind::NotFound { EXIT_UNAVAILABLE } else { 1 })
}

fn arguments(request: &Request) -> Vec<String> {
    // A pager would be a shell for root. Without `--quiet` there are lines of journalctl's own ("-- No entries --",
    // "-- Boot … --") among the output, also among JSON.
    let mut arguments: Vec<String> = ["--no-pager", "--quiet"].map(str::to_owned).into();
    if let Whose::Instance(name) = &request.whose {
        arguments.push(format!("--unit={}", name.unit()));
    }
    arguments.push(format!("--lines={}", request.lines));
    match request.output {
        Output::Cat => arguments.push("--output=cat".to_owned()),
        // Three fields instead of thirty: JSON costs twenty times what plain lines do, most of it for the fields. Cursor
        // and time are there always. `--all`: or a message of more than 4 KiB is null.
        // The unit is journald's own word, where the identifier is the sender's.
        Output::Json => arguments
            .extend(["--output=json", "--output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT", "--all"].map(str::to_owned)),
    }
    if request.follow {
        arguments.push("--follow".to_owned());
    }
    if let Some(cursor) = &request.after_cursor {
        arguments.push(format!("--after-cursor={cursor}"));
    }
    if request.whose == Whose::All {
        // A unit's pattern would become hundreds of matches, each of which journalctl looks up for every line.
        arguments.push(format!("_SYSTEMD_SLICE={SLICE}"));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments_of(args: &[&str]) -> String {
        arguments(&Request::parse(args.iter().map(std::ffi::OsString::from)).unwrap()).join(" ")
    }

    #[test]
    fn what_journalctl_is_told() {
        assert_eq!(
            arguments_of(&["a", "--lines", "200", "--follow"]),
            "--no-pager --quiet --unit=left4me-server@a.service --lines=200 --output=cat --follow"
        );
        assert_eq!(
            arguments_of(&["a", "--lines", "0", "--no-follow", "--output", "json", "--after-cursor", "s=1;i=2"]),
            "--no-pager --quiet --unit=left4me-server@a.service --lines=0 --output=json \
             --output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT --all --after-cursor=s=1;i=2"
        );
        assert_eq!(
            arguments_of(&["--all", "--lines", "9", "--no-follow"]),
            "--no-pager --quiet --lines=9 --output=cat _SYSTEMD_SLICE=left4me-game.slice"
        );
    }
}
