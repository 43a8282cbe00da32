//! `--when-empty`: players are waited for, warned, and told when it was called off.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use srcds_query::rcon::{Client, Password};

use crate::live::spec;
use crate::{Sandbox, port};

/// The console of a server, as an operator has it.
pub(crate) struct Console(Client);

impl Console {
    pub(crate) fn run(&mut self, command: &str) -> String {
        let reply = self.0.run(command, Instant::now() + Duration::from_secs(10)).unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }
}

impl Sandbox {
    pub(crate) fn rcon(&self, name: &str, port: u16) -> Console {
        let path = self.root().join("instances").join(name).join("rcon_password");
        let password = Password::new(std::fs::read_to_string(path).unwrap().trim()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        Console(Client::connect(SocketAddr::from(([127, 0, 0, 1], port)), &password, deadline).unwrap())
    }

    /// A command that is waiting, and the first line that it said of it.
    fn waiting(&self, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        (child, stderr, line)
    }
}

fn rest(mut stderr: BufReader<std::process::ChildStderr>) -> String {
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn it_is_done_when_the_last_player_has_left() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &["sim_players 2", "sim_bots 2"]);
    let mut console = sandbox.rcon("a", port);
    let (mut child, stderr, line) = sandbox.waiting(&["stop", "a", "--when-empty"]);
    assert!(line.starts_with("waiting for a: 2 players on it (Coach, a \"quoted\" | name"), "{line}");
    assert!(!line.contains("left"), "there is no deadline: {line}");
    console.run("sim_players 1");
    sandbox.wait("it goes on waiting", |s| s.state("a") == "running");
    assert!(child.try_wait().unwrap().is_none());
    console.run("sim_players 0");
    assert!(child.wait().unwrap().success());
    let said = rest(stderr);
    assert!(said.contains("waiting for a: nobody on it"), "{said}");
    assert_eq!(sandbox.state("a"), "stopped");
    assert!(!sandbox.log("a").contains("This server stops"), "without a deadline there is nothing to warn of");
}

#[test]
fn nobody_on_it_is_no_reason_to_wait() {
    let sandbox = Sandbox::with_game();
    for (verb, state) in
        [("stop", Some("stopped")), ("reset", Some("stopped")), ("restart", Some("running")), ("delete", None)]
    {
        sandbox.up("a", &["sim_bots 3"]);
        let begun = Instant::now();
        sandbox.ok(&[verb, "a", "--when-empty=1h"]);
        assert!(begun.elapsed() < Duration::from_secs(15), "{verb} took {:?}", begun.elapsed());
        match state {
            Some(state) => assert_eq!(sandbox.state("a"), state, "{verb}"),
            None => assert!(sandbox.refused(&["status", "a"]).contains("no instance")),
        }
        let _ = sandbox.run(&["delete", "a"]);
    }
    // One that does not run has nobody on it.
    sandbox.make("a", &spec(port(), &[]));
    sandbox.ok(&["reset", "a", "--when-empty"]);
}

#[test]
fn at_the_deadline_it_is_done_and_players_were_warned() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["sim_players 3"]);
    let begun = Instant::now();
    let ran = sandbox.run(&["restart", "a", "--when-empty=12s", "--warn", "An update is installed"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(begun.elapsed() >= Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(ran.stderr.contains("a: the deadline has come, with 3 players on it"), "{ran:?}");
    let log = sandbox.log("a");
    let said = |text: &str| log.contains(&format!("Console: An update is installed in {text}\n"));
    assert!(said("12 seconds") && said("10 seconds"), "{log}");
    assert_eq!(log.matches("An update").count(), 2, "{log}");
}

#[test]
fn ctrl_c_calls_it_off_and_players_are_told() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["sim_players 1"]);
    let pid = sandbox.status("a")["main_pid"].clone();
    for signal in ["-INT", "-TERM"] {
        let (mut child, mut stderr, _) = sandbox.waiting(&["restart", "a", "--when-empty=5min"]);
        until(&mut stderr, "said in the chat: This server restarts in 5 minutes");
        self::signal(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let said = rest(stderr);
        assert!(said.contains("error: interrupted") && said.contains("The restart is cancelled"), "{said}");
    }
    assert_eq!(sandbox.log("a").matches("Console: The restart is cancelled").count(), 2);
    assert_eq!(sandbox.status("a")["main_pid"], pid, "nothing was done");
}

/// Reads on until a line holds this.
fn until(stderr: &mut BufReader<std::process::ChildStderr>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "never said: {text}");
    }
}

fn signal(child: &Child, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn what_ends_it_for_one_calls_it_off_for_the_others() {
    let sandbox = Sandbox::with_game();
    let b = sandbox.up("b", &["sim_players 1"]);
    sandbox.write("root/overlays/mod/left4dead2/motd.txt", "mod\n");
    let mut told = 0;
    for interrupted in [false, true] {
        let a = sandbox.up("a", &["sim_players 1"]);
        if interrupted {
            // Restarted, it never answers.
            sandbox.make("a", &spec(a, &["sim_hang 1"]));
        } else {
            sandbox.make("a", &format!("port: {a}\noverlays: [mod]\n"));
        }
        let (mut child, mut stderr, _) = sandbox.waiting(&["restart", "a", "b", "--when-empty=10min", "--wait"]);
        until(&mut stderr, "b: said in the chat");
        let _ = std::fs::remove_dir_all(sandbox.root().join("overlays/mod"));
        let pid = sandbox.status("a")["main_pid"].clone();
        sandbox.rcon("a", a).run("sim_players 0");
        if interrupted {
            sandbox.wait("it is restarted", |s| s.status("a")["main_pid"] != pid && s.state("a") == "running");
            signal(&child, "-INT");
        }
        assert_eq!(child.wait().unwrap().code(), Some(if interrupted { 130 } else { 1 }));
        let said = rest(stderr);
        assert!(said.contains("b: said in the chat: The restart is cancelled"), "{said}");
        told += 1;
        assert_eq!(sandbox.log("b").matches("Console: The restart is cancelled").count(), told);
        sandbox.ok(&["delete", "a"]);
    }
    assert_eq!(sandbox.rcon("b", b).run("sim_players"), "\"sim_players\" = \"1\"\n");
}

#[test]
fn at_the_deadline_what_is_refused_is_called_off() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &["sim_players 1"]);
    sandbox.write("root/overlays/mod/left4dead2/motd.txt", "mod\n");
    sandbox.make("a", &format!("port: {port}\noverlays: [mod]\n"));
    let (mut child, mut stderr, _) = sandbox.waiting(&["restart", "a", "--when-empty=4s"]);
    until(&mut stderr, "said in the chat");
    std::fs::remove_dir_all(sandbox.root().join("overlays/mod")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let said = rest(stderr);
    assert!(said.contains("a: said in the chat: The restart is cancelled"), "{said}");
}

#[test]
fn what_is_refused_anyway_is_refused_before_anybody_waits() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &["sim_players 1"]);
    sandbox.up("b", &[]);
    let pid = sandbox.status("b")["main_pid"].clone();
    sandbox.write("root/overlays/mod/left4dead2/motd.txt", "mod\n");
    sandbox.make("a", &format!("port: {port}\noverlays: [mod]\n"));
    std::fs::remove_dir_all(sandbox.root().join("overlays/mod")).unwrap();
    for when in ["--when-empty=1h", "--now"] {
        assert!(sandbox.refused(&["restart", "b", "a", when]).contains("error: overlay mod is not there"), "{when}");
    }
    assert_eq!(sandbox.status("b")["main_pid"], pid, "it was restarted before the other was refused");
    let other = "0123456789abcdef";
    let refused = sandbox.refused(&["delete", "a", "--if-revision", other, "--when-empty=1h"]);
    assert!(refused.contains(&format!("not at revision {other}")), "{refused}");
    assert!(!sandbox.log("a").contains("Console: "), "nobody was warned of what does not come");
}

#[test]
fn one_that_another_command_has_is_looked_at_again_when_it_has_it_no_more() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &[]);
    let holder = crate::locks::Holder::of(&sandbox, "a.lock");
    let (mut child, mut stderr, _) = sandbox.waiting(&["stop", "a", "--when-empty"]);
    until(&mut stderr, "waiting for a: nobody on it, and it is held by `sleep 1000`");
    // Somebody comes while it waits for the other command.
    let mut console = sandbox.rcon("a", port);
    console.run("sim_players 1");
    until(&mut stderr, "waiting for a: 1 player on it");
    drop(holder);
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.state("a"), "running");
    // Ctrl-C is heard also while the other one has it.
    let _holder = crate::locks::Holder::of(&sandbox, "a.lock");
    console.run("sim_players 0");
    let (mut child, mut stderr, _) = sandbox.waiting(&["stop", "a", "--when-empty"]);
    until(&mut stderr, "held by");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn whoever_is_empty_first_is_first() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &["sim_players 1"]);
    sandbox.up("b", &[]);
    let mut command = sandbox.command(&["restart", "a", "b", "--when-empty"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "instance b restarted\n");
    sandbox.rcon("a", port).run("sim_players 0");
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "instance a restarted\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn one_that_does_not_answer_is_not_taken_for_empty() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &spec(port(), &["sim_hang 1", "sim_players 4"]));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it is up", |s| s.log("a").contains("Server is hibernating"));
    let begun = Instant::now();
    let ran = sandbox.run(&["stop", "a", "--when-empty=4s"]);
    assert!(begun.elapsed() >= Duration::from_secs(4) && ran.code == 0, "{ran:?}");
    assert!(ran.stderr.contains("it is not known who is on it") && ran.stderr.contains("could not be said"), "{ran:?}");
}

#[test]
fn servers_that_hang_keep_nobody_waiting() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b", "c"] {
        sandbox.make(name, &spec(port(), &["sim_hang 1"]));
        sandbox.ok(&["start", name]);
        sandbox.wait("it is up", |s| s.log(name).contains("Server is hibernating"));
    }
    let begun = Instant::now();
    let ran = sandbox.run(&["restart", "a", "b", "c", "--when-empty=4s"]);
    assert_eq!((ran.code, ran.stderr.matches("could not be said").count()), (0, 3), "{ran:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn what_is_no_deadline_or_no_warning() {
    let sandbox = Sandbox::with_game();
    for args in [
        &["--when-empty=soon"][..],
        &["--when-empty="],
        &["--when-empty", "--now"],
        &["--warn", "x"],
        &["--when-empty", "--warn", ""],
        &["--when-empty", "--warn", "two\nlines"],
        &["--when-empty=1h", "--warn", &"x".repeat(101)],
    ] {
        let ran = sandbox.run(&[&["stop", "a"], args].concat());
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
    }
}
