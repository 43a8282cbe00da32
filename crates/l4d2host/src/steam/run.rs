//! One run of SteamCMD: on a pty, in a process group of its own, ended with all its children when it has to be.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as Io, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::output::{Event, Lines, is_prompt, parse};
use super::{APP, InstallRequest, Progress};
use crate::{Error, ErrorKind, Result};

/// How long SteamCMD may take to end when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(5);

/// How many of its last lines explain a failure, and how many events are kept to find the reason in.
const LAST_LINES: usize = 8;
const MAX_EVENTS: usize = 1000;

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Exited(i32),
    Signalled(i32),
    /// It asked a question, and was ended.
    Prompted,
    /// It said nothing for too long, and was ended.
    Silent,
}

/// A run, after its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) how: How,
    pub(super) events: Vec<Event>,
    pub(super) last_lines: Vec<String>,
}

/// How SteamCMD is run, for all passes.
pub(super) struct Run {
    steamcmd: PathBuf,
    home: PathBuf,
    dir: PathBuf,
    user: String,
    silence_limit: Duration,
    interrupted: Interrupted,
}

impl Run {
    pub(super) fn new(steamcmd: &Path, home: &Path, dir: PathBuf, request: &InstallRequest) -> Result<Self> {
        let user = request.user.clone().unwrap_or_else(|| "anonymous".to_owned());
        if user.is_empty() || user.starts_with(['+', '-']) || user.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(Error::new(ErrorKind::Usage, format!("{user:?} is no name of a Steam account")));
        }
        let (steamcmd, home, silence_limit) = (steamcmd.to_owned(), home.to_owned(), request.silence_limit);
        Ok(Self { steamcmd, home, dir, user, silence_limit, interrupted: Interrupted::watch()? })
    }

    /// Runs one pass.
    pub(super) fn pass(&self, pass: &'static str, on_progress: &mut dyn FnMut(&Progress)) -> Result<Ended> {
        let (master, slave) = open_pty()?;
        let mut child = self.command(pass, &slave)?.spawn().map_err(|e| {
            Error::new(ErrorKind::SteamcmdMissing, format!("can't run {}", self.steamcmd.display())).because(e)
        })?;
        // Only SteamCMD and its children hold the other end now.
        drop(slave);
        let mut listener = Listener { pass, lines: Lines::default(), events: Vec::new(), last: Vec::new() };
        let watched = self.watch(&child, master, &mut listener, on_progress);
        // Whatever happened, nothing of it stays: children that it left would go on writing into the installation.
        let status = end(&mut child)?;
        let how = match watched? {
            Some(how) => how,
            None => status.code().map_or_else(|| How::Signalled(status.signal().unwrap_or(0)), How::Exited),
        };
        Ok(Ended { how, events: listener.events, last_lines: listener.last })
    }

    fn command(&self, pass: &str, slave: &File) -> Result<Command> {
        let copy = || slave.try_clone().map_err(|e| Error::io("can't copy the pty", e));
        let mut command = Command::new(&self.steamcmd);
        command
            // Fail, and do not wait for somebody who is not there.
            .args(["+@ShutdownOnFailedCommand", "1", "+@NoPromptForPassword", "1"])
            .args(["+@sSteamCmdForcePlatformType", pass])
            // Before the login, or SteamCMD installs elsewhere.
            .arg("+force_install_dir")
            .arg(&self.dir)
            .args(["+login", &self.user, "+app_update", APP, "validate", "+quit"])
            // HOME decides where its caches lie; some locales print numbers with a comma.
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .current_dir(&self.dir)
            .process_group(0)
            .stdin(Stdio::from(copy()?))
            .stdout(Stdio::from(copy()?))
            .stderr(Stdio::from(copy()?));
        Ok(command)
    }

    /// Listens until SteamCMD has ended (none), or says why it has to be ended.
    fn watch(
        &self,
        child: &Child,
        mut master: File,
        listener: &mut Listener,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Option<How>> {
        let failed = |errno: Errno| Error::io("can't wait for SteamCMD", errno.into());
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(failed)?;
        let mut deadline = Instant::now() + self.silence_limit;
        loop {
            let left = timespec(deadline.saturating_duration_since(Instant::now()));
            let (heard, ended) = self.interrupted.wait_for(&master, Some(&process), &left)?;
            if heard {
                deadline = Instant::now() + self.silence_limit;
                listener.listen(&mut master, on_progress)?;
            } else if ended {
                return Ok(None);
            }
            if is_prompt(&listener.lines.unfinished()) {
                return Ok(Some(How::Prompted));
            }
            if Instant::now() >= deadline {
                return Ok(Some(How::Silent));
            }
        }
    }

    /// Waits before another try; Ctrl-C ends it.
    pub(super) fn pause(&self, pause: Duration) -> Result<()> {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.interrupted.wait(&timespec(left))?;
        }
    }
}

/// What is heard of one run.
struct Listener {
    pass: &'static str,
    lines: Lines,
    events: Vec<Event>,
    last: Vec<String>,
}

impl Listener {
    fn listen(&mut self, master: &mut File, on_progress: &mut dyn FnMut(&Progress)) -> Result<()> {
        let mut chunk = [0_u8; 4096];
        let length = match master.read(&mut chunk) {
            Ok(length) => length,
            // How Linux says that nobody has the other end any more.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => 0,
            Err(error) if error.kind() == Io::Interrupted => 0,
            Err(error) => return Err(Error::io("can't hear SteamCMD", error)),
        };
        for line in self.lines.push(&chunk[..length]) {
            self.hear(&line, on_progress);
        }
        Ok(())
    }

    fn hear(&mut self, line: &str, on_progress: &mut dyn FnMut(&Progress)) {
        let event = parse(line);
        match &event {
            Event::Update { phase, done, total } => {
                let (phase, done, total) = (phase.clone(), *done, *total);
                on_progress(&Progress::Update { pass: self.pass, phase, done, total });
            }
            Event::SelfUpdate(step) => on_progress(&Progress::Step { step: format!("SteamCMD: {step}") }),
            _ => {}
        }
        if !matches!(event, Event::Update { .. } | Event::SelfUpdate(_)) && !line.trim().is_empty() {
            self.last.push(line.to_owned());
            self.last.drain(..self.last.len().saturating_sub(LAST_LINES));
        }
        if event != Event::Other {
            self.events.push(event);
            self.events.drain(..self.events.len().saturating_sub(MAX_EVENTS));
        }
    }
}

/// Ends the process group: politely if it still runs, then surely.
fn end(child: &mut Child) -> Result<std::process::ExitStatus> {
    let failed = |e| Error::io("can't wait for SteamCMD", e);
    let group = Pid::from_child(child);
    if child.try_wait().map_err(failed)?.is_none() {
        // A group that is gone needs no signal.
        let _ = kill_process_group(group, Signal::TERM);
        let process = pidfd_open(group, PidfdFlags::empty()).map_err(|errno| failed(errno.into()))?;
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timespec(END_LIMIT)));
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().map_err(failed)
}

/// Ctrl-C and SIGTERM, while SteamCMD has a process group that a terminal does not reach.
struct Interrupted {
    flag: Arc<AtomicBool>,
    wake: UnixStream,
    handlers: Vec<signal_hook::SigId>,
}

impl Interrupted {
    fn watch() -> Result<Self> {
        let failed = |e| Error::io("can't handle signals", e);
        let (wake, write) = UnixStream::pair().map_err(failed)?;
        let mut this = Self { flag: Arc::new(AtomicBool::new(false)), wake, handlers: Vec::new() };
        for signal in [SIGINT, SIGTERM] {
            let flag = Arc::clone(&this.flag);
            this.handlers.push(signal_hook::flag::register(signal, flag).map_err(failed)?);
            let write = write.try_clone().map_err(failed)?;
            this.handlers.push(signal_hook::low_level::pipe::register(signal, write).map_err(failed)?);
        }
        Ok(this)
    }

    /// Waits for output and for the end; an interruption is an error.
    fn wait_for(&self, output: &File, process: Option<&OwnedFd>, time: &Timespec) -> Result<(bool, bool)> {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN), PollFd::new(output, PollFlags::IN)];
        fds.extend(process.map(|process| PollFd::new(process, PollFlags::IN)));
        self.poll(&mut fds, time)?;
        let ended = fds.get(2).is_some_and(|fd| !fd.revents().is_empty());
        // A pty whose other end is closed is "hung up" for good: only what can be read counts.
        Ok((fds[1].revents().contains(PollFlags::IN), ended))
    }

    fn wait(&self, time: &Timespec) -> Result<()> {
        self.poll(&mut [PollFd::new(&self.wake, PollFlags::IN)], time)
    }

    fn poll(&self, fds: &mut [PollFd<'_>], time: &Timespec) -> Result<()> {
        match poll(fds, Some(time)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("can't wait for SteamCMD", errno.into())),
        }
        if self.flag.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted: SteamCMD was ended")
                .with_exit_code(130)
                .hint("`l4d2ctl install` goes on where it was"));
        }
        Ok(())
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

fn open_pty() -> Result<(File, File)> {
    let failed = |errno: Errno| Error::io("can't open a pty", errno.into());
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(failed)?;
    grantpt(&master).and_then(|()| unlockpt(&master)).map_err(failed)?;
    let path = ptsname(&master, Vec::new()).map_err(failed)?;
    let slave = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(path.as_bytes()));
    Ok((File::from(master), slave.map_err(|e| Error::io("can't open a pty", e))?))
}
