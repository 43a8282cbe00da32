//! Running `/usr/bin/systemctl`: the only place that does.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// sysexits' EX_UNAVAILABLE: systemctl itself is missing.
const EXIT_UNAVAILABLE: u8 = 69;

/// A child that failed or could not be run. What it said is already on stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    message: Option<String>,
    code: u8,
}

impl Failure {
    /// A program that could not be run.
    pub(crate) fn spawn(program: &str, error: &std::io::Error) -> Self {
        let code = if error.kind() == ErrorKind::NotFound { EXIT_UNAVAILABLE } else { 1 };
        Self { message: Some(format!("can't run {program}: {error}")), code }
    }

    /// Our own error about something else.
    pub(crate) fn new(message: String) -> Self {
        Self { message: Some(message), code: 1 }
    }

    /// Prints what was not printed yet; the exit code is the child's.
    pub(crate) fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            helper::say(&format!("error: {message}"));
        }
        ExitCode::from(self.code)
    }
}

/// Success, or the exit code of a child; 128 + N after signal N, as shells have it.
pub(crate) fn check(status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Err(Failure { message: None, code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1) })
}

/// Picks the lines of systemctl's stderr that are kept from the caller.
pub(crate) type Hide = fn(&str, &[String]) -> bool;

/// A systemctl with these arguments for `units`. Whatever the terminal is, there is no pager, which would be a shell for
/// root, and no password agent; and nothing after `--` can be an option.
pub(crate) fn command(args: &[&str], units: &[String]) -> Command {
    let mut command = Command::new(SYSTEMCTL);
    command.args(args).args(["--no-pager", "--no-ask-password", "--"]).args(units);
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs systemctl, its stdout ours, its stderr ours without the lines that `hide` picks. Whether a line was passed on is
/// returned with its exit status.
pub(crate) fn run(args: &[&str], units: &[String], hide: Hide) -> Result<(ExitStatus, bool), Failure> {
    let mut child =
        command(args, units).stderr(Stdio::piped()).spawn().map_err(|error| Failure::spawn(SYSTEMCTL, &error))?;
    let mut passed_on = false;
    if let Some(stderr) = child.stderr.take() {
        passed_on = pass_on(BufReader::new(stderr), units, hide)
            .map_err(|error| Failure::new(format!("can't pass on what systemctl says: {error}")))?;
    }
    let status = child.wait().map_err(|error| Failure::new(format!("can't wait for systemctl: {error}")))?;
    Ok((status, passed_on))
}

/// Runs systemctl for what it prints; stderr is ours.
pub(crate) fn output(args: &[&str], units: &[String]) -> Result<Vec<u8>, Failure> {
    let output = command(args, units).stderr(Stdio::inherit()).output();
    Ok(output.map_err(|error| Failure::spawn(SYSTEMCTL, &error))?.stdout)
}

/// Copies lines to stderr as they come, byte for byte, but for those that `hide` picks.
fn pass_on(mut lines: impl BufRead, units: &[String], hide: Hide) -> std::io::Result<bool> {
    let mut line = Vec::new();
    let mut passed_on = false;
    while lines.read_until(b'\n', &mut line)? > 0 {
        if !std::str::from_utf8(&line).is_ok_and(|text| hide(text.trim_end_matches('\n'), units)) {
            passed_on = true;
            // A closed stderr must not stop what was asked for half way.
            std::io::stderr().write_all(&line).ok();
        }
        line.clear();
    }
    Ok(passed_on)
}
