//! What a place is: the n-th call of a kind of one program of ours; and telling programs and calls apart.

use std::fmt;
use std::fs;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use syscalls::Sysno;

/// One program in a run: what is executed, with its verb, and the how-manieth of that kind it is. What is forked and has
/// not executed anything yet is `PROGRAM (fork)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::crash) struct Key {
    pub(in crate::crash) program: String,
    pub(in crate::crash) run: u32,
}

/// A call of a program: the n-th of its kind, counted from 1. By its kind, since how often a program waits or looks at
/// other processes differs from run to run, and what comes after it would be another call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::crash) struct Place {
    pub(in crate::crash) key: Key,
    pub(in crate::crash) nth: u32,
    /// The call's number.
    pub(super) number: u32,
    /// It reads from or writes to a pipe or a socket, which no disk can make fail.
    pub(in crate::crash) on_pipe: bool,
}

impl Place {
    /// Which call it is.
    pub(in crate::crash) fn call(&self) -> Sysno {
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

/// Whose calls are ours.
pub(in crate::crash) fn is_ours(program: &str) -> bool {
    program.starts_with("l4d2ctl") || program.starts_with("left4me-")
}

/// Whether a call reads from or writes to a pipe or a socket.
pub(super) fn is_pipe(pid: Pid, call: Sysno, descriptor: u64) -> bool {
    if ![Sysno::read, Sysno::readv, Sysno::write, Sysno::writev].contains(&call) {
        return false;
    }
    let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap_or_default();
    ["pipe:", "socket:"].iter().any(|kind| target.to_string_lossy().starts_with(kind))
}

pub(super) fn key(program: &str) -> Key {
    Key { program: program.to_owned(), run: 1 }
}

/// What a process runs: the name of its file and its first argument, the verb of each program of ours.
pub(super) fn program(pid: Pid) -> Option<String> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = file.file_name()?.to_string_lossy().into_owned();
    if !is_ours(&name) {
        return Some(name);
    }
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let verb = words.split(|&byte| byte == 0).nth(1).map(String::from_utf8_lossy).unwrap_or_default();
    Some(format!("{name} {verb}"))
}
