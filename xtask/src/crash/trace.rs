//! Following a command call by call (ptrace(2)), and at a chosen call killing the process, killing its whole group, or
//! letting the call fail.
//!
//! What `strace -f -e inject=…` does, but a place is the n-th call of a name of *one* program of ours. strace counts in
//! each process by itself, so that with l4d2ctl, sudo, systemctl and a helper in one tree a number means four calls; and
//! it does not follow what PID 1 starts for a unit. Here PID 1 is followed, too, and let go of at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, killpg, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, getpgid, setgid, setgroups, setpgid, setuid};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use serde::{Deserialize, Serialize};
use syscalls::Sysno;

/// The stub that is traced until it becomes the command; see [`stub`].
pub(crate) const STUB: &str = "crash-stub";

/// The file of what the command says.
const STDERR: &str = "stderr";

/// How long a command may take, traced; then it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a program that is to be followed beyond the command's own end may take to begin.
const LINGER: Duration = Duration::from_secs(5);

/// `PTRACE_EVENT_STOP` (linux/ptrace.h), which libc has no name for on glibc.
const EVENT_STOP: i32 = 128;

/// One program in a run: what is executed, with its verb, and the how-manieth of that kind it is. What is forked and has
/// not executed anything yet is `PROGRAM (fork)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) program: String,
    pub(super) run: u32,
}

/// A call of a program: the n-th of its kind, counted from 1. By its kind, since how often a program waits or looks at
/// other processes differs from run to run, and what comes after it would be another call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) nth: u32,
    /// The call's number.
    number: u32,
    /// It reads from or writes to a pipe or a socket, which no disk can make fail.
    pub(super) on_pipe: bool,
}

impl Place {
    /// Which call it is.
    pub(super) fn call(&self) -> Sysno {
        Sysno::from(self.number)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { program, run } = &self.key;
        write!(f, "{} number {} of {program}", self.call(), self.nth)?;
        if *run > 1 { write!(f, ", run {run}") } else { Ok(()) }
    }
}

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

/// Whose calls are ours.
pub(super) fn is_ours(program: &str) -> bool {
    program.starts_with("l4d2ctl") || program.starts_with("left4me-")
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

struct Tracee {
    key: Key,
    /// Its calls are looked at.
    counts: bool,
    /// How many there were of each.
    seen: BTreeMap<u32, u32>,
    /// The error that the call it is in will return.
    failing: Option<Errno>,
}

impl Tracee {
    fn new(key: Key, counts: bool) -> Self {
        Self { key, counts, seen: BTreeMap::new(), failing: None }
    }
}

struct Tracer<'a> {
    plan: &'a Plan<'a>,
    at: Option<(&'a Place, Act)>,
    root: Pid,
    tracees: BTreeMap<Pid, Tracee>,
    /// How many of each program there were.
    runs: BTreeMap<String, u32>,
    /// Children whose first stop came before their parent told of them.
    early: BTreeSet<Pid>,
    calls: Vec<Place>,
    hit: bool,
}

impl<'a> Tracer<'a> {
    fn new(plan: &'a Plan<'a>, at: Option<(&'a Place, Act)>, root: Pid) -> Self {
        let (tracees, runs, early) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { plan, at, root, tracees, runs, early, calls: Vec::new(), hit: false }
    }

    /// Follows everybody until the command has ended; its exit code.
    fn follow(&mut self) -> Result<i32> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC;
        match waitpid(self.root, Some(WaitPidFlag::WUNTRACED))? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            other => bail!("the stub did not stop: {other:?}"),
        }
        ptrace::seize(self.root, options).context("can't trace")?;
        self.tracees.insert(self.root, Tracee::new(key("stub"), false));
        for &other in self.plan.others {
            match ptrace::seize(other, options) {
                Ok(()) => {}
                // It has ended since it was listed.
                Err(Errno::ESRCH) => continue,
                Err(errno) => return Err(errno).with_context(|| format!("can't trace process {other}")),
            }
            let key = key(&program(other).unwrap_or_default());
            let counts = self.counts(&key);
            self.tracees.insert(other, Tracee::new(key, counts));
            if counts {
                // Its calls are seen only after a stop.
                ptrace::interrupt(other)?;
            }
        }
        kill(self.root, Signal::SIGCONT)?;
        let mut code = None;
        let mut until = None;
        while code.is_none() || (until.is_some_and(|until| Instant::now() < until) && self.has_to_linger()) {
            let flags = if code.is_some() { WaitPidFlag::__WALL | WaitPidFlag::WNOHANG } else { WaitPidFlag::__WALL };
            let status = match waitpid(None, Some(flags)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno).context("can't wait for what is traced"),
            };
            if status == WaitStatus::StillAlive {
                // The command has ended, and the program to come may not have begun: nothing tells when it does.
                std::thread::sleep(Duration::from_millis(1));
            }
            if let Some(ended) = self.handle(status)? {
                code = Some(ended);
                until = (ended == 0).then(|| Instant::now() + LINGER);
            }
        }
        code.context("the command has no exit code")
    }

    /// Whether the program that is waited for has not run yet, or still does.
    fn has_to_linger(&self) -> bool {
        let Some(program) = self.plan.linger else { return false };
        let is_wanted = self.at.is_none_or(|(place, _)| !self.hit && place.key.program.starts_with(program));
        is_wanted
            && (!self.runs.contains_key(program) || self.tracees.values().any(|tracee| tracee.key.program == program))
    }

    /// Deals with one event; the command's exit code if it was its end.
    fn handle(&mut self, status: WaitStatus) -> Result<Option<i32>> {
        match status {
            WaitStatus::Exited(pid, code) => return Ok(self.ended(pid, code)),
            WaitStatus::Signaled(pid, signal, _) => return Ok(self.ended(pid, 128 + signal as i32)),
            WaitStatus::PtraceSyscall(pid) => self.at_call(pid)?,
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => {
                self.executed(pid);
                self.go_on(pid, None)?;
            }
            WaitStatus::PtraceEvent(
                pid,
                _,
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
            ) => {
                let child = Pid::from_raw(i32::try_from(ptrace::getevent(pid).unwrap_or(0))?);
                self.forked(pid, child)?;
                self.go_on(pid, None)?;
            }
            WaitStatus::PtraceEvent(pid, signal, EVENT_STOP) => {
                if self.tracees.contains_key(&pid) {
                    // A child's first stop, our own interruption, or a stop signal, which nobody here sends.
                    let _ = signal;
                    self.go_on(pid, None)?;
                } else {
                    self.early.insert(pid);
                }
            }
            WaitStatus::PtraceEvent(pid, ..) => self.go_on(pid, None)?,
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal))?,
            WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
        }
        Ok(None)
    }

    fn ended(&mut self, pid: Pid, code: i32) -> Option<i32> {
        self.tracees.remove(&pid);
        (pid == self.root).then_some(code)
    }

    fn forked(&mut self, parent: Pid, child: Pid) -> Result<()> {
        let Some(parent) = self.tracees.get(&parent) else { return Ok(()) };
        let program = match parent.key.program.strip_suffix(" (fork)") {
            Some(_) => parent.key.program.clone(),
            None => format!("{} (fork)", parent.key.program),
        };
        let key = self.next_run(program);
        let counts = self.counts(&key);
        self.tracees.insert(child, Tracee::new(key, counts));
        if self.early.remove(&child) {
            self.go_on(child, None)?;
        }
        Ok(())
    }

    fn executed(&mut self, pid: Pid) {
        let Some(program) = program(pid) else { return };
        let key = self.next_run(program);
        let counts = self.counts(&key);
        self.tracees.insert(pid, Tracee::new(key, counts));
    }

    fn next_run(&mut self, program: String) -> Key {
        let run = self.runs.entry(program.clone()).or_default();
        *run += 1;
        Key { program, run: *run }
    }

    /// Whether the calls of this program are looked at: all, or those of the one where something is to happen.
    fn counts(&self, key: &Key) -> bool {
        match self.at {
            None => true,
            Some((place, _)) => !self.hit && place.key == *key,
        }
    }

    fn at_call(&mut self, pid: Pid) -> Result<()> {
        const ENTRY: u8 = libc::PTRACE_SYSCALL_INFO_ENTRY;
        let op = match ptrace::syscall_info(pid) {
            Ok(info) => info.op,
            // Killed meanwhile: its end is the next event.
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(errno).context("can't look at a call"),
        };
        let Some(tracee) = self.tracees.get_mut(&pid) else { return self.go_on(pid, None) };
        if op != ENTRY {
            if let Some(errno) = tracee.failing.take() {
                return_error(pid, errno)?;
            }
            return self.go_on(pid, None);
        }
        let registers = match ptrace::getregs(pid) {
            Ok(registers) => registers,
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(errno).context("can't look at a call"),
        };
        let number = u32::try_from(registers.orig_rax).unwrap_or(u32::MAX);
        let nth = tracee.seen.entry(number).or_default();
        *nth += 1;
        let (key, nth) = (tracee.key.clone(), *nth);
        match self.at {
            None if tracee.counts => {
                let on_pipe = is_pipe(pid, Sysno::from(number), registers.rdi);
                self.calls.push(Place { key, nth, number, on_pipe });
            }
            Some((place, act)) if !self.hit && place.key == key && (place.number, place.nth) == (number, nth) => {
                self.hit = true;
                return self.act(pid, act);
            }
            _ => {}
        }
        self.go_on(pid, None)
    }

    fn act(&mut self, pid: Pid, act: Act) -> Result<()> {
        match act {
            // One that was stopped at a call's entry does not make the call.
            Act::Kill => kill(pid, Signal::SIGKILL)?,
            Act::KillGroup => killpg(getpgid(Some(pid))?, Signal::SIGKILL)?,
            Act::KillCommand => killpg(self.root, Signal::SIGKILL)?,
            Act::Fail(errno) => {
                let mut registers = ptrace::getregs(pid)?;
                // No such call: the kernel makes none.
                registers.orig_rax = u64::MAX;
                ptrace::setregs(pid, registers)?;
                if let Some(tracee) = self.tracees.get_mut(&pid) {
                    tracee.failing = Some(errno);
                }
                return to_next_stop(ptrace::syscall(pid, None));
            }
        }
        // Whoever was not killed goes on.
        to_next_stop(ptrace::cont(pid, None))
    }

    /// Lets a stopped process run: to its next call if its calls count.
    fn go_on(&self, pid: Pid, signal: Option<Signal>) -> Result<()> {
        let stops = self.tracees.get(&pid).is_some_and(|tracee| tracee.counts && !(self.at.is_some() && self.hit));
        to_next_stop(if stops { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) })
    }

    /// Lets everybody go who still runs. Whoever's turn comes first: waiting for one by itself could last for ever, as PID 1
    /// of a namespace ends only when those in it are reaped, which is ours to do as long as we trace them.
    fn let_go(&mut self) -> Result<()> {
        for &pid in self.tracees.keys() {
            match ptrace::interrupt(pid) {
                Ok(()) | Err(Errno::EIO | Errno::ESRCH) => {}
                Err(errno) => return Err(errno).with_context(|| format!("can't stop {pid} to let it go")),
            }
        }
        // Of these nobody is told any more, or their parents will tell of them later.
        let mut freed = std::mem::take(&mut self.early);
        for &pid in &freed {
            to_next_stop(ptrace::detach(pid, None))?;
        }
        while !self.tracees.is_empty() {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.let_one_go(status, &mut freed)?,
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(errno) => return Err(errno).context("can't wait for who is to be let go"),
            }
        }
        Ok(())
    }

    fn let_one_go(&mut self, status: WaitStatus, freed: &mut BTreeSet<Pid>) -> Result<()> {
        let (pid, signal) = match status {
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            WaitStatus::PtraceSyscall(pid) | WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                self.tracees.remove(&pid);
                return Ok(());
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => return Ok(()),
        };
        if let WaitStatus::PtraceEvent(
            _,
            _,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
        ) = status
        {
            // Its child is traced, too, and stops, if it has not yet.
            let child = Pid::from_raw(i32::try_from(ptrace::getevent(pid).unwrap_or(0))?);
            if !freed.contains(&child) {
                self.tracees.insert(child, Tracee::new(key("?"), false));
            }
        }
        self.tracees.remove(&pid);
        freed.insert(pid);
        to_next_stop(ptrace::detach(pid, signal))
    }
}

/// A process that was killed meanwhile is no error: its end is the next event.
fn to_next_stop(result: nix::Result<()>) -> Result<()> {
    match result {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).context("can't let a process go on"),
    }
}

fn return_error(pid: Pid, errno: Errno) -> Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    registers.rax = (-i64::from(errno as i32)).cast_unsigned();
    Ok(ptrace::setregs(pid, registers)?)
}

/// Whether a call reads from or writes to a pipe or a socket.
fn is_pipe(pid: Pid, call: Sysno, descriptor: u64) -> bool {
    if ![Sysno::read, Sysno::readv, Sysno::write, Sysno::writev].contains(&call) {
        return false;
    }
    let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap_or_default();
    ["pipe:", "socket:"].iter().any(|kind| target.to_string_lossy().starts_with(kind))
}

fn key(program: &str) -> Key {
    Key { program: program.to_owned(), run: 1 }
}

/// What a process runs: the name of its file and its first argument, the verb of each program of ours.
fn program(pid: Pid) -> Option<String> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = file.file_name()?.to_string_lossy().into_owned();
    if !is_ours(&name) {
        return Some(name);
    }
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let verb = words.split(|&byte| byte == 0).nth(1).map(String::from_utf8_lossy).unwrap_or_default();
    Some(format!("{name} {verb}"))
}
