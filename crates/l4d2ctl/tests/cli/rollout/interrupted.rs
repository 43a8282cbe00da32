//! A rollout that does not get to its end: killed, interrupted, or overtaken by another command.

use super::*;

#[test]
fn one_that_was_killed_goes_on() {
    let sandbox = updated(&["a", "b"], &[], "");
    // A stop that takes its time, to be killed in.
    for name in ["a", "b"] {
        sandbox.write(&format!("root/runtime/{name}/upper/left4dead2/cfg/sim.cfg"), "sim_shutdown_seconds 1\n");
        sandbox.ok(&["restart", name]);
    }
    for (moment, pause) in [
        ("a: the canary", 0),
        ("a: restarting", 0),
        ("a: restarting", 500),
        ("a: restarting", 1500),
        ("a: answers after", 0),
        ("a: moved", 0),
        ("b: restarting", 0),
        ("b: restarting", 1500),
        ("b: answers after", 200),
        ("b: moved", 0),
    ] {
        for name in ["a", "b"] {
            sandbox.ok(&["rollback", &OLD.to_string()]);
            sandbox.ok(&["restart", name, "--wait=20"]);
        }
        sandbox.ok(&["rollback", &NEW.to_string()]);
        let (mut child, mut stderr) = sandbox.rolling(&["--canary", "a", "--soak", "1"]);
        until(&mut stderr, moment);
        // Somewhere after that moment: what is killed there says nothing that could be waited for.
        std::thread::sleep(Duration::from_millis(pause));
        kill(&mut child, "-KILL");
        let pid = (moment == "a: answers after" || moment == "a: moved").then(|| sandbox.pid("a"));
        let ran = sandbox.rollout(&["--soak", "1"]);
        assert_eq!(ran.code, 0, "{moment}, {pause}: {ran:?}");
        sandbox.all_on(&["a", "b"], NEW);
        assert!(pid.is_none_or(|pid| sandbox.pid("a") == pid), "{moment}: it was restarted twice: {ran:?}");
    }
}

#[test]
fn one_that_was_killed_on_its_way_back_goes_on_back() {
    let sandbox = updated(&["a", "b", "c"], &["b"], "sim_crash_after 1");
    for moment in ["b: FAILED", "going back", "a: restarting", "b: restarting", "a: back"] {
        let (mut child, mut stderr) = sandbox.rolling(&["--canary", "a", "--soak", "2"]);
        until(&mut stderr, "b: FAILED");
        if moment != "b: FAILED" {
            until(&mut stderr, moment);
        }
        kill(&mut child, "-KILL");
        let ran = sandbox.rollout(&[]);
        assert!(ran.code == 1 && ran.stderr.starts_with("b: FAILED: it crashed\ngoing back\n"), "{moment}: {ran:?}");
        assert!(ran.stderr.contains("error: instance b failed on build 9450002: it crashed\nhint: "), "{ran:?}");
        sandbox.all_on(&["a", "b", "c"], OLD);
        assert_eq!(sandbox.current(), OLD.to_string());
        sandbox.ok(&["rollback", &NEW.to_string()]);
    }
}

#[test]
fn ctrl_c_leaves_all_as_it_is_and_says_how_to_go_on() {
    let sandbox = updated(&["a", "b"], &[], "");
    let (mut child, mut stderr) = sandbox.rolling(&["--canary", "a", "--soak", "60"]);
    until(&mut stderr, "a: answers after");
    let (a, b) = (sandbox.pid("a"), sandbox.pid("b"));
    let code = kill(&mut child, "-INT");
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(130), "{said}");
    let wanted = "error: interrupted: 0 instances have been moved to build 9450002, and nothing goes back\n\
        hint: `l4d2ctl rollout` goes on\n";
    assert_eq!(said, wanted);
    assert_eq!((sandbox.pid("a"), sandbox.pid("b"), sandbox.build("a")), (a, b, Some(NEW)));
    // What may still be gone back to is not pruned, whoever runs on it.
    sandbox.ok(&["stop", "b"]);
    sandbox.ok(&["prune", "--keep", "0"]);
    assert!(sandbox.ok(&["versions"]).contains("9450001"));
    sandbox.write(TROUBLE, "");
    let ran = sandbox.rollout(&["--soak", "0"]);
    assert!(
        ran.stderr.starts_with("going on with the rollout of build 9450002: 1 instance\na: the canary\n"),
        "{ran:?}"
    );
    assert_eq!((ran.code, sandbox.pid("a"), sandbox.state("b").as_str()), (0, a, "stopped"), "{ran:?}");
    sandbox.ok(&["prune", "--keep", "0"]);
    assert!(!sandbox.ok(&["versions"]).contains("9450001"));
}

#[test]
fn a_rollout_of_another_build_begins_anew() {
    let sandbox = updated(&["a", "b"], &[], "");
    let (mut child, mut stderr) = sandbox.rolling(&["--canary", "a", "--soak", "60"]);
    until(&mut stderr, "a: answers after");
    // Somebody has second thoughts while it is under way.
    sandbox.ok(&["rollback"]);
    let second = sandbox.run(&["rollout", "--lock-timeout", "0"]);
    assert!(
        second.code == 1 && second.stderr.contains("the rollout is held by `l4d2ctl rollout --canary a"),
        "{second:?}"
    );
    kill(&mut child, "-KILL");
    let ran = sandbox.rollout(&["--soak", "0"]);
    assert!(ran.stderr.starts_with("rolling out build 9450001: 1 instance\na: the canary\n"), "{ran:?}");
    assert_eq!(ran.code, 0, "{ran:?}");
    sandbox.all_on(&["a", "b"], OLD);
}

#[test]
fn an_install_that_comes_in_between_ends_it() {
    let sandbox = updated(&["a", "b"], &[], "");
    let (mut child, mut stderr) = sandbox.rolling(&["--canary", "a", "--soak", "3"]);
    until(&mut stderr, "a: answers after");
    sandbox.ok(&["rollback"]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("error: build 9450002 is no longer the current one, but 9450001"), "{said}");
    assert_eq!((sandbox.build("a"), sandbox.build("b")), (Some(NEW), Some(OLD)));
}
