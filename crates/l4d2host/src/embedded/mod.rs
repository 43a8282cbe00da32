//! The embedded supervisor: servers without root and without systemd.
//!
//! One small process an instance, which is PID 1 of a user, mount and PID namespace of its own. It mounts the stack with
//! the code that root uses, runs the game, restarts it as the unit would, and writes its log. When it dies, in whatever
//! way, the kernel ends everything in the namespace and the mount goes with it: nothing is left to clean up.
//!
//! A start is three re-executions of this program, as namespaces and capabilities want a fresh process each:
//! `supervise` (enters the namespaces: [`namespaces`]), `supervise-init` (PID 1: [`init`]) and `supervise-game` (drops
//! every privilege and becomes the game: [`game`]). [`run_if_called`] tells them apart, before anything else in `main`.

mod console;
mod game;
mod init;
mod namespaces;
mod policy;
mod state;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::process::spawn_error;
use crate::supervisor::{Supervisor, SupervisorKind};
use crate::{Error, ErrorKind, LogOptions, LogStream, Result, UnitDetails, UnitState};
use state::State;

/// The game's 15 s of grace, and what unmounting may take besides. A supervisor that needs longer is killed.
const STOP_LIMIT: Timespec = Timespec { tv_sec: 25, tv_nsec: 0 };

/// What a supervisor that started its game writes to its caller.
const STARTED: &str = "started\n";

/// Runs a part of the supervisor if the arguments (the program's name first) ask for one. To be called first in `main`,
/// while the process has one thread.
pub fn run_if_called(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<OsString> = args.skip(1).collect();
    let (part, args) = args.split_first()?;
    match (part.to_str()?, args) {
        ("supervise", [root, name]) => Some(namespaces::enter(root, name)),
        ("supervise-init", [root, name]) => Some(init::run(root, name)),
        ("supervise-game", [merged, launch]) => Some(game::run(merged, launch)),
        _ => None,
    }
}

/// Whether an embedded supervisor runs the instance: only its lock says so.
pub(crate) fn is_held(root: &Dir, name: &InstanceName) -> Result<bool> {
    let path = format!("locks/{name}.supervisor");
    if !root.exists(&path)? {
        return Ok(false);
    }
    // Shared, and for a moment: a supervisor that starts just now waits for it.
    match root.open_file(&path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::io(format!("can't look at the lock of {name}"), error)),
    }
}

/// The embedded supervisor of one root directory.
#[derive(Debug)]
pub(crate) struct Embedded {
    root: PathBuf,
    home: Option<PathBuf>,
}

impl Embedded {
    /// `home` is the game's HOME; otherwise the account's.
    pub(crate) fn new(root: PathBuf, home: Option<PathBuf>) -> Self {
        Self { root, home }
    }

    fn open(&self) -> Result<Dir> {
        Ok(Dir::open_root(&self.root)?)
    }

    /// The recorded state as far as it can be believed; none for an instance that was never run, or was stopped.
    fn state(root: &Dir, name: &InstanceName) -> Result<Option<State>> {
        Ok(State::read(root, name)?
            .map(|state| if is_held(root, name).unwrap_or(true) { state } else { state.ended() }))
    }
}

impl Supervisor for Embedded {
    fn kind(&self) -> SupervisorKind {
        SupervisorKind::Embedded
    }

    fn enable(&self, name: &InstanceName) -> Result<()> {
        let root = self.open()?;
        // Made here, so that looking for a lock never makes one.
        root.open_dir("locks")?.open_or_create(format!("{name}.supervisor"), 0o600)?;
        let mut child = crate::process::command("/proc/self/exe")
            .arg("supervise")
            .arg(&self.root)
            .arg(name.as_str())
            .envs(self.home.clone().or_else(crate::account::home).map(|home| ("HOME", home)))
            .current_dir("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| spawn_error("the supervisor", e))?;
        let mut said = String::new();
        // Ends when the supervisor has started the game and let go of its stdout, or when it has died.
        if let Some(stdout) = child.stdout.take() {
            stdout.take(64 * 1024).read_to_string(&mut said).map_err(|e| Error::io("can't hear the supervisor", e))?;
        }
        child.wait().map_err(|e| Error::io("can't wait for the supervisor", e))?;
        if said.ends_with(STARTED) {
            return Ok(());
        }
        let mut why = said;
        if let Some(stderr) = child.stderr.take() {
            // Whatever it says is the cause; that it can't be read would hide the failure itself.
            let _ = stderr.take(64 * 1024).read_to_string(&mut why);
        }
        let (why, hint) = match why.split_once("hint: ") {
            Some((why, hint)) => (why.trim_end().to_owned(), hint.trim_end().to_owned()),
            None => (why.trim_end().to_owned(), format!("`l4d2ctl logs {name} --no-follow` shows what it printed")),
        };
        let why = if why.is_empty() { "the supervisor ended without a word".to_owned() } else { why };
        Err(Error::new(ErrorKind::StartFailed, format!("instance {name} did not start")).because(why).hint(hint))
    }

    fn disable(&self, name: &InstanceName) -> Result<()> {
        let root = self.open()?;
        if is_held(&root, name)? {
            end_supervisor(&root, name)?;
            // The kernel lets go of the lock when the last process of the namespace is gone.
            let lock = root.open_file(format!("locks/{name}.supervisor"))?;
            lock.lock().map_err(|e| Error::io(format!("can't wait for the end of {name}"), e))?;
        }
        let runtime = match root.open_dir(format!("runtime/{name}")) {
            Ok(runtime) => runtime,
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        State::forget(&runtime)?;
        match runtime.open_dir("work") {
            Ok(work) => drop(work.remove("work")?),
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn units(&self) -> Result<BTreeMap<InstanceName, UnitState>> {
        let root = self.open()?;
        let names = match root.open_dir("runtime") {
            Ok(runtime) => runtime.entries()?,
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        };
        let mut units = BTreeMap::new();
        for name in names.iter().filter_map(|name| InstanceName::try_from(name.as_os_str()).ok()) {
            if let Some(state) = Self::state(&root, &name)? {
                units.insert(name, state.unit());
            }
        }
        Ok(units)
    }

    fn details(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, UnitDetails>> {
        let root = self.open()?;
        let mut details = BTreeMap::new();
        for name in names {
            if let Some(state) = Self::state(&root, name)? {
                details.insert(name.clone(), state.details());
            }
        }
        Ok(details)
    }

    fn logs(&self, name: &InstanceName, options: &LogOptions) -> Result<LogStream> {
        console::stream(&self.open()?, name, options)
    }
}

/// Asks the supervisor to end, and kills it if it does not.
fn end_supervisor(root: &Dir, name: &InstanceName) -> Result<()> {
    let Some(state) = State::read(root, name)? else {
        let message = format!("instance {name} runs, but its state can't be read");
        return Err(Error::new(ErrorKind::Corrupt, message).hint("find its `supervise-init` process and end that"));
    };
    let Some(process) = open_process(&state)? else { return Ok(()) };
    let failed = |errno: Errno| Error::io(format!("can't end the supervisor of {name}"), errno.into());
    for signal in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(&process, signal) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        // A pidfd becomes readable when its process ends.
        if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&STOP_LIMIT)).map_err(failed)? > 0 {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Timeout, format!("the supervisor of {name} does not die")))
}

/// The supervisor's process, if the number is still its own.
fn open_process(state: &State) -> Result<Option<rustix::fd::OwnedFd>> {
    let Some(pid) = Pid::from_raw(state.pid.cast_signed().max(0)) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Compared after the process is held: the number can't change hands any more.
        Ok(process) => Ok((state::start_time(state.pid) == Some(state.start_time)).then_some(process)),
        Err(Errno::SRCH) => Ok(None),
        Err(errno) => Err(Error::io("can't open the supervisor's process", errno.into())),
    }
}

/// Seconds as poll wants them.
fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// The lock that a supervisor holds for as long as it lives, as [`namespaces`] takes it.
fn take_lock(root: &Dir, name: &InstanceName) -> Result<File> {
    let lock = root.open_file(format!("locks/{name}.supervisor"))?;
    // The caller holds the instance's lock and has seen that nothing runs, so only a glance by `status` is waited for.
    lock.lock().map_err(|e| Error::io(format!("can't take the lock of {name}"), e))?;
    Ok(lock)
}
