//! The embedded supervisor: servers without root and without systemd.
//!
//! One small process an instance, which is PID 1 of a user, mount and PID namespace of its own. It mounts the stack with
//! the code that root uses, runs the game, restarts it as the unit would, and writes its log. When it dies, in whatever
//! way, the kernel ends everything in the namespace and the mount goes with it: nothing is left to clean up.
//!
//! A start is three re-executions of this program, as namespaces and capabilities want a fresh process each:
//! `supervise` (enters the namespaces: `namespaces`), `supervise-init` (PID 1: `init`) and `supervise-game` (drops
//! every privilege and becomes the game: `game`). [`run_if_called`] tells them apart, before anything else in `main`.

mod console;
mod end;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod game;
mod host_proc;
mod init;
mod lock;
mod mounts;
mod namespaces;
mod policy;
mod probe;
mod processes;
mod reader;
mod signals;
mod state;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::io::Errno;

use crate::heard::{self, Mark, NamedLines, News};
use crate::process::spawn_error;
use crate::steam;
use crate::supervisor::{Supervisor, SupervisorKind};
use crate::{Error, ErrorKind, Held, LogOptions, LogStream, Pressure, Result, UnitDetails, UnitState, Usage};
use end::{end_supervisor, wait_for_the_last};
use processes::Processes;
use state::State;

/// What an update of the game needs as well, in namespaces of its own.
pub(crate) mod inside {
    pub(crate) use super::game::drop_capabilities;
    pub(crate) use super::init::chain;
    pub(crate) use super::mounts::mount_new_proc;
    pub(crate) use super::namespaces::{forbidden, unshare};
}

pub(crate) use probe::{Probe, probe};
pub(crate) use state::start_time;

/// What a supervisor that started its game writes to its caller.
const STARTED: &str = "started\n";

/// Runs a part of the supervisor, or of an update of the game, if the arguments (the program's name first) ask for one. To be called first in `main`,
/// while the process has one thread.
pub fn run_if_called(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<OsString> = args.skip(1).collect();
    let (part, args) = args.split_first()?;
    match (part.to_str()?, args) {
        ("supervise-probe", [dir]) => Some(probe::run(dir)),
        ("supervise", [root, name]) => Some(namespaces::enter(root, name)),
        ("supervise-init", [root, name]) => Some(init::run(root, name)),
        ("supervise-game", [merged, launch]) => Some(game::run(merged, launch)),
        ("install-on-overlay", [root, command @ ..]) => Some(steam::enter(root, command)),
        ("install-init", [root, command @ ..]) => Some(steam::init(root, command)),
        ("install-exec", [dir, command @ ..]) => Some(steam::become_steamcmd(dir, command)),
        _ => None,
    }
}

/// Whether an embedded supervisor runs the instance: only its lock says so.
pub(crate) fn is_held(root: &Dir, name: &InstanceName) -> Result<bool> {
    Ok(lock::holder(root, name)?.is_some())
}

/// All instances that an embedded supervisor runs, also one whose files are gone: the locks' files stay.
pub(crate) fn all_held(root: &Dir) -> Result<Vec<InstanceName>> {
    let mut held = Vec::new();
    for file in root.open_dir("locks")?.entries()? {
        let name = file.to_str().and_then(|file| file.strip_suffix(lock::SUFFIX)?.parse().ok());
        if let Some(name) = name
            && is_held(root, &name)?
        {
            held.push(name);
        }
    }
    Ok(held)
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
        crate::host::open_own(&self.root)
    }

    /// The recorded state as far as it can be believed; none for an instance that was never run, or was stopped.
    fn state(root: &Dir, name: &InstanceName) -> Result<Option<State>> {
        // The lock first: who lets go of it has written its last word before.
        let Some(holder) = lock::holder(root, name)? else { return Ok(State::read(root, name).map(State::ended)) };
        let pid = holder.pid.map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
        // A file of the run before, or none that can be read: the supervisor has just begun.
        let state = State::read(root, name).filter(|state| pid == 0 || state.pid == pid);
        Ok(Some(state.unwrap_or_else(|| State::starting(pid, 0))))
    }
}

impl Supervisor for Embedded {
    fn kind(&self) -> SupervisorKind {
        SupervisorKind::Embedded
    }

    fn enable(&self, name: &InstanceName, lock: &Held) -> Result<()> {
        let root = self.open()?;
        if State::read(&root, name).is_some_and(|state| state.is_final()) {
            // It has said its last word, but may not have let go of the lock yet.
            wait_for_the_last(&root, name)?;
        }
        if is_held(&root, name)? {
            return Err(Error::new(ErrorKind::InstanceRunning, format!("instance {name} runs already")));
        }
        wait_for_the_last(&root, name)?;
        let mut child = crate::process::command("/proc/self/exe")
            .arg("supervise")
            .arg(&self.root)
            .arg(name.as_str())
            .envs(self.home.clone().or_else(crate::account::home).map(|home| ("HOME", home)))
            .current_dir("/")
            // Until it holds its own lock: see `init`.
            .stdin(lock.for_child()?)
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
        let (why, hint) = match why.rsplit_once("\nhint: ") {
            Some((why, hint)) => (why.trim_end().to_owned(), hint.trim_end().to_owned()),
            None => (why.trim_end().to_owned(), format!("`l4d2ctl logs {name} --no-follow` shows what it printed")),
        };
        let why = if why.is_empty() { "the supervisor ended without a word".to_owned() } else { why };
        Err(Error::new(ErrorKind::StartFailed, format!("instance {name} did not start")).because(why).hint(hint))
    }

    fn disable(&self, name: &InstanceName, _: &Held) -> Result<()> {
        let root = self.open()?;
        let was_running = end_supervisor(&root, name)?;
        let runtime = match root.open_dir(format!("runtime/{name}")) {
            Ok(runtime) => runtime,
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A server that had to be killed is `failed` afterwards, as systemd has it: the operator is to see it.
        let state = if was_running { State::read(&root, name).map(State::ended) } else { None };
        if state.is_none_or(|state| state.active_state != "failed") {
            State::forget(&runtime)?;
        }
        Ok(overlay::work::remove(&runtime, name)?)
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
            match Self::state(&root, &name) {
                Ok(Some(state)) => drop(units.insert(name, state.unit())),
                Ok(None) => {}
                // One whose lock can't be looked at hides no other; each command on it says why.
                Err(_) => drop(units.insert(name, UnitState::unknown())),
            }
        }
        Ok(units)
    }

    fn details(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, UnitDetails>> {
        let root = self.open()?;
        let mut details = BTreeMap::new();
        for name in names {
            if let Ok(Some(state)) = Self::state(&root, name) {
                details.insert(name.clone(), state.details());
            }
        }
        Ok(details)
    }

    fn usage(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, Usage>> {
        let (root, processes) = (self.open()?, Processes::read()?);
        let usage = |name| {
            // One whose lock can't be looked at, or that runs outside of this container, hides no other.
            let pid = lock::holder(&root, name).ok()??.pid?.as_raw_nonzero().get().unsigned_abs();
            processes.usage(pid)
        };
        Ok(names.iter().filter_map(|name| Some((name.clone(), usage(name)?))).collect())
    }

    /// It is counted for control groups, and of the servers here none has one of its own.
    fn pressure(&self, _: &[InstanceName]) -> BTreeMap<InstanceName, Pressure> {
        BTreeMap::new()
    }

    fn logs(&self, name: &InstanceName, options: &LogOptions) -> Result<LogStream> {
        reader::stream(&self.open()?, name, options)
    }

    fn news(&self, names: &[InstanceName], marks: &BTreeMap<String, Mark>) -> Result<Vec<News>> {
        let root = self.open()?;
        let mut news = Vec::new();
        for name in names {
            let after_cursor = marks.get(name.as_str()).map(|mark| mark.cursor.clone());
            let mut limit = after_cursor.is_none().then_some(heard::LINES);
            let options = LogOptions { lines: heard::LINES, follow: false, after_cursor, details: true };
            let lines = match reader::stream(&root, name, &options) {
                // The log is another one since the mark was made.
                Err(error) if error.kind() == ErrorKind::Usage => {
                    limit = Some(heard::LINES);
                    reader::stream(&root, name, &LogOptions { after_cursor: None, ..options })
                }
                lines => lines,
            };
            let named = name.clone();
            let lines: NamedLines = match lines {
                Ok(lines) => Box::new(lines.map(move |entry| Ok((named.clone(), entry?)))),
                // One that can't be read is no reason not to read the others.
                Err(error) => Box::new(std::iter::once(Err(error))),
            };
            news.push(News { log: name.to_string(), limit, lines });
        }
        Ok(news)
    }

    fn log_of<'a>(&self, name: &'a InstanceName) -> &'a str {
        name.as_str()
    }
}
