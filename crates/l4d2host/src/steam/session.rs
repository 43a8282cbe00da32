//! SteamCMD and all that it starts, as one session on a terminal of its own, which is ended as one.
//!
//! The terminal is the session's controlling one. So when l4d2ctl dies in whatever way, kill -9 included, its end of the
//! pty closes and the kernel hangs up on SteamCMD: nobody goes on writing into an installation that nobody has locked.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::interrupt::timespec;
use crate::{Error, ErrorKind, Result};

/// util-linux' (essential in Debian) or busybox'. A new session can't be had otherwise: between fork and exec only unsafe
/// code runs.
const SETSID: &str = "/usr/bin/setsid";

/// How long it may take to end when it is asked to, and again when it is killed.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Runs `program` in a session whose terminal is its stdin; without setsid(1), a process group has to do.
pub(super) fn command(program: &Path) -> Result<Command> {
    // Asked once: two answers would give SteamCMD the other program's arguments.
    let is_there = Path::new(SETSID).try_exists().map_err(|e| Error::io(format!("can't look for {SETSID}"), e))?;
    Ok(if is_there {
        let mut command = Command::new(SETSID);
        command.arg("-c").arg(program);
        command
    } else {
        let mut command = Command::new(program);
        command.process_group(0);
        command
    })
}

/// Ends everything in the child's session: politely if the child still runs, then surely. Whatever came before, nothing
/// of it stays: children that SteamCMD left would go on writing into the installation.
pub(super) fn end(child: &mut Child) -> Result<ExitStatus> {
    let failed = |e| Error::io("can't wait for SteamCMD", e);
    // Until it is waited for its number is taken, so no other session can have it.
    let session = Pid::from_child(child);
    let process = pidfd_open(session, PidfdFlags::empty()).map_err(|errno| failed(errno.into()))?;
    if !has_ended(&process, Duration::ZERO) {
        let members = members(session)?;
        signal(&process, Signal::TERM);
        for member in &members {
            signal(member, Signal::TERM);
        }
        let until = Instant::now() + END_LIMIT;
        for member in members.iter().chain([&process]) {
            has_ended(member, until.saturating_duration_since(Instant::now()));
        }
    }
    signal(&process, Signal::KILL);
    // Again until none is left, as one may have forked meanwhile.
    loop {
        let members = members(session)?;
        if members.is_empty() {
            break;
        }
        for member in &members {
            signal(member, Signal::KILL);
        }
        if !members.iter().all(|member| has_ended(member, END_LIMIT)) {
            return Err(Error::new(ErrorKind::Timeout, "a process of SteamCMD's does not die"));
        }
    }
    child.wait().map_err(failed)
}

/// The processes of a session or, where there is no session of that number, of a process group.
fn members(number: Pid) -> Result<Vec<OwnedFd>> {
    let entries = fs::read_dir("/proc").map_err(|e| Error::io("can't list /proc", e))?;
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
    let member = |pid: Pid| {
        // Opened before it is looked at: what was looked at is what is signalled.
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        is_member(&String::from_utf8_lossy(&stat), number).then_some(process)
    };
    Ok(pids.filter_map(member).collect())
}

/// proc_pid_stat(5): after the name in parentheses come state, parent, process group and session.
fn is_member(stat: &str, number: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = rest.split_whitespace().take(4).collect();
    let [state, _, group, session] = fields[..] else { return false };
    // What has ended and is not waited for stays a member.
    !matches!(state, "Z" | "X") && [group, session].contains(&number.to_string().as_str())
}

fn signal(process: &OwnedFd, signal: Signal) {
    // One that is gone needs none; one that may not be signalled shows by not dying.
    let _ = pidfd_send_signal(process, signal);
}

fn has_ended(process: &OwnedFd, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    loop {
        let left = timespec(until.saturating_duration_since(Instant::now()));
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            answer => return answer.is_ok_and(|count| count > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_by_their_stat() {
        let number = Pid::from_raw(70).unwrap();
        for (stat, is) in [
            ("80 (a) b) S 70 70 70 34816 70", true),
            ("81 (steamcmd) S 1 81 70 34816 70", true),
            ("82 (steamcmd) R 1 70 5 0 -1", true),
            ("83 (70 70 70) S 70 83 83 0 -1", false),
            ("70 (sh) Z 1 70 70 0 -1", false),
            ("", false),
            ("84 (x) S", false),
        ] {
            assert_eq!(is_member(stat, number), is, "{stat}");
        }
    }
}
