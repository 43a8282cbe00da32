//! Calling a program, and what came of it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::Way;

/// A program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, where it could.
    pub stdout: String,
    /// What it said, where it could.
    pub stderr: String,
}

impl Outcome {
    /// Says why this is a finding, if it is one: a panic, or an end by a signal that is not excused.
    pub fn finding(&self, lethal: bool) -> Option<String> {
        let text = format!("{}{}", self.stdout, self.stderr);
        if text.contains("panicked at") || self.status.code() == Some(101) {
            return Some(format!("it panicked: {self:?}"));
        }
        if let Some(signal) = self.status.signal().filter(|_| !lethal) {
            return Some(format!("signal {signal} killed it: {self:?}"));
        }
        None
    }
}

/// Calls a command in an odd way. One that takes more than 5 s is an error, and killed.
pub fn call(mut command: Command, way: &Way) -> io::Result<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    way.prepare(&mut command);
    watch(command, &mut |_| false)
}

/// Calls a program with these bare strings as its whole argv (it may be empty) and environment (they need not be
/// variables).
///
/// # Panics
/// If one of them has a NUL in it, which no program could be given.
pub fn call_bare(program: &Path, argv: &[&OsStr], environment: &[&OsStr]) -> io::Result<Outcome> {
    let c = |text: &OsStr| CString::new(text.as_bytes()).expect("no NUL in it");
    let path = c(program.as_os_str());
    let strings = [argv, environment].map(|list| list.iter().map(|text| c(text)).collect::<Vec<_>>());
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let exec = move || {
        let mut lists = [Vec::new(), Vec::new()];
        for (list, strings) in lists.iter_mut().zip(&strings) {
            list.extend(strings.iter().map(|text| text.as_ptr()));
            list.push(std::ptr::null());
        }
        // SAFETY: both lists end with a null pointer, and what they point to lives as long as this closure.
        unsafe { libc::execve(path.as_ptr(), lists[0].as_ptr(), lists[1].as_ptr()) };
        Err(io::Error::last_os_error())
    };
    // SAFETY: this process has other threads only in tests, whose memory allocator is not waited for by this one: glibc's is
    // usable after a fork.
    unsafe { command.pre_exec(exec) };
    watch(command, &mut |_| false)
}

/// Calls a command and sends it one signal after the other until it has ended. Returns what came of it.
pub fn storm(mut command: Command, signals: &[i32]) -> io::Result<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut next = signals.iter().cycle();
    watch(command, &mut |pid| {
        for signal in [*next.next().unwrap_or(&libc::SIGCONT), libc::SIGCONT] {
            // SAFETY: sends a signal to a child that is not waited for yet.
            unsafe { libc::kill(pid, signal) };
        }
        true
    })
}

/// Waits for the command; `disturb` is called again and again until it says that there is nothing to do.
fn watch(mut command: Command, disturb: &mut dyn FnMut(i32) -> bool) -> io::Result<Outcome> {
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).expect("a process' number is one");
    let start = Instant::now();
    let (sender, receiver) = channel();
    let waiter = std::thread::spawn(move || {
        // Not reaped before this has told: until then the number is the child's.
        let output = child.wait_with_output();
        let _ = sender.send(output);
    });
    loop {
        let more = disturb(pid);
        let pause = if more { Duration::from_micros(50) } else { LIMIT };
        match receiver.recv_timeout(pause) {
            Ok(output) => {
                waiter.join().expect("the waiter does not panic");
                return output.map(|output| outcome(&output));
            }
            Err(RecvTimeoutError::Timeout) if start.elapsed() < LIMIT => {}
            Err(_) => {
                // SAFETY: ends a child that hangs, and is therefore not waited for.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it hangs: {command:?}")));
            }
        }
    }
}

fn outcome(output: &Output) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
