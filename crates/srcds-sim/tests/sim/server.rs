//! A simulated game in a directory of its own, ended when the test is.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_srcds-sim");

/// A directory with what the game reads.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file below `left4dead2`.
    pub(crate) fn with(self, file: &str, content: &str) -> Self {
        let path = self.path().join("left4dead2").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A server that is up, as its console says, with more arguments.
    pub(crate) fn serve(self, args: &[&str]) -> Server {
        let port = free_port();
        let mut server = self.spawn(port, args);
        server.wait_for("motd: ");
        server
    }

    pub(crate) fn spawn(self, port: u16, args: &[&str]) -> Server {
        let mut child = Command::new(PROGRAM)
            .args(["srcds_linux", "-game", "left4dead2", "-norestart", "-strictportbind", "+ip", "0.0.0.0"])
            .args(["+hostport", &port.to_string()])
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Server { place: self, port, child, stdout, said: String::new() }
    }
}

/// A port that is free for UDP and TCP, and that the kernel gives to nobody who asks for any. Tests run side by side:
/// each gets another one.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let is_free =
        |&port: &u16| UdpSocket::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok();
    let candidate = |_| {
        let offset = (std::process::id().wrapping_mul(61) + NEXT.fetch_add(1, Ordering::Relaxed)) % 7000;
        20_000 + u16::try_from(offset).unwrap()
    };
    (0..7000).map(candidate).find(is_free).unwrap()
}

pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) port: u16,
    child: Child,
    stdout: BufReader<ChildStdout>,
    said: String,
}

/// How it ended, and all that it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) said: String,
}

impl Server {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Reads until a line begins so; gives that line.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> String {
        loop {
            let mut line = Vec::new();
            let length = self.stdout.read_until(b'\n', &mut line).unwrap();
            let line = String::from_utf8_lossy(&line).into_owned();
            self.said.push_str(&line);
            assert!(length > 0, "it ended before it said {beginning:?}:\n{}", self.said);
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        let said = format!("{}{}", self.said, String::from_utf8_lossy(&rest));
        Ended { code: status.code(), signal: status.signal(), said }
    }

    pub(crate) fn interrupt(self) -> Ended {
        self.signal(Signal::INT);
        self.end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Most have ended by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
