//! The second part, PID 1 of the namespaces: mounts, runs the game, restarts it, ends it.
//!
//! One loop, no threads: it waits for signals, for what the game prints, and for the time. As PID 1 it is also the
//! parent of every orphan, and the kernel ends the whole namespace when it ends.

use std::ffi::OsStr;
use std::io::{PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use names::InstanceName;
use overlay::beneath::Dir;
use overlay::mount::Detached;
use overlay::stack::{Stack, open_layers, staged_layers};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, mount_remount,
    move_mount, open_tree, unmount,
};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};
use rustix::stdio::{dup2_stderr, dup2_stdout};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

use super::console::Console;
use super::policy::{Ended, RESTART_DELAY, Starts};
use super::state::{State, boot_id, now, parse_start_time};
use super::{STARTED, timespec};
use crate::{Error, ErrorKind, Result};

/// What is read of the game's output at once.
const CHUNK: usize = 64 * 1024;

pub(super) fn run(root: &OsStr, name: &OsStr) -> ExitCode {
    let name = match InstanceName::try_from(name) {
        Ok(name) => name,
        Err(error) => return report(&error.into()),
    };
    // Re-executed as /proc/self/exe, it would be "exe" in every list of processes. Only a name: failing is no matter.
    let _ = rustix::thread::set_name(c"l4d2ctl");
    match Init::new(Path::new(root), &name).and_then(Init::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// Tells the caller of `enable` what went wrong, as long as it listens; it turns this into its own error.
pub(super) fn report(error: &Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    if let Some(hint) = error.hint_text() {
        text.push_str(&format!("\nhint: {hint}"));
    }
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::FAILURE
}

struct Init {
    /// The root directory's own path; inside, it shows the instance's `merged` and `staged` alone.
    root: PathBuf,
    name: InstanceName,
    /// `runtime/NAME` as it is outside.
    runtime: Dir,
    /// The host's `/proc`, in which processes have the numbers that the host knows.
    host_proc: OwnedFd,
    console: Console,
    state: State,
    signals: Signals,
    starts: Starts,
}

/// Why the loop around one run came back.
enum Outcome {
    Ended(Ended),
    /// The run ended after it was asked to.
    Stopped(Ended),
}

impl Init {
    fn new(root: &Path, name: &InstanceName) -> Result<Self> {
        let dir = Dir::open_root(root)?;
        let runtime = dir.open_dir(format!("runtime/{name}"))?;
        let console = Console::open(&runtime)?;
        let host_proc = openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::io("can't open /proc", errno.into()))?;
        mount_everything(&dir, root, name)?;
        let (pid, start_time) = host_identity(&host_proc)?;
        let state = State {
            active_state: String::new(),
            sub_state: String::new(),
            result: "success".to_owned(),
            since: now(),
            restarts: 0,
            main_pid: None,
            pid,
            start_time,
            boot_id: boot_id(),
        };
        let (root, name, signals) = (root.to_owned(), name.clone(), Signals::new()?);
        Ok(Self { root, name, runtime, host_proc, console, state, signals, starts: Starts::default() })
    }

    fn merged(&self) -> PathBuf {
        self.root.join(format!("runtime/{}/merged", self.name))
    }

    fn run(mut self) -> Result<()> {
        self.set("activating", "start")?;
        self.starts.allow(Instant::now());
        let (mut game, mut output) = match self.spawn_game() {
            Ok(game) => game,
            Err(error) => return self.finish("exec", "failed", "failed").and(Err(error)),
        };
        self.started(game)?;
        listen_no_more()?;
        loop {
            let outcome = self.watch(game, &mut output)?;
            self.end_everything(&mut output)?;
            let ended = match outcome {
                Outcome::Stopped(ended) => return self.finish(ended.result(), "inactive", "dead"),
                Outcome::Ended(Ended::Cleanly) => return self.finish("success", "inactive", "dead"),
                Outcome::Ended(ended) => ended,
            };
            self.state.result = ended.result().to_owned();
            if !self.starts.allow(Instant::now()) {
                self.console.note("it failed too often: not started again")?;
                return self.finish(ended.result(), "failed", "failed");
            }
            self.console.note(&format!("started again in {} s", RESTART_DELAY.as_secs()))?;
            self.set("activating", "auto-restart")?;
            if self.wait_or_stop(RESTART_DELAY)? {
                return self.finish("success", "inactive", "dead");
            }
            self.state.restarts += 1;
            (game, output) = match self.spawn_game() {
                Ok(game) => game,
                Err(error) => {
                    self.console.note(&error.to_string())?;
                    return self.finish("exec", "failed", "failed");
                }
            };
            self.started(game)?;
        }
    }

    fn set(&mut self, active_state: &str, sub_state: &str) -> Result<()> {
        self.state.active_state = active_state.to_owned();
        self.state.sub_state = sub_state.to_owned();
        self.state.since = now();
        self.state.write(&self.runtime)
    }

    fn started(&mut self, game: Pid) -> Result<()> {
        self.state.main_pid = host_pid(&self.host_proc, self.state.pid, game);
        self.console.note("started")?;
        self.set("active", "running")
    }

    /// The end: nothing runs any more, the mount goes, the last word is written.
    fn finish(&mut self, result: &str, active_state: &str, sub_state: &str) -> Result<()> {
        self.state.result = result.to_owned();
        self.state.main_pid = None;
        // Before the process ends, so that a start right after finds the upper free. It would go with the namespace.
        unmount(self.merged(), UnmountFlags::empty()).map_err(|e| Error::io("can't unmount", e.into()))?;
        self.set(active_state, sub_state)
    }

    /// Starts the game; its output is the pipe that comes back. An error says why it could not be executed.
    fn spawn_game(&self) -> Result<(Pid, PipeReader)> {
        let failed = |what: &str, error| Error::io(format!("can't {what}"), error);
        let (output, writer) = std::io::pipe().map_err(|e| failed("make a pipe", e))?;
        let (mut said, channel) = std::io::pipe().map_err(|e| failed("make a pipe", e))?;
        let stderr = writer.try_clone().map_err(|e| failed("make a pipe", e))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("supervise-game").arg(self.merged());
        command.arg(self.root.join(format!("instances/{}/staged/launch", self.name)));
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
                self.set("deactivating", "stop-sigint")?;
                self.console.note("asked to end")?;
                signal(game, Signal::INT)?;
            }
            if kill_at.is_some_and(|at| Instant::now() >= at) {
                kill_at = None;
                self.console.note(&format!("not ended in {} s: killed", left4me_launch::GRACE.as_secs()))?;
                signal(game, Signal::KILL)?;
            }
            if let Some(status) = reap(game)? {
                let ended = Ended::of(status);
                self.console.note(&ended_note(ended))?;
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
        self.console.flush()
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
        let mut fds = vec![PollFd::new(&self.signals.wake, PollFlags::IN)];
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
        let mut chunk = vec![0_u8; CHUNK];
        match output.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(length) => self.console.write(&chunk[..length]).map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(Error::io("can't read the game's output", error)),
        }
    }
}

struct Event {
    output: bool,
    stop: bool,
}

/// Signals as something to wait for together with everything else.
struct Signals {
    /// A byte for every signal.
    wake: UnixStream,
    /// One of them asked for the end.
    stop: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> Result<Self> {
        let failed = |e| Error::io("can't handle signals", e);
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, write) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGTERM, SIGINT] {
            // Handlers run in this order: whoever is woken finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
        }
        for signal in [SIGTERM, SIGINT, SIGCHLD] {
            let write = write.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, write).map_err(failed)?;
        }
        Ok(Self { wake, stop })
    }

    /// Takes the bytes that have come; says whether the end was asked for since the last time.
    fn drain(&mut self) -> Result<bool> {
        self.wake.read(&mut [0_u8; 64]).map_err(|e| Error::io("can't read signals", e))?;
        Ok(self.stop.swap(false, Ordering::Relaxed))
    }
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
    std::io::stdout().write_all(STARTED.as_bytes()).and_then(|()| std::io::stdout().flush()).map_err(failed)?;
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null").map_err(failed)?;
    dup2_stdout(&null).and_then(|()| dup2_stderr(&null)).map_err(|errno| failed(errno.into()))
}

/// Mounts the stack, and hides the rest of the root directory behind an empty file system: the game is to see its
/// `merged` and its `staged`, and not its own upper, other instances, layers or passwords, which belong to its user.
fn mount_everything(dir: &Dir, root: &Path, name: &InstanceName) -> Result<()> {
    let failed = |what: &'static str| move |errno: Errno| Error::io(format!("can't {what}"), errno.into());
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(failed("make mounts private"))?;

    let mut stack = Stack::open(dir, name, open_layers(dir, staged_layers(dir, name)?)?)?;
    let overlay = Detached::create(&stack).map_err(|error| {
        let hint = "the root directory must be on a file system that can hold an upper: in a container, on a volume";
        let wrong_place = matches!(error.errno(), Some(Errno::INVAL | Errno::PERM));
        let error = Error::from(error);
        if wrong_place { error.hint(hint) } else { error }
    })?;
    let staged = clone_tree(dir, &format!("instances/{name}/staged"))?;
    // HOME is the root directory for an installed service user, and the game wants ~/.steam.
    let steam = clone_tree(dir, ".steam").ok();

    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("left4me", root, "tmpfs", flags, Some(c"mode=755,size=64k")).map_err(failed("cover the root directory"))?;
    let cover = Dir::open_root(root)?;
    stack.runtime = cover.make_dirs(format!("runtime/{name}"), 0o755)?;
    stack.merged = stack.runtime.make_dir("merged", 0o755)?;
    attach(&staged, &cover.make_dirs(format!("instances/{name}/staged"), 0o755)?)?;
    if let Some(steam) = steam {
        attach(&steam, &cover.make_dir(".steam", 0o755)?)?;
    }
    overlay.attach(&stack)?;
    let read_only = MountFlags::RDONLY | flags;
    mount_remount(root, read_only, c"size=64k").map_err(failed("make the cover read-only"))?;

    let proc_flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount("proc", "/proc", "proc", proc_flags, None) {
        // A container's masked /proc forbids a new one: processes outside are then visible, and out of reach all the same.
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(failed("mount /proc")(errno)),
    }
}

/// A copy of the mount at a directory, to be attached elsewhere.
fn clone_tree(dir: &Dir, path: &str) -> Result<OwnedFd> {
    let place = dir.open_dir(path)?;
    let at = rustix::mount::OpenTreeFlags::from_bits_retain(AT_EMPTY_PATH);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | at;
    open_tree(&place, "", flags).map_err(|errno| Error::io(format!("can't bind {}", place.label()), errno.into()))
}

/// `AT_EMPTY_PATH` (linux/fcntl.h), which open_tree takes beside its own flags.
const AT_EMPTY_PATH: u32 = 0x1000;

fn attach(tree: &OwnedFd, place: &Dir) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
        .map_err(|errno| Error::io(format!("can't bind {}", place.label()), errno.into()))
}

fn read_host_proc(host_proc: &OwnedFd, path: &str) -> std::io::Result<String> {
    let file = openat(host_proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    std::fs::File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

/// Our own process as the host knows it: number and start time.
fn host_identity(host_proc: &OwnedFd) -> Result<(u32, u64)> {
    let stat = read_host_proc(host_proc, "self/stat").map_err(|e| Error::io("can't read /proc/self/stat", e))?;
    let pid = stat.split(' ').next().and_then(|pid| pid.parse().ok());
    pid.zip(parse_start_time(&stat)).ok_or_else(|| Error::new(ErrorKind::Internal, "can't read /proc/self/stat"))
}

/// The game's number on the host: the child of ours whose innermost number (`NSpid:`, proc_pid_status(5)) is `game`.
fn host_pid(host_proc: &OwnedFd, own: u32, game: Pid) -> Option<u32> {
    let children = read_host_proc(host_proc, &format!("{own}/task/{own}/children")).ok()?;
    let inner = game.as_raw_nonzero().get().to_string();
    let is_game = |pid: &u32| {
        let status = read_host_proc(host_proc, &format!("{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        numbers.and_then(|numbers| numbers.split_ascii_whitespace().last()) == Some(inner.as_str())
    };
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).find(is_game)
}
