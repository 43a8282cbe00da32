//! The embedded supervisor with real namespaces and real mounts, as an ordinary user and, where the tests run as root,
//! as root too. The game is a shell script.
//!
//! A harness of its own: the supervisor executes `/proc/self/exe`, so this program has to be one that
//! [`run_if_called`](l4d2host::embedded::run_if_called) comes first in, and the standard harness does not let it. Each
//! test is a process, which may become another user and dies alone.

#![allow(clippy::disallowed_methods, reason = "tests make and damage trees by path")]

mod host;
mod hostile;
mod life;
mod logs;
mod marks;
mod sight;
mod trouble;
mod undo;
mod updates;
mod usage;

use std::io::{Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::TestHost;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

type Test = (&'static str, fn(&TestHost));

/// A user whom every distribution has, with no right to anything.
const NOBODY: u32 = 65534;

/// Ends a test that hangs; the longest waits for 25 s, twice.
const LIMIT: Timespec = Timespec { tv_sec: 180, tv_nsec: 0 };

/// Most of a test is waiting for a server.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    if let Some(code) = l4d2host::embedded::run_if_called(std::env::args_os()) {
        return code;
    }
    let parts = [
        life::TESTS,
        sight::TESTS,
        logs::TESTS,
        trouble::TESTS,
        undo::TESTS,
        hostile::TESTS,
        marks::TESTS,
        usage::TESTS,
        updates::TESTS,
    ];
    let tests: Vec<Test> = parts.concat();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, scratch] = args.as_slice()
        && word == "run-test"
    {
        let (_, test) = tests
            .iter()
            .chain(trouble::PARTS)
            .chain(updates::PARTS)
            .find(|(test, _)| test == name)
            .expect("a test of that name");
        test(&TestHost::new(Path::new(scratch)));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = tests.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(*f)));
    let me = rustix::process::geteuid().as_raw();
    let users = if me == 0 { vec![NOBODY, 0] } else { vec![me] };
    let runs: Vec<(&str, u32)> = chosen.flat_map(|(name, _)| users.iter().map(|user| (*name, *user))).collect();
    if args.iter().any(|arg| arg == "--list") {
        for (name, user) in runs {
            println!("{name}_as_{user}: test");
        }
        return ExitCode::SUCCESS;
    }
    run_all(&runs)
}

fn run_all(runs: &[(&str, u32)]) -> ExitCode {
    println!("\nrunning {} tests", runs.len());
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, user)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problem = run_one(name, *user);
                    let word = if problem.is_none() { "ok" } else { "FAILED" };
                    println!("test {name}_as_{user} ... {word}");
                    if let Some(problem) = problem {
                        failed.lock().unwrap().push(format!("---- {name}_as_{user} ----\n{problem}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for problem in &failed {
        println!("\n{problem}");
    }
    let (word, passed) = (if failed.is_empty() { "ok" } else { "FAILED" }, runs.len() - failed.len());
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out\n",
        failed.len()
    );
    std::io::stdout().flush().unwrap();
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a test as a user, in a root directory of its own; says what went wrong, if anything.
fn run_one(name: &str, user: u32) -> Option<String> {
    let scratch = tempfile::Builder::new().prefix("left4me-embedded-").tempdir().unwrap();
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
    chown(scratch.path(), Some(user), Some(user)).or_else(|e| if user == 0 { Err(e) } else { Ok(()) }).unwrap();
    let mut command = Command::new("/proc/self/exe");
    command.args(["run-test", name]).arg(scratch.path()).stdin(Stdio::null()).current_dir("/");
    if rustix::process::geteuid().as_raw() != user {
        command.gid(user).uid(user);
    }
    let mut problem = run_limited(&mut command);
    for (pid, line) in host::processes_of(scratch.path()) {
        problem += &format!("left running: {pid} {line}\n");
        // It may be gone with the one before it.
        let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
    }
    // The test deleted its instance as its user; the runner may be root, and could remove anything.
    for left in ["instances", "runtime", "tmp"].map(|dir| scratch.path().join(dir)) {
        for entry in std::fs::read_dir(left).into_iter().flatten().flatten() {
            problem += &format!("left behind: {}\n", entry.path().display());
        }
    }
    (!problem.is_empty()).then_some(problem)
}

/// Runs a test's process, and ends it where it takes too long; says what it printed if it failed.
fn run_limited(command: &mut Command) -> String {
    let mut said = tempfile::tempfile().unwrap();
    command.stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let mut problem = String::new();
    if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&LIMIT)).unwrap() == 0 {
        problem = "it took too long\n".to_owned();
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    if !status.success() {
        problem += &format!("{status}\n");
        said.rewind().unwrap();
        let mut text = Vec::new();
        said.read_to_end(&mut text).unwrap();
        problem += &String::from_utf8_lossy(&text);
    }
    problem
}
