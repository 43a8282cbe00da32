//! How SteamCMD is ended, with all that it started, and how installs keep out of each other's way.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use l4d2host::{ErrorKind, Progress};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::Place;

/// Where the part of a test that runs in a process of its own finds its root directory.
const PART: &str = "STEAM_TEST_ROOT";

/// And its SteamCMD.
const STEAMCMD: &str = "STEAM_TEST_STEAMCMD";

/// A process whose number SteamCMD left in a file, which is waited for.
fn process(place: &Place, file: &str) -> rustix::fd::OwnedFd {
    for _ in 0..1000 {
        if let Some(pid) = place.read(file).trim().parse().ok().and_then(Pid::from_raw) {
            return pidfd_open(pid, PidfdFlags::empty()).unwrap();
        }
        // Another program's file: there is no event to wait for.
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("SteamCMD was never run");
}

fn has_ended(process: &rustix::fd::OwnedFd) -> bool {
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).unwrap() == 1
}

fn is_gone(place: &Place, file: &str) -> bool {
    let pid = place.read(file);
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie does nothing any more; not every PID 1 takes them away.
    !pid.is_empty() && (stat.is_empty() || stat.contains(") Z "))
}

#[test]
fn one_that_says_nothing_is_ended() {
    let mut place = Place::new("", "echo begun; sleep 1000 & echo $! > \"$HOME/child\"; wait");
    place.request.silence_limit = Duration::from_millis(300);
    let error = place.install().error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Timeout, 1), "{error}");
    assert!(is_gone(&place, "child"));
}

#[test]
fn one_that_ignores_being_asked_is_killed() {
    let mut place =
        Place::new("", "trap '' TERM HUP; echo $$ > \"$HOME/pid\"; while :; do sleep 1000 < /dev/null; done");
    place.request.silence_limit = Duration::from_millis(300);
    assert_eq!(place.install().error().kind(), ErrorKind::Timeout);
    assert!(is_gone(&place, "pid"));
}

#[test]
fn children_that_it_leaves_end_with_it() {
    // Out of its process group, and deaf to the hang-up.
    let leave = "set -m; (trap '' HUP TERM; exec sleep 1000) & echo $! > \"$HOME/child\"; set +m; good";
    let place = Place::new("", leave);
    place.install().result.unwrap();
    assert!(is_gone(&place, "child"));
}

#[test]
fn children_that_talk_for_ever_hold_nothing_up() {
    let place = Place::new("", "(trap '' HUP; while :; do echo nonsense; done) & good");
    place.install().result.unwrap();
}

#[test]
fn a_question_without_anybody_to_answer_is_an_error() {
    let mut place = Place::new("echo \"$@\" > \"$HOME/argv\"", "printf 'Steam Guard code: '; read -r code");
    place.request.user = Some("spare".to_owned());
    let error = place.install().error();
    assert_eq!(error.kind(), ErrorKind::LicenceRequired, "{error}");
    assert!(error.hint_text().unwrap().contains("steamcmd +login spare +quit"));
    assert!(place.read("argv").contains("+@NoPromptForPassword 1") && place.read("argv").contains("+login spare "));
}

#[test]
fn an_install_waits_for_whoever_has_the_installation() {
    let place = Place::new("", "good");
    place.install().result.unwrap();
    let lock = File::options().read(true).write(true).open(place.path("locks/.installation"));
    let lock = lock.unwrap();
    for exclusive in [false, true] {
        // As before the first install.
        std::fs::remove_file(place.path("versions.json")).unwrap();
        std::fs::remove_file(place.path("installation/srcds_run")).unwrap();
        if exclusive {
            lock.lock().unwrap();
        } else {
            lock.lock_shared().unwrap();
        }
        let mut waited_for = Vec::new();
        let host = l4d2host::Host::embedded(place.dir.path()).unwrap();
        let result = host.install(&place.request, &mut |event| {
            if let Progress::Step { step } = event
                && let Some(who) = step.strip_prefix("waiting for the installation, held by ")
            {
                waited_for.push(who.to_owned());
                lock.unlock().unwrap();
            }
        });
        result.unwrap();
        // The kernel says who it is: this very process.
        let own = format!("(process {}, running for ", std::process::id());
        assert!(waited_for.len() == 1 && waited_for[0].contains(&own), "{waited_for:?}");
    }
}

/// Not a test by itself: what the tests below run in a process of its own, to signal it.
#[test]
fn part_that_installs() {
    let Some(root) = std::env::var_os(PART) else { return };
    let request = l4d2host::InstallRequest {
        steamcmd: std::env::var_os(STEAMCMD).map(Into::into),
        user: Some("spare".to_owned()),
        ask: true,
        ..l4d2host::InstallRequest::default()
    };
    let result = l4d2host::Host::embedded(root.as_ref()).unwrap().install(&request, &mut |_| {});
    println!("result: {}", result.map_or_else(|error| error.kind().as_str().to_owned(), |_| "installed".to_owned()));
}

/// Begins an install in a process of its own; `terminal` is its controlling terminal, or it has none.
fn begin(place: &Place, terminal: Option<&File>) -> Child {
    // A session of its own without a terminal, or `/dev/tty` would be that of whoever runs the tests.
    let mut command = Command::new("/usr/bin/setsid");
    if terminal.is_some() {
        command.arg("-c");
    }
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "end::part_that_installs", "--nocapture"])
        .env(PART, place.dir.path())
        .env(STEAMCMD, place.request.steamcmd.as_ref().unwrap())
        .stdin(terminal.map_or_else(Stdio::null, |terminal| terminal.try_clone().unwrap().into()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

fn output(child: Child) -> String {
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

const SLEEP: &str = "echo $$ > \"$HOME/pid\"; sleep 1000 & echo $! > \"$HOME/child\"; wait";

#[test]
fn signals_end_it_with_all_its_children() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = Place::new("", SLEEP);
        let child = begin(&place, None);
        process(&place, "child");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let said = output(child);
        assert!(said.contains("result: interrupted"), "{signal:?}: {said}");
        assert!(is_gone(&place, "pid") && is_gone(&place, "child"), "{signal:?}");
    }
}

#[test]
fn it_does_not_outlive_an_installer_that_was_killed() {
    let place = Place::new("", SLEEP);
    let mut child = begin(&place, None);
    let (steamcmd, its_child) = (process(&place, "pid"), process(&place, "child"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(has_ended(&steamcmd) && has_ended(&its_child));
}

#[test]
fn a_question_is_passed_on_to_the_terminal() {
    let ask = r#"case "$*" in *NoPrompt*) echo "no prompt" > "$HOME/typed"; exit 5;; esac"#;
    let place = Place::new(ask, "printf 'password: '; IFS= read -r word; echo \"$word\" >> \"$HOME/typed\"; good");
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    let child = begin(&place, Some(&terminal));
    let mut master = File::from(master);
    let mut seen = String::new();
    for pass in 1..=2 {
        while seen.matches("SteamCMD asks: password: ").count() < pass {
            let mut chunk = [0; 256];
            let length = master.read(&mut chunk).unwrap();
            seen += &String::from_utf8_lossy(&chunk[..length]);
        }
        master.write_all(b"hunter2 $x\n").unwrap();
    }
    let said = output(child);
    assert!(said.contains("result: installed"), "{said}");
    assert_eq!(place.read("typed"), "hunter2 $x\nhunter2 $x\n");
    assert!(!seen.contains("hunter2"), "{seen}");
}
