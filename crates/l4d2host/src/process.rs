//! The one place that builds external commands, and what becomes of their three streams.

use std::io::ErrorKind as Io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use crate::{Error, ErrorKind};

/// Where sudo and the rest of the system's programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command with an environment of ours and nothing to read. Messages are in English, as some are looked at.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// A program that could not be run at all.
pub(crate) fn spawn_error(program: &str, error: std::io::Error) -> Error {
    let missing = error.kind() == Io::NotFound;
    let failed = Error::new(ErrorKind::Unsupported, format!("can't run {program}")).because(error);
    if missing { failed.hint("`l4d2ctl doctor` says what is missing and how to get it") } else { failed }
}

/// The exit code as a shell gives it: 128 and the signal for one that a signal ended.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
