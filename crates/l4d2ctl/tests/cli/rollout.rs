//! `rollout`: one first, the others after it, and all back where one does not come up as it should.

mod interrupted;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::live::spec;
use crate::updates::install;
use crate::{Ran, Sandbox, port};

const OLD: u64 = 9_450_001;
const NEW: u64 = 9_450_002;

/// What the servers of a test run once the build is there, if they are told to: nothing of what the build itself brings.
const TROUBLE: &str = "root/generations/9450002/left4dead2/cfg/trouble.cfg";

/// Instances on the old build, with the new one installed; on it those of `troubled` run `trouble`.
fn updated(names: &[&str], troubled: &[&str], trouble: &str) -> Sandbox {
    let sandbox = Sandbox::with_game();
    for name in names {
        let config: &[&str] = if troubled.contains(name) { &["exec trouble.cfg"] } else { &[] };
        sandbox.up(name, config);
    }
    assert_eq!(install(&sandbox, NEW, &[]).code, 0);
    sandbox.write(TROUBLE, trouble);
    sandbox
}

impl Sandbox {
    fn build(&self, name: &str) -> Option<u64> {
        self.status(name)["build_id"].as_u64()
    }

    fn pid(&self, name: &str) -> u64 {
        self.status(name)["main_pid"].as_u64().unwrap()
    }

    fn current(&self) -> String {
        let versions: Value =
            serde_json::from_slice(&std::fs::read(self.root().join("versions.json")).unwrap()).unwrap();
        versions["current"].as_str().unwrap().to_owned()
    }

    /// All run, and on this build.
    fn all_on(&self, names: &[&str], build: u64) {
        for name in names {
            assert_eq!((self.state(name).as_str(), self.build(name)), ("running", Some(build)), "{name}");
        }
        assert!(!self.root().join("rollout.json").exists());
    }

    fn rollout(&self, args: &[&str]) -> Ran {
        self.run(&[&["rollout"], args].concat())
    }

    fn rolling(&self, args: &[&str]) -> (Child, BufReader<ChildStderr>) {
        let mut command = self.command(&[&["rollout"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        (child, stderr)
    }
}

/// The lines of stderr in which these words stand first, in order.
fn steps(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().collect()
}

fn kill(child: &mut Child, signal: &str) -> Option<i32> {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap().code()
}

/// Reads on until a line holds this.
fn until(stderr: &mut BufReader<ChildStderr>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "never said: {text}");
    }
}

#[test]
fn all_that_run_are_moved_the_canary_first() {
    let sandbox = updated(&["a", "b", "c"], &[], "");
    sandbox.make("off", &spec(port(), &[]));
    let begun = Instant::now();
    let ran = sandbox.rollout(&["--canary", "b", "--soak", "2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3 instances moved to build 9450002\n"), "{ran:?}");
    let steps = steps(&ran);
    assert_eq!(steps[..3], ["rolling out build 9450002: 3 instances", "b: the canary", "b: restarting"]);
    assert!(steps[3].starts_with("b: answers after ") && steps[3].ends_with(" s; watching it for 2 s"), "{steps:?}");
    assert_eq!(steps[4..7], ["b: moved (1 of 3)", "a: restarting", "c: restarting"]);
    assert!(steps.contains(&"a: moved (2 of 3)") || steps.contains(&"c: moved (2 of 3)"), "{steps:?}");
    // The two were watched together.
    assert!((4..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    sandbox.all_on(&["a", "b", "c"], NEW);
    assert_eq!(sandbox.state("off"), "stopped");
    let pids = ["a", "b", "c"].map(|name| sandbox.pid(name));
    let again = sandbox.rollout(&[]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "nothing to do: every instance that runs is on build 9450002\n")
    );
    assert_eq!(again.stderr, "");
    assert_eq!(["a", "b", "c"].map(|name| sandbox.pid(name)), pids);
}

#[test]
fn a_canary_that_fails_goes_back_and_no_other_is_touched() {
    let sandbox = updated(&["a", "b"], &["a"], "");
    for (trouble, why) in [
        ("sim_hang 1", "it did not answer within 2 s"),
        ("sim_crash_after 0", "it crashed"),
        ("sim_crash_after 2", "it crashed"),
        ("sim_version 1.2.3.4", "it says that it is version 1.2.3.4, and its files are of 2.2.4.4"),
        (&format!("sim_port {}", port()), "was taken: it listens on"),
    ] {
        sandbox.write(TROUBLE, trouble);
        let b = sandbox.pid("b");
        let ran = sandbox.rollout(&["--canary", "a", "--soak", "5", "--wait", "2"]);
        assert!(ran.code == 1 && ran.stdout.is_empty(), "{trouble}: {ran:?}");
        assert!(ran.stderr.contains("a: FAILED: ") && ran.stderr.contains(why), "{trouble}: {ran:?}");
        assert!(ran.stderr.contains("\na: back on build 9450001\n"), "{trouble}: {ran:?}");
        assert!(ran.stderr.contains("error: instance a failed on build 9450002: "), "{trouble}: {ran:?}");
        assert!(ran.stderr.contains("caused by: the last lines of its log:"), "{trouble}: {ran:?}");
        assert!(ran.stderr.contains("hint: build 9450001 is the current one again; `l4d2ctl logs a`"), "{ran:?}");
        sandbox.all_on(&["a", "b"], OLD);
        assert_eq!((sandbox.current(), sandbox.pid("b")), (OLD.to_string(), b), "{trouble}");
        assert_eq!(sandbox.rollout(&[]).code, 0, "nothing is left to do");
        sandbox.ok(&["rollback", &NEW.to_string()]);
    }
}

#[test]
fn one_that_fails_later_takes_all_back() {
    let sandbox = updated(&["a", "b", "c"], &["c"], "sim_crash_after 1");
    let ran = sandbox.rollout(&["--soak", "3"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("a: moved (1 of 3)") && ran.stderr.contains("c: FAILED: it crashed"), "{ran:?}");
    for name in ["a", "b", "c"] {
        assert!(ran.stderr.contains(&format!("\n{name}: back on build 9450001\n")), "{name}: {ran:?}");
    }
    sandbox.all_on(&["a", "b", "c"], OLD);
    assert_eq!(sandbox.current(), OLD.to_string());
}

#[test]
fn who_is_empty_is_first_and_a_full_one_holds_up_nobody() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &["sim_players 2"]);
    sandbox.up("b", &[]);
    sandbox.up("c", &[]);
    assert_eq!(install(&sandbox, NEW, &[]).code, 0);
    let (mut child, mut stderr) = sandbox.rolling(&["--when-empty", "--soak", "1"]);
    let mut line = String::new();
    let mut said = String::new();
    while !line.starts_with("c: moved") && !line.starts_with("b: moved (2") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{said}");
        said.push_str(&line);
    }
    assert!(said.contains("waiting for a: 2 players on it (Coach"), "{said}");
    assert!(!said.contains("a: restarting") && said.contains("the canary"), "{said}");
    assert_eq!(["a", "b", "c"].map(|name| sandbox.build(name)), [Some(OLD), Some(NEW), Some(NEW)]);
    sandbox.rcon("a", port).run("sim_players 0");
    until(&mut stderr, "a: moved (3 of 3)");
    assert!(child.wait().unwrap().success());
    sandbox.all_on(&["a", "b", "c"], NEW);
}

#[test]
fn at_the_deadline_players_were_warned_and_it_is_done() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["sim_players 2"]);
    assert_eq!(install(&sandbox, NEW, &[]).code, 0);
    let ran = sandbox.rollout(&["--when-empty=11s", "--soak", "0"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("a: said in the chat: This server restarts for an update in 11 seconds"), "{ran:?}");
    assert!(ran.stderr.contains("a: the deadline has come, with 2 players on it\na: restarting\n"), "{ran:?}");
    sandbox.all_on(&["a"], NEW);
}

#[test]
fn programs_are_told_an_event_a_line() {
    let sandbox = updated(&["a", "b"], &[], "");
    let events = |ran: &Ran| -> Vec<Value> {
        assert_eq!(ran.stderr, "", "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let ran = sandbox.rollout(&["--json", "--soak", "0", "--canary", "b"]);
    let all = events(&ran);
    let words = |all: &[Value]| -> Vec<String> {
        all.iter()
            .map(|event| format!("{} {}", event["event"].as_str().unwrap(), event["name"].as_str().unwrap_or("-")))
            .collect()
    };
    let wanted = ["begin -", "canary b", "restarting b", "moved b", "restarting a", "moved a", "done -"];
    assert_eq!((ran.code, words(&all)), (0, wanted.map(str::to_owned).to_vec()), "{ran:?}");
    assert_eq!(
        all[0],
        json!({ "event": "begin", "version": "9450002", "build_id": NEW, "instances": ["a", "b"],
        "moved": 0, "resumed": false })
    );
    let done =
        json!({ "event": "done", "outcome": "moved", "version": "9450002", "build_id": NEW, "moved": ["a", "b"] });
    assert_eq!(all[6], done);
    let nothing = events(&sandbox.rollout(&["--json"]));
    assert_eq!((nothing.len(), &nothing[0]["outcome"]), (1, &json!("nothing-to-do")));
    sandbox.make("b", &spec(port(), &["exec trouble.cfg"]));
    sandbox.ok(&["rollback"]);
    for name in ["a", "b"] {
        sandbox.ok(&["restart", name, "--wait"]);
    }
    sandbox.ok(&["rollback", &NEW.to_string()]);
    sandbox.write(TROUBLE, "sim_hang 1");
    let ran = sandbox.rollout(&["--json", "--soak", "1", "--wait", "2", "--canary", "b"]);
    let all = events(&ran);
    let wanted = ["begin -", "canary b", "restarting b", "failed b", "restarting b", "back b", "done -"];
    assert_eq!((ran.code, words(&all)), (1, wanted.map(str::to_owned).to_vec()), "{ran:?}");
    assert_eq!(all[5], json!({ "event": "back", "name": "b", "version": "9450001", "error": null }));
    assert_eq!((&all[6]["outcome"], &all[6]["error"]["kind"]), (&json!("failed"), &json!("rollout-failed")));
}

#[test]
fn what_can_t_be_the_canary_and_what_is_refused_before_anything_is_touched() {
    let sandbox = updated(&["a", "b"], &[], "");
    sandbox.make("off", &spec(port(), &[]));
    let pids = ["a", "b"].map(|name| sandbox.pid(name));
    assert!(sandbox.refused(&["rollout", "--canary", "aa"]).contains("did you mean a?"));
    assert!(sandbox.run(&["rollout", "--canary", "off"]).stderr.contains("off can't be the canary"));
    sandbox.write("root/overlays/mod/left4dead2/motd.txt", "mod\n");
    let b = sandbox.status("b")["port"].as_u64().unwrap();
    sandbox.make("b", &format!("port: {b}\noverlays: [mod]\n"));
    std::fs::remove_dir_all(sandbox.root().join("overlays/mod")).unwrap();
    assert!(sandbox.refused(&["rollout"]).contains("mod"));
    // Nobody is left behind as if he did not run.
    let (lock, aside) = (sandbox.root().join("locks/a.supervisor"), sandbox.root().join("aside"));
    std::fs::rename(&lock, &aside).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let unknown = sandbox.refused(&["rollout"]);
    assert!(unknown.contains("it can't be told whether instance a runs"), "{unknown}");
    std::fs::remove_dir(&lock).unwrap();
    std::fs::rename(&aside, &lock).unwrap();
    assert_eq!(["a", "b"].map(|name| sandbox.pid(name)), pids);
    assert!(!sandbox.root().join("rollout.json").exists());
}

#[test]
fn one_that_can_t_go_back_is_named_and_the_others_do() {
    let sandbox = updated(&["a", "b", "c"], &["c"], "sim_crash_after 1");
    let (mut child, mut stderr) = sandbox.rolling(&["--canary", "a", "--soak", "2"]);
    until(&mut stderr, "c: restarting");
    // What its plan needs is gone when it is to be staged again.
    let json = sandbox.root().join("instances/a/instance.json");
    std::fs::write(&json, "{").unwrap();
    let code = child.wait().unwrap().code();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("\na: NOT BACK: instance a: instance.json can't be read"), "{said}");
    assert!(said.contains("it crashed; a is not back on its former build: "), "{said}");
    sandbox.all_on(&["b", "c"], OLD);
    assert_eq!((sandbox.build("a"), sandbox.current()), (Some(NEW), OLD.to_string()));
}
