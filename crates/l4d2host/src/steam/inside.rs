//! SteamCMD on an overlay of its own, for an update: what it writes lands in a fresh directory, and what instances have
//! mounted stays as it is.
//!
//! Three re-executions of this program, as for the embedded supervisor: [`enter`] makes a session on the terminal that is
//! its stdin, and namespaces; [`init`] is PID 1 of them, mounts the overlay over `installation`, so that SteamCMD finds the
//! game where it always was, and waits; [`become_steamcmd`] gives every privilege away. When PID 1 ends, the kernel ends
//! whatever SteamCMD has left behind, and the mount with it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};

use names::parse_layers;
use overlay::mount::Detached;
use overlay::stack::{Stack, open_layers};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, PidfdFlags, ioctl_tiocsctty, pidfd_open, setsid};
use rustix::stdio::stdin;

use crate::embedded::inside::{drop_capabilities, forbidden, mount_new_proc, unshare};
use crate::{Error, ErrorKind, Result};

/// What `enter` exits with where SteamCMD was not run at all. SteamCMD has no such code.
pub(super) const NOT_RUN: i32 = 125;

/// The directory of an update below the root: `layers`, `upper` and `work`.
pub(super) const PLACE: &str = "tmp/update";

/// The file in it that says what lies below.
pub(super) const LAYERS: &str = "layers";

/// Longer than 500 layers.
pub(super) const MAX_LAYERS_FILE: usize = 512 * 1024;

/// The command that runs `program` with the arguments and the environment that it is given, on its stdin as terminal.
pub(super) fn command(root: &Path, program: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("install-on-overlay").arg(root).arg(program).current_dir("/");
    command
}

pub(crate) fn enter(root: &OsStr, command: &[OsString]) -> ExitCode {
    report(try_enter(root, command))
}

fn try_enter(root: &OsStr, command: &[OsString]) -> Result<ExitStatus> {
    let failed = |errno: Errno| Error::io("can't make a session", errno.into());
    setsid().map_err(failed)?;
    // When l4d2ctl dies in whatever way, its end closes, and the kernel hangs up on this process.
    ioctl_tiocsctty(stdin()).map_err(failed)?;
    unshare()?;
    let init = Command::new("/proc/self/exe").arg("install-init").arg(root).args(command).spawn();
    init.and_then(|mut init| init.wait()).map_err(|e| Error::io("can't start SteamCMD's namespace", e))
}

pub(crate) fn init(root: &OsStr, command: &[OsString]) -> ExitCode {
    // Re-executed as /proc/self/exe, it would be "exe" in every list of processes. Only a name: failing is no matter.
    let _ = rustix::thread::set_name(c"l4d2ctl");
    report(mount_and_run(Path::new(root), command))
}

fn mount_and_run(root: &Path, command: &[OsString]) -> Result<ExitStatus> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(forbidden)?;
    let dir = crate::host::open_own(root)?;
    let place = dir.open_dir(PLACE)?;
    let layers = parse_layers(&place.read(LAYERS, MAX_LAYERS_FILE)?)?;
    let stack = Stack {
        source: "left4me-update".to_owned(),
        layers: open_layers(&dir, layers)?,
        upper: place.open_dir("upper")?,
        work: place.open_dir("work")?,
        merged: dir.open_dir("installation")?,
        runtime: place,
    };
    Detached::create(&stack)?.attach_at(&stack.merged)?;
    mount_new_proc()?;
    let failed = |e| Error::io("can't start SteamCMD", e);
    let mut steamcmd = Command::new("/proc/self/exe")
        .arg("install-exec")
        .arg(root.join("installation"))
        .args(command)
        .spawn()
        .map_err(failed)?;
    wait(&mut steamcmd).map_err(failed)
}

/// Waits until SteamCMD has ended, or nobody listens to it any more. As PID 1 this process is not ended by a hang-up.
fn wait(steamcmd: &mut Child) -> std::io::Result<ExitStatus> {
    let process = pidfd_open(Pid::from_child(steamcmd), PidfdFlags::empty())?;
    loop {
        let mut waiting = [PollFd::new(&process, PollFlags::IN), PollFd::from_borrowed_fd(stdin(), PollFlags::empty())];
        match poll(&mut waiting, None) {
            Err(Errno::INTR) => continue,
            answer => answer?,
        };
        if !waiting[1].revents().is_empty() {
            steamcmd.kill()?;
        }
        return steamcmd.wait();
    }
}

/// Returns only to say why it did not work.
pub(crate) fn become_steamcmd(dir: &OsStr, command: &[OsString]) -> ExitCode {
    let become_it = || {
        let [program, args @ ..] = command else { return Error::new(ErrorKind::Usage, "no program is given") };
        // Only now, as a directory that was opened before the mount is the one below it.
        if let Err(error) = std::env::set_current_dir(dir) {
            return Error::io(format!("can't go to {}", dir.display()), error);
        }
        if let Err(errno) = drop_capabilities() {
            return Error::io("can't drop capabilities", errno.into());
        }
        let error = Command::new(program).args(args).exec();
        Error::io(format!("can't run {}", program.display()), error)
    };
    report(Err(become_it()))
}

/// The exit code as a shell has it. What is said goes where SteamCMD would say it.
#[expect(clippy::print_stderr, reason = "this process has nobody else to tell")]
fn report(ended: Result<ExitStatus>) -> ExitCode {
    match ended {
        Ok(status) => {
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(error) => {
            eprintln!("{}", crate::embedded::inside::chain(&error));
            ExitCode::from(u8::try_from(NOT_RUN).unwrap_or(1))
        }
    }
}
