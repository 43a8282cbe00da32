//! Servers under the embedded supervisor, from the outside.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::{Sandbox, port};

#[test]
fn a_server_s_whole_life() {
    let sandbox = Sandbox::with_game();
    sandbox.write("root/overlays/mods/left4dead2/motd.txt", "mods\n");
    sandbox.write("root/overlays/base/left4dead2/motd.txt", "base\n");
    sandbox.write("root/overlays/base/left4dead2/cfg/server.cfg", "hostname \"from base\"\nsv_base 1\n");
    let port = port();
    sandbox.make(
        "a",
        &format!("port: {port}\noverlays: [mods, {{path: base, alias: base}}]\nconfig: ['hostname \"own\"']\n"),
    );
    assert_eq!(sandbox.ok(&["start", "a"]), "instance a started\n");
    assert_eq!(sandbox.state("a"), "running");
    sandbox.wait("it is up", |s| s.ok(&["logs", "a", "--no-follow"]).contains("motd: "));
    let log = sandbox.ok(&["logs", "a", "--no-follow"]);
    assert!(log.contains("motd: mods\n") && log.contains("hostname: own\n"), "{log}");
    let cfg = fs::read_to_string(sandbox.root().join("runtime/a/upper/left4dead2/cfg/server.cfg")).unwrap();
    let lines: Vec<&str> = cfg.lines().collect();
    assert_eq!(lines[1..3], ["exec server_base.cfg", "hostname \"own\""], "{cfg}");
    assert!(lines.last().unwrap().starts_with("rcon_password \""), "{cfg}");

    assert!(sandbox.ok(&["start", "a"]).contains("runs already"));
    // Without the alias, its file is swept from the upper at the next start.
    let changed = sandbox.initialize("a", &format!("port: {port}\noverlays: [mods, base]\n"));
    assert!(changed.stdout.contains("it runs on as it was staged"), "{changed:?}");
    assert!(sandbox.ok(&["status", "a"]).contains("pending  yes"));
    sandbox.ok(&["stop", "a"]);
    assert_eq!(sandbox.state("a"), "stopped");
    let password = fs::read(sandbox.root().join("instances/a/rcon_password")).unwrap();
    sandbox.ok(&["start", "a"]);
    assert!(!sandbox.root().join("runtime/a/upper/left4dead2/cfg/server_base.cfg").exists());
    assert_eq!(fs::read(sandbox.root().join("instances/a/rcon_password")).unwrap(), password);
    sandbox.ok(&["reset", "a"]);
    assert_eq!(fs::read_dir(sandbox.root().join("runtime/a/upper")).unwrap().count(), 0);
    sandbox.ok(&["start", "a"]);
    sandbox.ok(&["delete", "a"]);
    for dir in ["instances", "runtime", "tmp"] {
        assert_eq!(fs::read_dir(sandbox.root().join(dir)).unwrap().count(), 0, "{dir}");
    }
}

#[test]
fn a_port_in_use_fails_the_server_and_the_log_says_so() {
    let sandbox = Sandbox::with_game();
    let port = port();
    let _taken = std::net::UdpSocket::bind(("0.0.0.0", port)).unwrap();
    sandbox.make("a", &format!("port: {port}\n"));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it waits to be started again", |s| s.state("a") == "crash-looping");
    let log = sandbox.ok(&["logs", "a", "--no-follow"]);
    assert!(log.contains(&format!("Couldn't bind port {port}")) && log.contains("failed with exit code 1"), "{log}");
    sandbox.ok(&["stop", "a"]);
    assert_eq!(sandbox.state("a"), "stopped");
}

#[test]
fn a_crash_is_followed_by_a_restart_and_kill_9_by_nothing() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_crash_after 1]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it was started again", |s| s.json(&["status", "a"])["instances"][0]["restarts"] == 1);
    sandbox.make("b", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "b"]);
    let game = sandbox.json(&["status", "b"])["instances"][0]["main_pid"].as_u64().unwrap();
    let stat = fs::read_to_string(format!("/proc/{game}/stat")).unwrap();
    let supervisor = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    std::process::Command::new("kill").args(["-9", &supervisor]).status().unwrap();
    sandbox.wait("the game went along", |_| {
        fs::read_to_string(format!("/proc/{game}/stat")).map_or(true, |stat| stat.contains(") Z "))
    });
    sandbox.wait("it is seen to be lost", |s| s.state("b") == "failed");
    sandbox.ok(&["start", "b"]);
    assert_eq!(sandbox.state("b"), "running");
}

#[test]
fn a_slow_shutdown_is_waited_for_and_a_hanging_one_ends() {
    let sandbox = Sandbox::with_game();
    sandbox.make("slow", &format!("port: {}\nconfig: [sim_shutdown_seconds 3]\n", port()));
    sandbox.make("deaf", &format!("port: {}\nconfig: [sim_ignore_signals 1, sim_fork 2]\n", port()));
    // One that had to be killed is marked, as systemd does it: it may have lost what it wanted to save.
    for (name, state) in [("slow", "stopped"), ("deaf", "failed")] {
        sandbox.ok(&["start", name]);
        sandbox.wait("it is up", |s| s.ok(&["logs", name, "--no-follow"]).contains("Server is hibernating"));
        sandbox.ok(&["stop", name]);
        assert_eq!(sandbox.state(name), state);
    }
    assert!(sandbox.ok(&["logs", "slow", "--no-follow"]).contains("Server shutdown complete"));
    assert!(sandbox.ok(&["logs", "deaf", "--no-follow"]).contains("not ended in 15 s: killed"));
}

#[test]
fn logs_follow_resume_and_end_with_their_reader() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_flood 1000, sim_hostile_output 1]\n", port()));
    let mut follower = sandbox.command(&["logs", "a"]).stdout(Stdio::piped()).spawn().unwrap();
    sandbox.ok(&["start", "a"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).split(b'\n');
    assert!(lines.any(|line| line.unwrap() == b"flood line 999"), "the follower missed it");
    drop(lines);
    assert_eq!(follower.wait().unwrap().code(), Some(0), "a reader that goes is no error");

    let json = sandbox.ok(&["logs", "a", "--no-follow", "--lines", "3", "--json"]);
    let entries: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((entries.len(), &entries[2]["message"]), (3, &"flood line 999".into()));
    let cursor = entries[0]["cursor"].as_str().unwrap();
    assert_eq!(sandbox.ok(&["logs", "a", "--no-follow", "--after-cursor", cursor]), "flood line 998\nflood line 999\n");
    assert!(sandbox.run(&["logs", "a", "--no-follow", "--after-cursor", "x"]).code == 2);
}

#[test]
fn control_characters_are_harmless_on_a_terminal() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_hostile_output 1]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it printed", |s| s.run(&["logs", "a", "--no-follow"]).stdout.contains("reversed"));
    let raw = sandbox.command(&["logs", "a", "--no-follow"]).output().unwrap().stdout;
    assert!(raw.contains(&0x1b), "a pipe gets the bytes as they came");
    // script(1) gives it a terminal.
    let line = format!("{} logs a --no-follow", env!("CARGO_BIN_EXE_l4d2ctl"));
    let mut script = std::process::Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LEFT4ME_ROOT", sandbox.root());
    script.env("LEFT4ME_SUPERVISOR", "embedded").env("TERM", "xterm").stdin(Stdio::null());
    let shown = script.output().unwrap().stdout;
    assert!(!shown.contains(&0x1b) && !shown.contains(&7), "a terminal got control characters");
    assert!(String::from_utf8_lossy(&shown).contains("\\u{1b}]0;title\\u{7}"), "{}", String::from_utf8_lossy(&shown));
}

#[test]
fn what_the_game_left_is_not_followed() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.write("canary/server.cfg", "kept");
    let upper = sandbox.root().join("runtime/a/upper");
    let canary = sandbox.dir.path().join("canary");
    for link in ["left4dead2", "left4dead2/cfg"] {
        fs::create_dir_all(upper.join(link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&canary, upper.join(link)).unwrap();
        sandbox.ok(&["start", "a"]);
        sandbox.ok(&["reset", "a"]);
        assert_eq!(fs::read_to_string(canary.join("server.cfg")).unwrap(), "kept");
    }
}

/// As in the middle of a delete, which takes the instance away first.
#[test]
fn what_has_no_files_and_does_nothing_is_no_instance() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "a"]);
    let state = fs::read_to_string(sandbox.root().join("runtime/a/supervisor.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap();
    for (boot, is_there) in [(state["boot_id"].clone(), true), ("an earlier one".into(), false)] {
        // In this boot a supervisor that is gone has failed, which is to be seen; in an earlier one it did what all did.
        state["boot_id"] = boot;
        sandbox.write("root/runtime/ghost/supervisor.json", &state.to_string());
        assert_eq!(sandbox.run(&["status", "ghost"]).code == 0, is_there, "{state}");
        assert_eq!(sandbox.ok(&["status"]).contains("ghost"), is_there, "{state}");
    }
    sandbox.ok(&["delete", "ghost"]);
    assert!(!sandbox.root().join("runtime/ghost").exists());
}

/// The supervisor tells whoever started it that the server runs; one that was killed meanwhile does not hear it.
#[test]
fn a_server_whose_start_was_killed_goes_on() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "a", "--wait"]);
    sandbox.ok(&["stop", "a"]);
    let (reader, nobody_reads) = std::io::pipe().unwrap();
    drop(reader);
    let root = sandbox.root();
    let mut supervise = sandbox.command(&["supervise", root.to_str().unwrap(), "a"]);
    assert!(supervise.stdout(nobody_reads).status().unwrap().success());
    let runs =
        |sandbox: &Sandbox| sandbox.ok(&["logs", "a", "--no-follow"]).matches("Connection to Steam").count() == 2;
    sandbox.wait("the second run says that it is up", runs);
    assert_eq!(sandbox.state("a"), "running");
}
