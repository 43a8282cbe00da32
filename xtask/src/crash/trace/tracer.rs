//! The tracer: follows the command and whoever it starts, and acts at the place.

mod letting_go;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid};
use syscalls::Sysno;

use super::place::{Key, Place, is_pipe, key, program};
use super::{Act, Plan};

/// How long a program that is to be followed beyond the command's own end may take to begin.
const LINGER: Duration = Duration::from_secs(5);

/// `PTRACE_EVENT_STOP` (linux/ptrace.h), which libc has no name for on glibc.
const EVENT_STOP: i32 = 128;

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

pub(super) struct Tracer<'a> {
    plan: &'a Plan<'a>,
    at: Option<(&'a Place, Act)>,
    root: Pid,
    tracees: BTreeMap<Pid, Tracee>,
    /// How many of each program there were.
    runs: BTreeMap<String, u32>,
    /// Children whose first stop came before their parent told of them.
    early: BTreeSet<Pid>,
    pub(super) calls: Vec<Place>,
    pub(super) hit: bool,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, at: Option<(&'a Place, Act)>, root: Pid) -> Self {
        let (tracees, runs, early) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { plan, at, root, tracees, runs, early, calls: Vec::new(), hit: false }
    }

    /// Follows everybody until the command has ended; its exit code.
    pub(super) fn follow(&mut self) -> Result<i32> {
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
