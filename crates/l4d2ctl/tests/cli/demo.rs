//! The demo, as the README has it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;

use crate::{Ran, Sandbox};

/// Two demos at once may both find the examples' ports free, and then one of them has none.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn the_demo_shows_everything_and_leaves_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let ran = sandbox.run_with(&["demo"], &[("TMPDIR", sandbox.home().to_str().unwrap())]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("SIMULATED"), "{ran:?}");
    for part in [
        "friday answers: \"Friday night\"",
        "motd.txt is \"friday's own message of the day\"",
        "motd.txt is \"the standard overlay's message of the day\"",
        "friday  running",
        "the last lines of friday's log:",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} is not in {}", ran.stdout);
    }
    assert_eq!(std::fs::read_dir(sandbox.home()).unwrap().count(), 0, "something is left");
}

/// A kept demo, whose servers end with the test, also when that fails half way.
struct Kept<'a> {
    sandbox: &'a Sandbox,
    root: PathBuf,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        for name in ["friday", "league"] {
            let _ = self.sandbox.command(&["delete", name]).env("LEFT4ME_ROOT", &self.root).output();
        }
    }
}

/// The lines that are printed are run as they are, by a shell, in a directory whose name needs quotes.
#[test]
fn what_is_kept_can_be_gone_on_with() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let here = sandbox.dir.path().join("it's here");
    std::fs::create_dir(&here).unwrap();
    let _kept = Kept { sandbox: &sandbox, root: here.join("left4me-demo") };
    let demo = || Ran::of(&sandbox.command(&["demo", "--keep"]).current_dir(&here).output().unwrap());
    let ran = demo();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(demo().code, 2, "a second one has no place");
    let (_, how) = ran.stdout.split_once("To go on, in this directory:\n").unwrap();
    let lines: Vec<&str> = how.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(lines.len(), 7, "{how}");
    let more = "l4d2ctl start friday\nl4d2ctl install\nl4d2ctl logs friday --no-follow";
    let script = lines.join("\n").replace("logs friday", "logs friday --no-follow");
    // What is stopped can be started again, and finds Steam's library again; the game can be brought again.
    let script = script.replace("l4d2ctl delete friday", &format!("{more}\nl4d2ctl delete friday"));
    let script = script.replace("l4d2ctl install", "l4d2ctl stop friday; l4d2ctl stop league; l4d2ctl install");
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-ec", &script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.home())
        .current_dir(&here);
    let went = Ran::of(&shell.output().unwrap());
    assert_eq!(went.code, 0, "{script}\n{went:?}");
    assert!(
        went.stdout.contains("league  running") && went.stdout.contains("build 9450001 is the newest already"),
        "{went:?}"
    );
    assert!(!went.stdout.contains("LAN servers are restricted"), "{went:?}");
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 0, "something is left");
    assert_eq!(std::fs::read_dir(sandbox.home()).unwrap().count(), 0, "the caller's home was touched");
}

/// What `--keep` leaves, for a program that goes on with it.
pub(crate) fn keep_for_programs(sandbox: &Sandbox) {
    let _alone = ONE_AT_A_TIME.lock();
    let root = sandbox.dir.path().join("left4me-demo");
    let _kept = Kept { sandbox, root: root.clone() };
    let ran = sandbox.run(&["demo", "--keep", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().next_back().unwrap()).unwrap();
    assert_eq!(last["root"].as_str(), root.to_str(), "{ran:?}");
    let status = std::process::Command::new(last["l4d2ctl"].as_str().unwrap()).args(["status", "league"]).output();
    let status = Ran::of(&status.unwrap());
    assert!(status.code == 0 && status.stdout.contains("     state  running "), "{status:?}");
}

#[test]
fn a_demo_that_is_ended_leaves_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    for (signal, code) in [("INT", 130), ("TERM", 130), ("HUP", 130)] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(&["demo"]);
        command.env("TMPDIR", sandbox.home()).env("LEFT4ME_SIM_STEAM_SLOW", "20");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It is on its way as soon as it says so.
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("Step: ") {
            assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
        }
        std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}: {said}");
        assert!(said.contains("error: interrupted"), "{signal}: {said}");
        assert_eq!(std::fs::read_dir(sandbox.home()).unwrap().count(), 0, "{signal}: something is left");
    }
}

#[test]
fn a_demo_without_a_reader_or_a_place_leaves_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["demo"]);
    let mut child = command.env("TMPDIR", sandbox.home()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "a reader that goes is no error");
    assert_eq!(std::fs::read_dir(sandbox.home()).unwrap().count(), 0, "something is left");
    let nowhere = sandbox.dir.path().join("nowhere");
    let ran = sandbox.run_with(&["demo"], &[("TMPDIR", nowhere.to_str().unwrap())]);
    assert!(ran.code == 1 && ran.stderr.contains("can't make") && !nowhere.exists(), "{ran:?}");
}

#[test]
fn programs_read_the_demo_a_line_at_a_time() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let ran = sandbox.run_with(&["demo", "--json"], &[("TMPDIR", sandbox.home().to_str().unwrap())]);
    assert!(ran.code == 0 && ran.stderr.is_empty(), "{ran:?}");
    let events: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| events.iter().filter(|value| value["event"] == event).collect::<Vec<_>>();
    assert_eq!(of("answer")[0]["motd"], "friday's own message of the day");
    assert_eq!(of("status")[0]["instances"][1]["state"], "running");
}
