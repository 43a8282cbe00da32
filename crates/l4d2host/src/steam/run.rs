//! One run of SteamCMD: on a pty, in a session of its own, ended with all its children when it has to be.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::listener::Listener;
use super::output::{Event, Lines, is_prompt};
use super::{APP, InstallRequest, Progress, ask, inside, pty, session};
use crate::interrupt::Interrupted;
use crate::{Error, ErrorKind, Result};

const INTERRUPTED: &str = "interrupted: SteamCMD was ended";

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Exited(i32),
    Signalled(i32),
    /// It asked a question that nobody answered, and was ended.
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

/// What SteamCMD writes to.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A directory that nobody has mounted.
    Directory(PathBuf),
    /// An overlay over the installation of this root directory (see `inside`).
    Overlay(PathBuf),
}

/// How SteamCMD is run, for all passes.
pub(super) struct Run {
    steamcmd: PathBuf,
    home: PathBuf,
    target: Target,
    user: Option<String>,
    silence_limit: Duration,
    /// Whether somebody sits at a terminal who can answer questions.
    ask: bool,
    interrupted: Interrupted,
}

impl Run {
    pub(super) fn new(steamcmd: &Path, home: &Path, target: Target, request: &InstallRequest) -> Result<Self> {
        if let Some(user) = request.user.as_deref().filter(|user| !is_account(user)) {
            return Err(Error::new(ErrorKind::Usage, format!("{user:?} is no name of a Steam account")));
        }
        Ok(Self {
            steamcmd: steamcmd.to_owned(),
            home: home.to_owned(),
            target,
            user: request.user.clone(),
            silence_limit: request.silence_limit,
            ask: request.ask && request.user.is_some(),
            interrupted: Interrupted::watch(INTERRUPTED, "`l4d2ctl install` goes on where it was")?,
        })
    }

    /// Runs one pass.
    pub(super) fn pass(&self, pass: &'static str, on_progress: &mut dyn FnMut(&Progress)) -> Result<Ended> {
        let user = self.user.as_deref().unwrap_or("anonymous");
        let before = ["+@sSteamCmdForcePlatformType", pass, "+force_install_dir"].map(OsStr::new);
        let after = ["+login", user, "+app_update", APP, "validate", "+quit"].map(OsStr::new);
        let dir = match &self.target {
            Target::Directory(dir) => dir.clone(),
            Target::Overlay(root) => root.join("installation"),
        };
        // The directory before the login, or SteamCMD installs elsewhere.
        let arguments = [&before[..], &[dir.as_os_str()], &after].concat();
        Ok(self.run(pass, &arguments, on_progress)?.0)
    }

    /// Has Steam say what it knows of the app; also all that was printed. A second login waits until Steam has answered.
    pub(super) fn app_info(&self, on_progress: &mut dyn FnMut(&Progress)) -> Result<(Ended, String)> {
        let login = ["+login", self.user.as_deref().unwrap_or("anonymous")];
        let ask = ["+app_info_update", "1", "+app_info_request", APP];
        let arguments = [&login[..], &ask, &login, &["+app_info_print", APP, "+quit"]].concat();
        self.run("check", &arguments.into_iter().map(OsStr::new).collect::<Vec<_>>(), on_progress)
    }

    /// `label` is what updates are called in the progress.
    fn run(
        &self,
        label: &'static str,
        arguments: &[&OsStr],
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<(Ended, String)> {
        let (mut master, slave) = pty::open()?;
        let mut child = self.command(arguments, &slave)?.spawn().map_err(|e| {
            Error::new(ErrorKind::SteamcmdMissing, format!("can't run {}", self.steamcmd.display())).because(e)
        })?;
        // Only SteamCMD and its children hold the other end now.
        drop(slave);
        let mut listener = Listener { pass: label, ..Listener::default() };
        let watched = self.watch(&child, &mut master, &mut listener, on_progress);
        let status = session::end(&mut child)?;
        let stopped = watched?;
        listener.listen_to_the_rest(&mut master, &self.interrupted, on_progress)?;
        let ended = match (status.code(), &self.target) {
            (None, _) => How::Signalled(status.signal().unwrap_or(0)),
            // SteamCMD is not our child there, but that of somebody who says it as a shell does.
            (Some(code @ 129..), Target::Overlay(_)) => How::Signalled(code - 128),
            (Some(inside::NOT_RUN), Target::Overlay(_)) if stopped.is_none() => {
                let failed =
                    Error::new(ErrorKind::Unsupported, "can't run SteamCMD on an overlay over the installation");
                let failed = failed.because(listener.last.join("\n"));
                return Err(failed.hint("`l4d2ctl doctor` checks what this machine provides"));
            }
            (Some(code), _) => How::Exited(code),
        };
        let Listener { events, last: last_lines, text, .. } = listener;
        Ok((Ended { how: stopped.unwrap_or(ended), events, last_lines }, text))
    }

    /// Tells whoever interrupts it something else to do next than to install.
    pub(super) fn hinting(mut self, hint: &str) -> Result<Self> {
        self.interrupted = Interrupted::watch(INTERRUPTED, hint)?;
        Ok(self)
    }

    /// Waits before another try; Ctrl-C ends it.
    pub(super) fn pause(&self, pause: Duration) -> Result<()> {
        self.interrupted.pause(pause)
    }

    fn command(&self, arguments: &[&OsStr], slave: &File) -> Result<Command> {
        let copy = || slave.try_clone().map_err(|e| Error::io("can't copy the pty", e));
        let mut command = match &self.target {
            Target::Directory(dir) => {
                let mut command = session::command(&self.steamcmd)?;
                command.current_dir(dir);
                command
            }
            Target::Overlay(root) => inside::command(root, &self.steamcmd),
        };
        command.args(["+@ShutdownOnFailedCommand", "1"]);
        if !self.ask {
            // Fail, and do not wait for somebody who is not there.
            command.args(["+@NoPromptForPassword", "1"]);
        }
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            // HOME decides where its caches lie; some locales print numbers with a comma; a dumb terminal gets few
            // escape sequences.
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("TERM", "dumb")
            .stdin(Stdio::from(copy()?))
            .stdout(Stdio::from(copy()?))
            .stderr(Stdio::from(copy()?));
        Ok(command)
    }

    /// Listens until SteamCMD has ended (none), or says why it has to be ended.
    fn watch(
        &self,
        child: &Child,
        master: &mut File,
        listener: &mut Listener,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Option<How>> {
        let failed = |errno: Errno| Error::io("can't wait for SteamCMD", errno.into());
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(failed)?;
        let mut asked = Vec::new();
        // SteamCMD closes its terminal a while before it ends.
        let mut open = true;
        let mut deadline = Instant::now() + self.silence_limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.interrupted.wait_for(open.then_some(&*master), Some(&process), left)?;
            // Before what can be heard: children that it left could go on talking for ever.
            if event.ended {
                return Ok(None);
            }
            open &= !event.hung_up;
            if event.readable {
                deadline = Instant::now() + self.silence_limit;
                listener.listen(master, on_progress)?;
            }
            let prompt = listener.lines.unfinished();
            if is_prompt(&prompt) {
                if asked.contains(&prompt) || !self.answer(&prompt, master)? {
                    return Ok(Some(How::Prompted));
                }
                // A second wrong answer would count towards Steam's limit: each question once.
                asked.push(prompt);
                listener.lines = Lines::default();
                deadline = Instant::now() + self.silence_limit;
            }
            if Instant::now() >= deadline {
                return Ok(Some(How::Silent));
            }
        }
    }

    /// Has the person at the terminal answer, if there is one.
    fn answer(&self, prompt: &str, master: &mut File) -> Result<bool> {
        if !self.ask {
            return Ok(false);
        }
        let Some(answer) = ask::ask(prompt, &self.interrupted)? else { return Ok(false) };
        master.write_all(&answer).map_err(|e| Error::io("can't answer SteamCMD", e))?;
        Ok(true)
    }
}

/// What could be taken for another of SteamCMD's commands is no name.
fn is_account(user: &str) -> bool {
    !user.is_empty() && !user.starts_with(['+', '-']) && !user.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// What SteamCMD gets of our environment: where programs are, who runs it, the way to the network, and what is ours.
/// Anything else (`LD_*`, a desktop's Steam) could only change what it does.
fn is_passed_on(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    matches!(name, "PATH" | "USER" | "LOGNAME" | "TZ" | "TMPDIR")
        || name.starts_with("LEFT4ME_")
        || name.to_ascii_lowercase().ends_with("_proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_command_is_no_account() {
        assert!(is_account("spare_account") && is_account("a.b@c"));
        for user in ["", "+quit", "-x", "a b", "a\tb", "a\nb"] {
            assert!(!is_account(user), "{user:?}");
        }
    }

    #[test]
    fn a_small_environment() {
        for (name, is) in [
            ("PATH", true),
            ("https_proxy", true),
            ("NO_PROXY", true),
            ("LEFT4ME_ROOT", true),
            ("LD_PRELOAD", false),
            ("LC_NUMERIC", false),
            ("STEAM_RUNTIME", false),
        ] {
            assert_eq!(is_passed_on(OsStr::new(name)), is, "{name}");
        }
    }
}
