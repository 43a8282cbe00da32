//! Following a command call by call (ptrace(2)), and at a chosen call killing the process, killing its whole group, or
//! letting the call fail.
//!
//! What `strace -f -e inject=…` does, but a place is the n-th call of a name of *one* program of ours. strace counts in
//! each process by itself, so that with l4d2ctl, sudo, systemctl and a helper in one tree a number means four calls; and
//! it does not follow what PID 1 starts for a unit. Here PID 1 is followed, too, and let go of at the end.

mod place;
mod tracer;

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg, raise};
use nix::unistd::{Gid, Pid, Uid, setgid, setgroups, setpgid, setuid};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

pub(super) use place::{Place, is_ours};
use tracer::Tracer;

/// The stub that is traced until it becomes the command; see [`stub`].
pub(crate) const STUB: &str = "crash-stub";

/// The file of what the command says.
const STDERR: &str = "stderr";

/// How long a command may take, traced; then it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What happens at the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The process is killed before the call is made.
    Kill,
    /// It and its whole process group are.
    KillGroup,
    /// The command's own process group is killed, whoever makes the call.
    KillCommand,
    /// The call is not made and fails.
    Fail(Errno),
}

/// What to run, and whom to look at.
pub(super) struct Plan<'a> {
    pub(super) command: &'a [&'a str],
    /// Whom the command is run as.
    pub(super) user: (u32, u32),
    pub(super) environment: &'a [(&'a str, &'a str)],
    /// Processes that run already and are followed as well, with what they start.
    pub(super) others: &'a [Pid],
    /// A program that is waited for when the command has ended well: a unit's main process starts a moment later.
    pub(super) linger: Option<&'a str>,
    /// Where what the command says on stderr goes.
    pub(super) scratch: &'a Path,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Run {
    /// Everybody's calls, where nothing was to happen at any.
    pub(super) calls: Vec<Place>,
    /// What was to happen did.
    pub(super) hit: bool,
    /// The command's exit code; 128 and the signal's number for one that a signal ended.
    pub(super) code: i32,
    pub(super) stderr: String,
}

/// Runs the command to its end; with a place, `act` happens there.
pub(super) fn run(plan: &Plan, at: Option<(&Place, Act)>) -> Result<Run> {
    let mut child = spawn_stub(plan)?;
    let root = Pid::from_raw(child.id().cast_signed());
    let (end_watch, watched) = channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let hangs = watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
        if hangs {
            // Gone already if this fails.
            let _ = killpg(root, Signal::SIGKILL);
        }
        hangs
    });
    let mut tracer = Tracer::new(plan, at, root);
    let traced = tracer.follow();
    let freed = tracer.let_go();
    drop(end_watch);
    let hung = watchdog.join().map_err(|_| anyhow::anyhow!("the watchdog died"))?;
    if traced.is_err() {
        // It may still be stopped.
        let _ = child.kill();
    }
    ensure!(!hung, "{:?} did not end in {} s", plan.command, LIMIT.as_secs());
    let code = traced?;
    freed?;
    let stderr = fs::read(plan.scratch.join(STDERR)).with_context(|| format!("can't read {STDERR}"))?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(Run { calls: tracer.calls, hit: tracer.hit, code, stderr })
}

/// Starts ourselves as the stub, which stops and then becomes the command: an exec without a fork between it and us.
fn spawn_stub(plan: &Plan) -> Result<Child> {
    // A file, which takes all that is said without anybody who reads.
    let stderr = File::create(plan.scratch.join(STDERR)).with_context(|| format!("can't make {STDERR}"))?;
    let (uid, gid) = plan.user;
    let mut command = Command::new("/proc/self/exe");
    command.args([STUB, &uid.to_string(), &gid.to_string()]).args(plan.command);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(plan.environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().context("can't run the stub")
}

/// The stub: leads a process group on one processor, becomes the user, stops to be seized, and becomes the command.
pub(crate) fn stub(args: &[String]) -> Result<()> {
    let [uid, gid, program, args @ ..] = args else { bail!("the stub needs a user and a command") };
    let (uid, gid) = (Uid::from_raw(uid.parse()?), Gid::from_raw(gid.parse()?));
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    setgroups(&[gid])?;
    setgid(gid)?;
    setuid(uid)?;
    // With one processor it hashes in one thread, whose calls come in the same order each time.
    let mut processor = CpuSet::new();
    processor.set(sched_getcpu());
    sched_setaffinity(None, &processor)?;
    raise(Signal::SIGSTOP)?;
    Err(Command::new(program).args(args).exec()).with_context(|| format!("can't run {program}"))
}
