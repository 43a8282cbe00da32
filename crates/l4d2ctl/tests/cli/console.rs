//! The console at a terminal of 80×24, typed at as a person would.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::{Sandbox, port};

const UP: &str = "\u{1b}[A";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A console at a terminal.
pub(crate) struct Seat {
    master: File,
    /// Kept open, so that its modes can be asked for when the program has gone.
    slave: File,
    child: Child,
    before: Termios,
    seen: String,
}

impl Seat {
    fn take(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Self {
        Self::at(sandbox, &["console", "a"], &[&[("NO_COLOR", "1")], environment].concat())
    }

    /// A command of `l4d2ctl` at a terminal of 80×24.
    pub(crate) fn at(sandbox: &Sandbox, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = sandbox.command(args);
        command.envs(environment.iter().copied());
        Self::of(command)
    }

    /// The same with any program.
    pub(crate) fn of(command: Command) -> Self {
        Self::as_wide_as(command, 80)
    }

    fn as_wide_as(mut command: Command, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).and_then(|()| unlockpt(&master)).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let slave = File::from(ioctl_tiocgptpeer(&master, flags).unwrap());
        let before = tcgetattr(&slave).unwrap();
        let stream = || slave.try_clone().unwrap();
        if !command.get_envs().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm");
        }
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        Self { master: File::from(master), slave, child, before, seen: String::new() }
    }

    /// All that a program prints on a terminal of so many columns, until it ends.
    pub(crate) fn printed(command: Command, columns: u16) -> String {
        let mut seat = Self::as_wide_as(command, columns);
        let limit = Instant::now() + LIMIT;
        while seat.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < limit, "it does not end: {:?}", seat.seen);
            seat.read();
        }
        // What it printed last may still be on its way.
        let mut before = usize::MAX;
        while std::mem::replace(&mut before, seat.seen.len()) != seat.seen.len() {
            seat.read();
        }
        seat.seen
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this is on the terminal, and forgets what was before it.
    pub(crate) fn see(&mut self, text: &str) {
        let limit = Instant::now() + LIMIT;
        while !self.seen.contains(text) {
            assert!(Instant::now() < limit, "{text:?} never comes: {:?}", self.seen);
            self.read();
        }
        let at = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..at);
    }

    /// What comes within a second.
    fn read(&mut self) {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&second)) == Ok(1) {
            let mut chunk = [0; 4096];
            let length = self.master.read(&mut chunk).unwrap();
            self.seen += &String::from_utf8_lossy(&chunk[..length]);
        }
    }

    /// Its end, with the terminal as it was before.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let limit = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < limit, "it does not end: {:?}", self.seen);
            self.read();
        };
        let after = tcgetattr(&self.slave).unwrap();
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{after:?}");
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before));
        (status, self.seen)
    }

    /// The terminal goes, as when a connection breaks: the program has no controlling terminal here, so that no signal
    /// tells it.
    pub(crate) fn hang_up(self) -> ExitStatus {
        let Self { master, slave, mut child, .. } = self;
        drop((master, slave));
        let limit = Instant::now() + LIMIT;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > limit {
                child.kill().unwrap();
                panic!("it goes on without its terminal");
            }
            // Bounded by the limit above; std waits for a child without one.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

fn running() -> Sandbox {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_players 1]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it listens", |s| s.run(&["rcon", "a", "--", "echo", "up"]).code == 0);
    sandbox
}

#[test]
fn a_log_above_and_a_line_below() {
    let sandbox = running();
    let mut seat = Seat::take(&sandbox, &[]);
    seat.see("console of instance a: Tab completes, Ctrl-D leaves");
    seat.see("a> ");
    seat.type_in("echo hello\r");
    seat.see("hello \r\n");
    seat.see("a> ");
    // What the game says meanwhile comes above, and what is being typed stays.
    seat.type_in("echo ty");
    seat.see("echo ty");
    sandbox.ok(&["say", "a", "\u{202e}from elsewhere"]);
    seat.see("Console: \\u{202e}from elsewhere");
    seat.see("a> echo ty");
    seat.type_in("ped\r");
    seat.see("typed \r\n");
    // The server's own names, in any case.
    seat.see("a> ");
    seat.type_in("SV_allt\t");
    seat.see("sv_alltalk");
    seat.type_in("\r");
    seat.see("\"sv_alltalk\" = \"0\"\r\n");
    // A line that is thrown away is not run.
    seat.see("a> ");
    seat.type_in(&format!("quit{CTRL_C}"));
    seat.see("quit\r\n");
    seat.see("a> ");
    seat.type_in("echo on\r");
    seat.see("on \r\n");
    seat.see("a> ");
    seat.type_in(UP);
    seat.see("echo on");
    seat.type_in(CTRL_C);
    seat.see("a> ");
    // Lines that come together are all run, and what is typed meanwhile waits.
    seat.type_in(&format!("echo one\recho two\r{CTRL_D}"));
    seat.see("one \r\n");
    seat.see("two \r\n");
    let (status, _) = seat.end();
    assert_eq!(status.code(), Some(0));
    assert_eq!(sandbox.state("a"), "running");
}

#[test]
fn what_was_typed_is_kept_for_its_user_alone() {
    let sandbox = running();
    let file = sandbox.home().join(".local/state/left4me/console/a");
    let mut seat = Seat::take(&sandbox, &[]);
    seat.see("a> ");
    for line in ["echo first", "echo second", "sv_password hunter2x", " echo hidden"] {
        seat.type_in(&format!("{line}\r"));
        seat.see("a> ");
    }
    seat.type_in(CTRL_D);
    seat.end();
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.ends_with("echo first\necho second\n"), "{kept}");
    assert!(!kept.contains("hunter2x") && !kept.contains("hidden"), "{kept}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

    let mut seat = Seat::take(&sandbox, &[]);
    seat.see("a> ");
    seat.type_in(&format!("{UP}{UP}\r"));
    seat.see("first \r\n");
    seat.type_in(CTRL_D);
    seat.end();

    // Elsewhere where the user wants it so; and without a place the console works all the same.
    let state = sandbox.dir.path().join("state");
    let mut seat = Seat::take(&sandbox, &[("XDG_STATE_HOME", state.to_str().unwrap())]);
    seat.see("a> ");
    seat.type_in("echo third\r");
    seat.see("third \r\n");
    seat.type_in(CTRL_D);
    seat.end();
    assert!(std::fs::read_to_string(state.join("left4me/console/a")).unwrap().ends_with("echo third\n"));
    let mut seat = Seat::take(&sandbox, &[("XDG_STATE_HOME", "/dev/null")]);
    seat.see("hint: what you type is forgotten at the end");
    seat.see("a> ");
    seat.type_in(CTRL_D);
    assert_eq!(seat.end().0.code(), Some(0));
}

#[test]
fn a_history_that_is_damaged_is_no_reason_not_to_work() {
    let sandbox = running();
    let file = sandbox.home().join(".local/state/left4me/console/a");
    for what in ["bytes", "directory"] {
        let _ = std::fs::remove_file(&file);
        if what == "bytes" {
            sandbox.write("home/.local/state/left4me/console/a", "#V2\n");
            std::fs::write(&file, b"\xff\n").unwrap();
        } else {
            std::fs::create_dir(&file).unwrap();
        }
        let mut seat = Seat::take(&sandbox, &[]);
        seat.see(&format!("error: can't read {}", file.display()));
        seat.see("hint: what you type is forgotten at the end");
        seat.see("a> ");
        seat.type_in("echo one\r");
        seat.see("one \r\n");
        seat.type_in("echo two\r");
        seat.see("two \r\n");
        seat.type_in(CTRL_D);
        let (status, seen) = seat.end();
        assert!(status.success() && !seen.contains("error"), "{what}: {seen}");
    }
    // It could be read, and can't be written to any more.
    std::fs::remove_dir(&file).unwrap();
    let mut seat = Seat::take(&sandbox, &[]);
    seat.see("a> ");
    std::fs::create_dir(&file).unwrap();
    seat.type_in("echo one\r");
    seat.see(&format!("error: can't write {}", file.display()));
    seat.see("one \r\n");
    seat.type_in("echo two\r");
    seat.see("two \r\n");
    seat.type_in(CTRL_D);
    let (status, seen) = seat.end();
    assert!(status.success() && !seen.contains("error"), "{seen}");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let sandbox = running();
    for (name, number) in [("TERM", 15), ("HUP", 1), ("INT", 2)] {
        let mut seat = Seat::take(&sandbox, &[]);
        seat.see("a> ");
        // It reads keys: the terminal's modes are its own now.
        seat.type_in("half a li");
        seat.see("half a li");
        assert!(!tcgetattr(&seat.slave).unwrap().local_modes.contains(LocalModes::ICANON));
        seat.signal(name);
        let (status, seen) = seat.end();
        assert_eq!(status.signal(), Some(number), "{name}: {seen:?}");
    }
    // While a command waits for its reply, too, which no key could end.
    let mut seat = Seat::take(&sandbox, &[]);
    seat.see("VAC secure mode is activated.");
    seat.see("a> ");
    seat.type_in("sim_hang 1\r");
    seat.see("sim_hang 1\r\n");
    seat.signal("INT");
    let (status, seen) = seat.end();
    assert_eq!(status.signal(), Some(2), "{seen:?}");
}

#[test]
fn a_server_may_come_back() {
    let sandbox = running();
    let mut seat = Seat::take(&sandbox, &[]);
    seat.see("a> ");
    sandbox.ok(&["stop", "a"]);
    seat.type_in("echo gone\r");
    seat.see("error: instance a does not run: it is stopped");
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it listens", |s| s.run(&["rcon", "a", "--", "echo", "up"]).code == 0);
    seat.type_in("echo back\r");
    seat.see("back \r\n");
    seat.type_in("quit\r");
    seat.see("left4me: ended");
    seat.see("a> ");
    seat.type_in(CTRL_D);
    assert_eq!(seat.end().0.code(), Some(0));
}

#[test]
fn a_dumb_terminal_is_one_too() {
    let sandbox = running();
    let mut seat = Seat::take(&sandbox, &[("TERM", "dumb")]);
    seat.see("console of instance a");
    seat.type_in("echo hello\r");
    seat.see("hello \r\n");
    seat.type_in(CTRL_D);
    assert_eq!(seat.end().0.code(), Some(0));
}
