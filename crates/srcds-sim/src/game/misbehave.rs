//! What a server can be told to do wrong, by cvars that begin with `sim_`.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::cvars::Cvars;
use super::say;

/// What happens before any port is bound.
pub(super) fn before_start(cvars: &Cvars) -> Option<ExitCode> {
    if cvars.number("sim_crash_after") == Some(0_u64) {
        crash();
    }
    (cvars.number("sim_exit_after") == Some(0_u64)).then(|| exit(cvars))
}

/// What is printed, started or eaten once the server is up.
pub(super) fn after_start(cvars: &Cvars) {
    if cvars.is_on("sim_hostile_output") {
        let mut out = std::io::stdout();
        let _ = out.write_all(
            b"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x9b31m \xff\xfe \0 \x7f bell\x07 \xe2\x80\xaereversed\n",
        );
        let _ = out.write_all(&vec![b'x'; 100_000]);
        let _ = out.write_all(b"\n");
    }
    for n in 0..cvars.number("sim_flood").unwrap_or(0_u64) {
        say(&format!("flood line {n}"));
    }
    for _ in 0..cvars.number("sim_fork").unwrap_or(0_u64) {
        // A child that nobody waits for and that does not care for SIGINT.
        let child =
            Command::new("/bin/sh").args(["-c", "trap '' INT TERM; exec sleep 1000"]).stdin(Stdio::null()).spawn();
        match child {
            Ok(child) => say(&format!("forked {}", child.id())),
            Err(error) => say(&format!("can't fork: {error}")),
        }
    }
    for _ in 0..cvars.number("sim_threads").unwrap_or(0_u64) {
        // Parked for ever, and counted by TasksMax as a process is.
        let thread = std::thread::Builder::new().spawn(|| {
            loop {
                std::thread::park();
            }
        });
        if let Err(error) = thread {
            say(&format!("can't start a thread: {error}"));
            break;
        }
    }
    if let Some(pid) = cvars.number("sim_signal").and_then(rustix::process::Pid::from_raw) {
        // To another server, say: signal 0 would be enough to ask, a real one is what an attacker sends.
        match rustix::process::kill_process(pid, rustix::process::Signal::TERM) {
            Ok(()) => say("signalled"),
            Err(errno) => say(&format!("can't signal: {}", std::io::Error::from(errno))),
        }
    }
    if let Some(megabytes) = cvars.number::<usize>("sim_alloc_mb") {
        let memory = vec![1_u8; megabytes << 20];
        say(&format!("allocated {} MiB", std::hint::black_box(&memory).len() >> 20));
        std::mem::forget(memory);
    }
}

/// When something is due next.
pub(super) fn next_event(cvars: &Cvars, started: Instant) -> Option<Duration> {
    let times = ["sim_crash_after", "sim_exit_after"].into_iter().filter_map(|name| cvars.number::<u64>(name));
    times.min().map(|seconds| Duration::from_secs(seconds).saturating_sub(started.elapsed()))
}

/// What is due now: a crash never comes back, an exit does with its code.
pub(super) fn due(cvars: &Cvars, started: Instant) -> Option<ExitCode> {
    let is_due = |name: &str| cvars.number::<u64>(name).is_some_and(|seconds| started.elapsed().as_secs() >= seconds);
    if is_due("sim_crash_after") {
        crash();
    }
    is_due("sim_exit_after").then(|| exit(cvars))
}

fn crash() -> ! {
    say("Segmentation fault (SIMULATED)");
    std::process::abort()
}

fn exit(cvars: &Cvars) -> ExitCode {
    let code = cvars.number("sim_exit_code").unwrap_or(1_u8);
    say(&format!("Exiting with code {code} (SIMULATED)"));
    ExitCode::from(code)
}
