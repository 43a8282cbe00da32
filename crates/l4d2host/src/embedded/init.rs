//! The second part, PID 1 of the namespaces: mounts, runs the game, restarts it, ends it.
//!
//! One loop, no threads: it waits for signals, for what the game prints, and for the time. As PID 1 it is also the
//! parent of every orphan, and the kernel ends the whole namespace when it ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::console::Console;
use super::host_proc::HostProc;
use super::policy::{Ended, RESTART_DELAY, Starts};
use super::signals::Signals;
use super::state::State;
use super::{STARTED, lock, mounts};
use crate::status::now;
use crate::{Error, ErrorKind, Result};

/// What is read of the game's output at once: a quarter of a pipe, as there is a supervisor for every server.
const CHUNK: usize = 16 * 1024;

/// When writing the state is tried again, where it failed.
const STATE_RETRY: Duration = Duration::from_secs(5);

pub(super) fn run(root: &OsStr, name: &OsStr) -> ExitCode {
    let name = match InstanceName::try_from(name) {
        Ok(name) => name,
        Err(error) => return report(&error.into()),
    };
    // Re-executed as /proc/self/exe, it would be "exe" in every list of processes. Only a name: failing is no matter.
    let _ = rustix::thread::set_name(c"l4d2ctl");
    let root = Path::new(root);
    let begun = crate::host::open_own(root);
    let begun = begun.and_then(|dir| Init::new(&dir, root, &name).map(|init| (init, dir)));
    match begun.and_then(|(init, dir)| init.run(dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// Tells the caller of `enable` what went wrong, as long as it listens; it turns this into its own error.
pub(super) fn report(error: &Error) -> ExitCode {
    let mut text = chain(error);
    if let Some(hint) = error.hint_text() {
        text.push_str(&format!("\nhint: {hint}"));
    }
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::FAILURE
}

/// The error and its causes, in one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

struct Init {
    /// The root directory's own path; inside, it shows the instance's `merged` and `launch` alone.
    root: PathBuf,
    name: InstanceName,
    /// `runtime/NAME` as it is outside.
    runtime: Dir,
    host_proc: HostProc,
    console: Console,
    state: State,
    /// The state is not in its file yet.
    state_is_unwritten: bool,
    signals: Signals,
    starts: Starts,
    chunk: Vec<u8>,
    /// Held for as long as this process lives.
    _lock: File,
}

/// Why the loop around one run came back.
enum Outcome {
    Ended(Ended),
    /// The run ended after it was asked to.
    Stopped(Ended),
}

impl Init {
    fn new(dir: &Dir, root: &Path, name: &InstanceName) -> Result<Self> {
        let lock = lock::take(dir, name)?;
        let lock = lock.ok_or_else(|| {
            Error::new(ErrorKind::InstanceRunning, format!("instance {name} runs already"))
                .hint(format!("`l4d2ctl status {name}` shows it"))
        })?;
        // The instance's, which whoever starts it handed on: from here on, this process can be found and ended.
        File::open("/dev/null")
            .and_then(|null| Ok(dup2_stdin(&null)?))
            .map_err(|e| Error::io("can't let go of standard input", e))?;
        let runtime = dir.open_dir(format!("runtime/{name}"))?;
        let host_proc = HostProc::open()?;
        let (pid, start_time) = host_proc.identity()?;
        let state = State::starting(pid, start_time);
        state.write(&runtime)?;
        Ok(Self {
            root: root.to_owned(),
            name: name.clone(),
            console: Console::open(&runtime)?,
            runtime,
            host_proc,
            state,
            state_is_unwritten: false,
            signals: Signals::new()?,
            starts: Starts::default(),
            chunk: vec![0; CHUNK],
            _lock: lock,
        })
    }

    fn merged(&self) -> PathBuf {
        self.root.join(format!("runtime/{}/merged", self.name))
    }

    /// The first start, whose failure is the caller's to hear.
    fn begin(&mut self, dir: &Dir) -> Result<(Pid, PipeReader)> {
        self.starts.allow(Instant::now());
        let begun = mounts::mount_everything(dir, &self.root, &self.name).map_err(|error| ("resources", error));
        let begun = begun.and_then(|()| self.spawn_game().map_err(|error| ("exit-code", error)));
        begun.map_err(|(result, error)| {
            self.console.note(&format!("not started: {}", chain(&error)));
            self.finish(result, "failed", "failed");
            error
        })
    }

    fn run(mut self, dir: Dir) -> Result<()> {
        let (mut game, mut output) = self.begin(&dir)?;
        // Nothing outside of the namespace is needed any more.
        drop(dir);
        self.started(game);
        listen_no_more()?;
        loop {
            let outcome = self.watch(game, &mut output)?;
            self.end_everything(&mut output)?;
            let (Outcome::Ended(ended) | Outcome::Stopped(ended)) = outcome;
            self.console.note(&ended_note(ended));
            let ended = match outcome {
                Outcome::Ended(ended) if ended != Ended::Cleanly => ended,
                Outcome::Ended(ended) | Outcome::Stopped(ended) => {
                    let (active_state, sub_state) = ended.state();
                    self.finish(ended.result(), active_state, sub_state);
                    return Ok(());
                }
            };
            self.state.result = ended.result().to_owned();
            self.state.main_pid = None;
            if !self.starts.allow(Instant::now()) {
                self.console.note("it failed too often: not started again");
                self.finish(ended.result(), "failed", "failed");
                return Ok(());
            }
            self.console.note(&format!("started again in {} s", RESTART_DELAY.as_secs()));
            self.set("activating", "auto-restart");
            if self.wait_or_stop(RESTART_DELAY)? {
                self.console.note("asked to end");
                self.finish("success", "inactive", "dead");
                return Ok(());
            }
            self.state.restarts += 1;
            (game, output) = match self.spawn_game() {
                Ok(game) => game,
                Err(error) => {
                    self.console.note(&format!("not started: {}", chain(&error)));
                    self.finish("exit-code", "failed", "failed");
                    return Ok(());
                }
            };
            self.started(game);
        }
    }

    fn set(&mut self, active_state: &str, sub_state: &str) {
        self.state.active_state = active_state.to_owned();
        self.state.sub_state = sub_state.to_owned();
        self.state.since = now();
        self.state_is_unwritten = true;
        self.write_state();
    }

    /// A full disk must not end the server: what could not be written is tried again.
    fn write_state(&mut self) {
        if self.state_is_unwritten && self.state.write(&self.runtime).is_ok() {
            self.state_is_unwritten = false;
        }
    }

    fn started(&mut self, game: Pid) {
        self.state.main_pid = self.host_proc.number_of(self.state.pid, game);
        self.console.note("started");
        self.set("active", "running");
    }

    /// The last word. The mount goes with the namespace, that is with this process.
    fn finish(&mut self, result: &str, active_state: &str, sub_state: &str) {
        self.state.result = result.to_owned();
        self.state.main_pid = None;
        self.set(active_state, sub_state);
    }

    /// Starts the game; its output is the pipe that comes back. An error says why it could not be executed.
    fn spawn_game(&self) -> Result<(Pid, PipeReader)> {
        let failed = |what: &str, error| Error::io(format!("can't {what}"), error);
        let (output, writer) = std::io::pipe().map_err(|e| failed("make a pipe", e))?;
        let (mut said, channel) = std::io::pipe().map_err(|e| failed("make a pipe", e))?;
        let stderr = writer.try_clone().map_err(|e| failed("make a pipe", e))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("supervise-game").arg(self.merged());
        command.arg(self.root.join(mounts::LAUNCH));
        command.stdin(Stdio::from(channel)).stdout(Stdio::from(writer)).stderr(Stdio::from(stderr));
        let child = command.spawn().map_err(|e| failed("start the game", e))?;
        // Holds our copies of the game's ends.
        drop(command);
        let mut why = String::new();
        // Closed by the exec of the game, or written to when there is none.
        said.read_to_string(&mut why).map_err(|e| failed("hear whether the game started", e))?;
        if why.is_empty() {
            return Ok((Pid::from_child(&child), output));
        }
        Err(Error::new(ErrorKind::StartFailed, why.trim_end().to_owned()))
    }

    /// Waits for the end of the game, passing on what it prints; a signal asks the game to end.
    fn watch(&mut self, game: Pid, output: &mut PipeReader) -> Result<Outcome> {
        let mut kill_at: Option<Instant> = None;
        let mut stopping = false;
        let mut open = true;
        loop {
            let left = kill_at.map(|at| at.saturating_duration_since(Instant::now()));
            let event = self.wait(open.then_some(&*output), left)?;
            if event.output {
                open = self.copy(output)?;
            }
            if event.stop && !stopping {
                stopping = true;
                kill_at = Some(Instant::now() + left4me_launch::GRACE);
                self.console.note("asked to end");
                self.set("deactivating", "stop-sigint");
                signal(game, Signal::INT)?;
            }
            if kill_at.is_some_and(|at| Instant::now() >= at) {
                kill_at = None;
                self.console.note(&format!("not ended in {} s: killed", left4me_launch::GRACE.as_secs()));
                signal(game, Signal::KILL)?;
            }
            if let Some(status) = reap(game)? {
                let ended = Ended::of(status);
                return Ok(if stopping { Outcome::Stopped(ended) } else { Outcome::Ended(ended) });
            }
        }
    }

    /// Kills whatever the game left behind, and writes down the rest of what was printed.
    fn end_everything(&mut self, output: &mut PipeReader) -> Result<()> {
        // kill(-1) from PID 1 is everybody else in the namespace; a group of 1 is how rustix says -1.
        match kill_process_group(Pid::INIT, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(Error::io("can't kill what is left", errno.into())),
        }
        while matches!(wait(WaitOptions::empty()), Ok(_) | Err(Errno::INTR)) {}
        // All writers are gone, so this ends.
        while self.copy(output)? {}
        self.console.flush();
        Ok(())
    }

    /// Waits for a time; says whether a signal asked for the end meanwhile.
    fn wait_or_stop(&mut self, time: Duration) -> Result<bool> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            if self.wait(None, Some(left))?.stop {
                return Ok(true);
            }
        }
    }

    /// Waits for anything to happen.
    fn wait(&mut self, output: Option<&PipeReader>, time: Option<Duration>) -> Result<Event> {
        self.write_state();
        let retry = self.state_is_unwritten.then_some(STATE_RETRY);
        let time = time.into_iter().chain(retry).min();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(output.map(|output| PollFd::new(output, PollFlags::IN)));
        match poll(&mut fds, time.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("can't wait", errno.into())),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        let (signalled, output) = (ready(0), ready(1));
        drop(fds);
        Ok(Event { output, stop: signalled && self.signals.drain()? })
    }

    /// Passes on what there is to read; says whether there may be more.
    fn copy(&mut self, output: &mut PipeReader) -> Result<bool> {
        match output.read(&mut self.chunk) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.console.write(&self.chunk[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(Error::io("can't read the game's output", error)),
        }
    }
}

struct Event {
    output: bool,
    stop: bool,
}

fn ended_note(ended: Ended) -> String {
    match ended {
        Ended::Cleanly => "ended".to_owned(),
        Ended::ExitCode(code) => format!("failed with exit code {code}"),
        Ended::Signal(signal) => format!("killed by signal {signal}"),
    }
}

fn signal(game: Pid, signal: Signal) -> Result<()> {
    match kill_process(game, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::io("can't signal the game", errno.into())),
    }
}

/// Reaps everybody who has ended; says how the game ended, if it has.
fn reap(game: Pid) -> Result<Option<WaitStatus>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == game => return Ok(Some(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(errno) => return Err(Error::io("can't wait for the game", errno.into())),
        }
    }
}

/// Says that the game runs, and lets go of whoever started it.
fn listen_no_more() -> Result<()> {
    let failed = |e| Error::io("can't let go of standard output", e);
    match std::io::stdout().write_all(STARTED.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        // Whoever started it was killed meanwhile. The next one who looks sees a server that runs, and so it stays.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        told => told.map_err(failed)?,
    }
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null").map_err(failed)?;
    dup2_stdout(&null).and_then(|()| dup2_stderr(&null)).map_err(|errno| failed(errno.into()))
}

/// Seconds as poll wants them.
fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
