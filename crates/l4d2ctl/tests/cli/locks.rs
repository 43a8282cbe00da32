//! Commands that have to wait for each other.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::{Sandbox, port};

/// A process that has a lock until it is dropped: util-linux' flock(1), which takes it as we do.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(sandbox: &Sandbox, file: &str) -> Self {
        let mut flock = Command::new("flock");
        let mut child = flock
            .arg("--no-fork")
            .arg(sandbox.root().join("locks").join(file))
            .args(["sleep", "1000"])
            .spawn()
            .unwrap();
        // flock(1) becomes sleep(1) once it has the lock.
        let cmdline = format!("/proc/{}/cmdline", child.id());
        sandbox.wait("flock(1) gets the lock", |_| {
            assert_eq!(child.try_wait().unwrap(), None, "flock(1) did not get the lock");
            std::fs::read(&cmdline).unwrap() == b"sleep\x001000\0"
        });
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Begins a command and reads on stderr that it waits.
fn waiting(sandbox: &Sandbox, args: &[&str]) -> (Child, BufReader<ChildStderr>, String) {
    let mut child = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    (child, stderr, line)
}

fn signal(process: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_command_says_for_whom_it_waits_and_goes_on_when_that_one_is_done() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_shutdown_seconds 2]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it is up", |s| s.ok(&["logs", "a", "--no-follow"]).contains("Server is hibernating"));
    let mut stop = sandbox.command(&["stop", "a"]).stdout(Stdio::piped()).spawn().unwrap();
    sandbox.wait("it stops", |s| s.state("a") == "stopping");
    let (mut reset, mut rest, line) = waiting(&sandbox, &["reset", "a"]);
    let (before, after) = line.split_once(", running for ").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(before, format!("waiting for instance a, held by `l4d2ctl stop a` (process {}", stop.id()));
    assert!(after.trim_end().strip_suffix(" s)").is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{line}");
    let mut said = String::new();
    rest.read_to_string(&mut said).unwrap();
    assert!(reset.wait().unwrap().success() && said.is_empty(), "{said}");
    assert!(stop.try_wait().unwrap().is_some_and(|status| status.success()), "reset was done before stop");
}

#[test]
fn one_that_waits_too_long_gives_up_and_names_the_holder() {
    let sandbox = Sandbox::new();
    let spec = format!("port: {}\n", port());
    sandbox.make("a", &spec);
    sandbox.write("spec.yaml", &spec);
    let before = sandbox.tree();
    for (file, what) in [("a.lock", "instance a"), (".host", "the list of ports")] {
        let holder = Holder::of(&sandbox, file);
        let who = format!("`sleep 1000` (process {}, running for ", holder.0.id());
        let ran = sandbox.run(&["initialize", "a", "-f", "spec.yaml", "--lock-timeout", "1"]);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!((ran.code, lines.len()), (1, 3), "{ran:?}");
        assert!(lines[0].starts_with(&format!("waiting for {what}, held by {who}")), "{ran:?}");
        assert!(lines[1].starts_with(&format!("error: {what} is held after 1 s by {who}")), "{ran:?}");
        assert!(lines[2].starts_with("hint: nothing was changed") && lines[2].contains("--lock-timeout"), "{ran:?}");
        let at_once = sandbox.refused(&["--lock-timeout", "0", "initialize", "a", "-f", "spec.yaml"]);
        assert!(at_once.starts_with(&format!("error: {what} is held by {who}")), "{at_once}");
        // For programs it is one document all the same.
        let ran = sandbox.run(&["initialize", "a", "-f", "spec.yaml", "--lock-timeout", "1", "--json"]);
        let error: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &error["error"]["kind"], ran.stderr.as_str()), (1, &"timeout".into(), ""), "{ran:?}");
        // Whoever only looks waits for nobody.
        assert_eq!(sandbox.state("a"), "stopped");
    }
    assert_eq!(sandbox.tree(), before);
    sandbox.ok(&["--lock-timeout", "0", "initialize", "a", "-f", "spec.yaml"]);
}

#[test]
fn ctrl_c_ends_one_that_has_waited_for_something_else_before() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b"] {
        sandbox.make(name, &format!("port: {}\n", port()));
    }
    let _holder = Holder::of(&sandbox, "b.lock");
    // That its server answers is waited for with other signal handlers than a lock is.
    let (mut restart, _stderr, line) = waiting(&sandbox, &["restart", "a", "b", "--wait"]);
    assert!(line.starts_with("waiting for instance b, held by"), "{line}");
    signal(&restart, "-INT");
    assert_eq!(restart.wait().unwrap().signal(), Some(2));
}

#[test]
fn ctrl_c_and_sigterm_end_one_that_waits_and_nothing_is_changed() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    let before = sandbox.tree();
    for (file, args, what) in [
        ("a.lock", &["delete", "a"][..], "instance a"),
        (".installation", &["start", "a"], "the installation"),
        (".generations", &["install"], "the list of builds"),
    ] {
        let _holder = Holder::of(&sandbox, file);
        for (name, number) in [("-INT", 2), ("-TERM", 15)] {
            let mut command = sandbox.command(args);
            command.env("LEFT4ME_STEAMCMD", sandbox.steamcmd()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert!(line.contains(&format!("waiting for {what}, held by `sleep 1000`")), "{args:?}: {line}");
            signal(&child, name);
            assert_eq!(child.wait().unwrap().signal(), Some(number), "{args:?}");
        }
    }
    assert_eq!(sandbox.tree(), before);
    sandbox.ok(&["--lock-timeout", "0", "start", "a"]);
}

#[test]
fn a_holder_that_is_killed_lets_go() {
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    let mut install = sandbox.command(&["install"]);
    install.env("LEFT4ME_STEAMCMD", sandbox.steamcmd()).env("LEFT4ME_SIM_STEAM_FAIL", "hang").stderr(Stdio::piped());
    let mut install = install.spawn().unwrap();
    let mut steps = BufReader::new(install.stderr.take().unwrap()).lines();
    assert!(steps.any(|step| step.unwrap().contains("windows pass")), "the install did not begin");
    let (mut start, mut stderr, line) = waiting(&sandbox, &["start", "a"]);
    let who = format!("waiting for the installation, held by `l4d2ctl install` (process {}, ", install.id());
    assert!(line.starts_with(&who), "{line}");
    signal(&install, "-KILL");
    install.wait().unwrap();
    assert!(!start.wait().unwrap().success());
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("the game is not installed"), "{said}");
}

#[test]
fn an_update_keeps_no_start_waiting_and_waits_for_starts_at_its_end() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    let mut install = sandbox.command(&["install"]);
    install.env("LEFT4ME_STEAMCMD", sandbox.steamcmd()).env("LEFT4ME_SIM_BUILD", "9450002").stderr(Stdio::piped());
    install.env("LEFT4ME_SIM_STEAM_SLOW", "20");
    let mut install = install.spawn().unwrap();
    let mut steps = BufReader::new(install.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(steps.any(|step| step.contains("windows pass")), "the update did not begin");
    sandbox.ok(&["--lock-timeout", "0", "start", "a"]);
    // As a start has it that is about to end.
    let starting = std::fs::File::open(sandbox.root().join("locks/.installation")).unwrap();
    starting.lock_shared().unwrap();
    let waits = steps.find(|step| step.contains("waiting for"));
    assert!(waits.is_some_and(|step| step.starts_with("Step: waiting for the installation, held by `")));
    let build = || sandbox.json(&["status", "a"])["instances"][0]["pending_build_id"].clone();
    assert!(build().is_null());
    drop(starting);
    assert!(install.wait().unwrap().success());
    assert_eq!((build().as_u64(), sandbox.state("a").as_str()), (Some(9_450_002), "running"));
}

#[test]
fn one_that_waits_for_an_instance_does_not_hold_up_others() {
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    let _holder = Holder::of(&sandbox, "a.lock");
    let (mut waits, _stderr, line) = waiting(&sandbox, &["initialize", "a", "-f", "spec.yaml"]);
    assert!(line.starts_with("waiting for instance a, "), "{line}");
    sandbox.write("other.yaml", &format!("port: {}\n", port()));
    sandbox.ok(&["--lock-timeout", "0", "initialize", "b", "-f", "other.yaml"]);
    waits.kill().unwrap();
    waits.wait().unwrap();
}

#[test]
fn a_start_that_waits_in_vain_leaves_a_crash_loop_as_it_was() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_exit_after 0]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it waits for its next start", |s| s.state("a") == "crash-looping");
    let _install = Holder::of(&sandbox, ".installation");
    let refused = sandbox.refused(&["--lock-timeout", "0", "start", "a"]);
    assert!(refused.contains("the installation is held by"), "{refused}");
    assert_ne!(sandbox.state("a"), "stopped");
}
