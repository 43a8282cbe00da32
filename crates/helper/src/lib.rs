//! What every root helper does before anything else, and how it speaks.
//!
//! sudo and systemd clear most of what a process inherits, but what a helper does as root must not depend on how either
//! is configured. So nothing that the caller chose stays, but argv and the standard streams. std itself has opened
//! whatever of 0 to 2 was closed on `/dev/null`, and ignores SIGPIPE.

mod libc;

use std::io::{self, Write};

use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit, umask};

/// Clears what a process inherits. One thread only, at the start of `main`. Nothing here can fail in a way that leaves the
/// process less safe, so nothing is reported but the directory.
pub fn sanitise() -> io::Result<()> {
    libc::clear_environment();
    // Limits before descriptors: with a limit of 3, listing or opening anything would fail.
    raise_limits();
    libc::close_from(3);
    libc::default_signals();
    // A caller that made itself unimportant does not make root hold a lock for longer. To be refused it is no danger.
    let _ = setpriority_process(None, 0);
    umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    std::env::set_current_dir("/")
}

/// From here to the end of the process no signal but SIGKILL and SIGSTOP, which only root can send, takes effect: what was
/// begun is finished. Who shares a terminal with root's process can interrupt it, and could stop it (`^Z`) while it
/// holds a lock. Children that std starts have no signal blocked.
pub fn block_signals() {
    libc::block_signals();
}

/// A caller's limits must not decide what root can do: 500 layers are 500 descriptors, a file size limit would kill the
/// write of a record, and one of CPU time anything. Root may raise them; for anybody else it does not matter.
fn raise_limits() {
    let unlimited = [
        Resource::As,
        Resource::Cpu,
        Resource::Data,
        Resource::Fsize,
        Resource::Locks,
        Resource::Memlock,
        Resource::Nproc,
        Resource::Rss,
        Resource::Rttime,
    ];
    for resource in unlimited {
        let _ = setrlimit(resource, Rlimit { current: None, maximum: None });
    }
    for (resource, value) in [(Resource::Nofile, 4096), (Resource::Stack, 8 << 20), (Resource::Core, 0)] {
        let _ = setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    }
}

/// Writes one line to stderr. `eprintln!` would panic where stderr is full or a closed pipe; there is then nobody to tell.
/// What does not print is escaped: names that the service user made up are quoted in errors, and a line of theirs must
/// not look like one of ours, or steer a terminal.
pub fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{}\n", printable(line)).as_bytes());
}

/// A text as it may go to a terminal and into a log: one line, everything visible, of bounded length.
fn printable(text: &str) -> String {
    /// A path of the longest name that the kernel opens fits, and its error.
    const MAX_CHARS: usize = 5000;
    let mut line = String::with_capacity(text.len());
    for c in text.chars().take(MAX_CHARS) {
        match c {
            '"' | '\'' | '\\' => line.push(c),
            c => line.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_visible_line() {
        assert_eq!(printable("can't open \"/a b\\c\": ä…"), "can't open \"/a b\\c\": ä…");
        assert_eq!(printable("a\nerror: b\x1b[2J\u{202e}\0"), "a\\nerror: b\\u{1b}[2J\\u{202e}\\0");
        assert_eq!(printable(&"x".repeat(100_000)).chars().count(), 5003);
    }
}
