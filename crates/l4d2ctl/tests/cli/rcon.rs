//! Commands for a game's console, as the documents have them, and every way to have none run.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::files::{NOBODY, is_root};
use crate::{Ran, Sandbox, port};

/// A server that runs, with people and bots on it.
fn running(config: &str) -> Sandbox {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [{config}]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it listens", |s| s.run(&["rcon", "a", "--", "echo", "up"]).code == 0);
    sandbox
}

/// The kind of a refusal.
fn kind(sandbox: &Sandbox, args: &[&str]) -> String {
    let ran = sandbox.run(&[&["--json"], args].concat());
    let error: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_ne!(ran.code, 0, "{ran:?}");
    error["error"]["kind"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_and_its_reply() {
    let sandbox = running("hostname Friday, sim_players 2");
    let status = sandbox.ok(&["rcon", "a", "--", "status"]);
    assert!(status.starts_with("hostname: Friday\n") && status.ends_with("#end\n"), "{status}");
    // One argument is a line, several are words.
    assert_eq!(sandbox.ok(&["rcon", "a", "--", "echo a; echo b"]), "a \nb \n");
    assert_eq!(sandbox.ok(&["rcon", "a", "--", "echo", "a; echo b"]), "a; echo b \n");
    assert_eq!(sandbox.ok(&["rcon", "a", "echo", "no dashes"]), "no dashes \n");
    assert_eq!(sandbox.ok(&["rcon", "a", "--", "echo", "--json"]), "--json \n");
    let document = sandbox.json(&["rcon", "a", "echo", "x"]);
    assert_eq!(document, serde_json::json!({ "name": "a", "command": "echo x", "reply": "x \n" }));
    // A reply in many frames is whole.
    let list = sandbox.ok(&["rcon", "a", "--", &"cvarlist; ".repeat(10)]);
    assert_eq!(list.matches("total convars/concommands\n").count(), 10);
    for bad in ["echo a\nquit", ""] {
        let ran = sandbox.run(&["rcon", "a", "--", bad]);
        assert_eq!(ran.code, if bad.is_empty() { 0 } else { 2 }, "{ran:?}");
    }
    let ran = sandbox.run(&["rcon", "a", "--", "say", "\"; quit"]);
    assert!(ran.code == 2 && ran.stderr.contains("quote"), "{ran:?}");
    assert_eq!(sandbox.ok(&["rcon", "a", "--", "quit"]), "");
    sandbox.wait("it has ended", |s| s.state("a") != "running");
}

#[test]
fn what_is_said_is_text() {
    let sandbox = running("log on");
    for text in ["hello", "two words", "x; quit", "\"; quit; \"", "a // b", "; quit"] {
        assert_eq!(sandbox.ok(&["say", "a", "--", text]), "");
        let shown = format!("Console: {}\n", text.replace('"', "'"));
        sandbox.wait(&shown, |s| s.ok(&["logs", "a", "--no-follow"]).contains(&shown));
    }
    sandbox.ok(&["say", "a", "several", "words"]);
    for text in ["a\nquit", "a\rquit", "\u{1b}[2J"] {
        let ran = sandbox.run(&["say", "a", "--", text]);
        assert!(ran.code == 2 && ran.stderr.contains("console"), "{ran:?}");
    }
    assert_eq!(sandbox.state("a"), "running");
    assert_eq!(sandbox.json(&["say", "a", "x"]), serde_json::json!({ "name": "a", "said": "x" }));
}

#[test]
fn players_are_thrown_out() {
    let sandbox = running("sim_players 6, sim_bots 2");
    let count = || {
        let status = sandbox.ok(&["rcon", "a", "status"]);
        status.lines().filter(|line| line.starts_with('#') && !line.starts_with("#end")).count() - 1
    };
    assert_eq!(count(), 8);
    // By name, by part of it, by number, by SteamID; names are text and never commands.
    assert_eq!(sandbox.ok(&["kick", "a", "Coach"]), "kicked #2 \"Coach\" (STEAM_1:0:1002)\n");
    sandbox.ok(&["kick", "a", "QUOTED", "--reason", "\"; quit; \" // x"]);
    sandbox.ok(&["kick", "a", "#5"]);
    sandbox.ok(&["kick", "a", "[U:1:2012]"]);
    assert_eq!(sandbox.ok(&["kick", "a", "Bot 1"]), "kicked #9 \"Bot 1\" (bot)\n");
    assert_eq!(count(), 3);
    let log = sandbox.ok(&["logs", "a", "--no-follow"]);
    assert!(log.contains("(Kicked by Console : '; quit; ' // x)"), "{log}");
    let document = sandbox.json(&["kick", "a", "8"]);
    assert_eq!(document["kicked"]["bot"], true, "{document}");
    // Nobody, and too many.
    let error = sandbox.refused(&["kick", "a", "Coach"]);
    assert!(error.contains("no player of instance a is Coach") && error.contains("on it: #4 \""), "{error}");
    assert!(!error.contains('\u{1b}'), "{error}");
    let error = sandbox.refused(&["kick", "a", "e"]);
    assert!(error.contains("may be 2 players") && error.contains("hint: a number means one: '#4'"), "{error}");
    assert_eq!(kind(&sandbox, &["kick", "a", "e"]), "ambiguous-player");
    assert_eq!(kind(&sandbox, &["kick", "a", "zzz"]), "no-such-player");
    assert_eq!(kind(&sandbox, &["kick", "a", ""]), "usage");
    assert_eq!(kind(&sandbox, &["kick", "a", "#4", "--reason", "a\nquit"]), "usage");
    assert_eq!(count(), 2);
}

#[test]
fn players_are_kept_out() {
    let sandbox = running("sim_players 3, sim_bots 1");
    let bans = || {
        let file = sandbox.root().join("runtime/a/upper/left4dead2/cfg/banned_user.cfg");
        std::fs::read_to_string(file).unwrap_or_default()
    };
    let ran = sandbox.ok(&["ban", "a", "Coach", "--minutes", "60", "--reason", "language"]);
    assert_eq!(ran, "banned #2 \"Coach\" (STEAM_1:0:1002) for 60 min, and kicked\n");
    assert!(sandbox.ok(&["logs", "a", "--no-follow"]).contains("(Kicked by Console : language)"));
    assert_eq!(bans(), "", "only those for good are written");
    assert!(sandbox.ok(&["ban", "a", "#3"]).contains("for good, and kicked"));
    // One who is not there.
    assert!(
        sandbox.ok(&["ban", "a", "76561197960265974"]).contains("banned STEAM_1:0:123 for good; the player is not")
    );
    assert!(bans().contains("banid 0 STEAM_1:0:1003\n") && bans().contains("STEAM_1:0:123\n"), "{}", bans());
    assert_eq!(kind(&sandbox, &["ban", "a", "Bot 0"]), "no-such-player");
    assert_eq!(kind(&sandbox, &["ban", "a", "Nick"]), "no-such-player");
    assert_eq!(sandbox.run(&["ban", "a", "#4", "--minutes", "-1"]).code, 2);
    // They don't come back.
    sandbox.ok(&["rcon", "a", "sim_players", "3"]);
    let status = sandbox.ok(&["rcon", "a", "status"]);
    assert!(status.contains("1 humans, 1 bots"), "{status}");
}

#[test]
fn why_there_is_no_reply() {
    let sandbox = Sandbox::with_game();
    sandbox.make("friday", &format!("port: {}\n", port()));
    let error = sandbox.refused(&["rcon", "firday", "status"]);
    assert!(error.contains("there is no instance firday") && error.contains("did you mean friday?"), "{error}");
    let error = sandbox.refused(&["say", "friday", "x"]);
    assert_eq!(error, "error: instance friday does not run: it is stopped\nhint: `l4d2ctl start friday` starts it\n");
    assert_eq!(kind(&sandbox, &["rcon", "friday", "status"]), "not-running");
    assert_eq!(kind(&sandbox, &["console", "friday"]), "not-running");
    // It runs, and answers nothing.
    sandbox.make("hung", &format!("port: {}\narguments: [+sim_hang, '1']\n", port()));
    sandbox.ok(&["start", "hung"]);
    sandbox.wait("it is up", |s| s.ok(&["logs", "hung", "--no-follow"]).contains("motd: "));
    let ran = sandbox.run(&["rcon", "hung", "status"]);
    assert!(ran.code == 1 && ran.stderr.contains("instance hung does not reply"), "{ran:?}");
    assert!(ran.stderr.contains("caused by: no answer to the RCON password in time"), "{ran:?}");
}

/// While the server is not up, or has lost its port, any user of the host may listen there.
#[test]
fn the_password_is_not_for_whoever_took_the_port() {
    if !is_root() {
        // Only root can be somebody else; as root this same test runs.
        return;
    }
    let sandbox = running("log on");
    let public = tempfile::tempdir().unwrap();
    std::fs::set_permissions(public.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = public.path().join("l4d2ctl");
    std::fs::copy(env!("CARGO_BIN_EXE_l4d2ctl"), &program).unwrap();
    let taken = port().to_string();
    let mut other = Command::new("setpriv");
    other.arg(format!("--reuid={NOBODY}")).arg("--clear-groups").arg(&program).args(["simulate", "srcds_linux"]);
    other.args(["-strictportbind", "+hostport", &taken, "+log", "on", "+sim_players", "1"]).current_dir(public.path());
    let mut other = Other(other.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(other.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("Network: ")), "it does not listen");
    // As if that port were the one that the server was started with, and that it has lost.
    let launch = sandbox.root().join("instances/a/staged/launch");
    let text = std::fs::read_to_string(&launch).unwrap();
    let (before, after) = text.split_once("+hostport\n").unwrap();
    let after = after.split_once('\n').map_or("", |(_, after)| after);
    std::fs::write(&launch, format!("{before}+hostport\n{taken}\n{after}")).unwrap();
    let error = sandbox.refused(&["rcon", "a", "status"]);
    assert!(error.contains(&format!("listens on port {taken}, and not instance a")), "{error}");
    assert_eq!(kind(&sandbox, &["say", "a", "x"]), "port-conflict");
    for args in [&["status"][..], &["status", "a"], &["metrics", "--no-disk"]] {
        sandbox.ok(args);
    }
    let stopped = sandbox.run(&["stop", "a", "--when-empty=1s"]);
    assert!(stopped.stderr.contains("could not be said in the chat: a program of nobody listens"), "{stopped:?}");
    other.0.kill().unwrap();
    let said: Vec<String> = lines.collect();
    assert!(!said.iter().any(|line| line.contains("Password")), "it was told a password: {said:?}");
}

/// Another user's program, which ends with the test.
struct Other(std::process::Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_never_shown() {
    let sandbox = running("log on");
    let file = sandbox.root().join("instances/a/rcon_password");
    let password = std::fs::read_to_string(&file).unwrap();
    let wrong = "0123456789abcdef".repeat(2);
    std::fs::write(&file, format!("{wrong}\n")).unwrap();
    let error = sandbox.refused(&["rcon", "a", "status"]);
    assert!(error.contains("instance a refuses its RCON password") && error.contains("hint: it runs with"), "{error}");
    assert!(!error.contains(&wrong), "{error}");
    // Lines on stdin: the first failure ends it, or each line would be one more attempt.
    let ran = console(&sandbox, "echo a\necho b\necho c\n", &[]);
    assert!(ran.code == 1 && ran.stderr.matches("error: ").count() == 1, "{ran:?}");
    // The fifth of one address is banned.
    for _ in 0..3 {
        assert_eq!(kind(&sandbox, &["rcon", "a", "status"]), "rcon-refused");
    }
    std::fs::write(&file, password).unwrap();
    let error = sandbox.refused(&["rcon", "a", "status"]);
    assert!(error.contains("hung up before it answered") && error.contains("has banned this host"), "{error}");
    assert_eq!(kind(&sandbox, &["rcon", "a", "status"]), "rcon-refused");
    sandbox.ok(&["stop", "a"]);
    sandbox.ok(&["start", "a"]);
    sandbox.wait("a restart lifts the ban", |s| s.run(&["rcon", "a", "status"]).code == 0);
}

/// The console with these lines on stdin.
fn console(sandbox: &Sandbox, lines: &str, options: &[&str]) -> Ran {
    let args = [&["console", "a"], options].concat();
    let mut child =
        sandbox.command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that ends early reads no more.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let ran = Ran::of(&child.wait_with_output().unwrap());
    crate::schema::check(&args, &ran.stdout);
    ran
}

#[test]
fn lines_of_a_pipe_are_run() {
    let sandbox = running("log on");
    let ran = console(&sandbox, "echo a\n\n  \necho b; echo c\r\necho last", &[]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.code), ("a \nb \nc \nlast \n", "", 0));
    // One that is no command is told, and the others are run.
    let ran = console(&sandbox, "echo a\nx\0y\necho b\n", &[]);
    assert!(ran.code == 1 && ran.stdout == "a \nb \n" && ran.stderr.contains("holds a NUL"), "{ran:?}");
    // A server that ends ends it: what comes may count on what was before.
    let ran = console(&sandbox, "echo a\nquit\necho b\n", &[]);
    assert!(ran.code == 1 && ran.stdout == "a \n" && ran.stderr.contains("error: instance a does not"), "{ran:?}");
    sandbox.ok(&["stop", "a"]);
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it listens", |s| s.run(&["rcon", "a", "--", "echo", "up"]).code == 0);
    let ran = console(&sandbox, "echo a\nx\0y\n", &["--json"]);
    let lines: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({ "command": "echo a", "reply": "a \n" }));
    assert_eq!((lines[1]["error"]["kind"].as_str(), lines.len(), ran.code), (Some("usage"), 2, 1));
}
