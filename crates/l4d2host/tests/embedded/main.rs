//! The embedded supervisor with real namespaces and real mounts, as an ordinary user and, where the tests run as root,
//! as root too. The game is a shell script.
//!
//! A harness of its own: the supervisor executes `/proc/self/exe`, so this program has to be one that
//! [`run_if_called`](l4d2host::embedded::run_if_called) comes first in, and the standard harness does not let it. Each
//! test is a process, which may become another user and dies alone.

mod host;
mod life;

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::TestHost;

type Test = (&'static str, fn(&TestHost));

/// A user whom every distribution has, with no right to anything.
const NOBODY: u32 = 65534;

/// Most of a test is waiting for a server.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    if let Some(code) = l4d2host::embedded::run_if_called(std::env::args_os()) {
        return code;
    }
    let tests: Vec<Test> = [life::TESTS].concat();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, scratch] = args.as_slice()
        && word == "run-test"
    {
        let (_, test) = tests.iter().find(|(test, _)| test == name).expect("a test of that name");
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
    let output = command.output().unwrap();
    let mut problem = String::new();
    if !output.status.success() {
        problem = format!("{}\n", output.status);
        problem += &String::from_utf8_lossy(&output.stdout);
        problem += &String::from_utf8_lossy(&output.stderr);
    }
    for left in host::processes_of(scratch.path()) {
        problem += &format!("left running: {left}\n");
    }
    // The test deleted its instance as its user; the runner may be root, and could remove anything.
    for left in ["instances", "runtime", "tmp"].map(|dir| scratch.path().join(dir)) {
        for entry in std::fs::read_dir(left).into_iter().flatten().flatten() {
            problem += &format!("left behind: {}\n", entry.path().display());
        }
    }
    (!problem.is_empty()).then_some(problem)
}
