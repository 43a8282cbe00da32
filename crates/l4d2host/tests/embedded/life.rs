//! Starting, stopping, and what becomes of a server that ends by itself or does not end.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Command;

use l4d2host::InstanceState;
use rustix::process::Signal;

use crate::host::{TestHost, kill, open_process, wait_for_process};

pub(crate) const TESTS: &[crate::Test] = &[
    ("starts_and_stops", starts_and_stops),
    ("one_supervisor_an_instance", one_supervisor_an_instance),
    ("a_crash_is_restarted_from_what_was_started", a_crash_is_restarted_from_what_was_started),
    ("a_start_right_after_the_end", a_start_right_after_the_end),
    ("a_clean_exit_is_not_restarted", a_clean_exit_is_not_restarted),
    ("a_crash_loop_ends_in_failed_and_can_be_started_again", a_crash_loop_ends_in_failed_and_can_be_started_again),
    ("a_stop_between_two_runs", a_stop_between_two_runs),
    ("a_slow_shutdown_is_not_cut_short", a_slow_shutdown_is_not_cut_short),
    ("a_server_that_ignores_signals_is_killed", a_server_that_ignores_signals_is_killed),
    ("a_supervisor_that_is_stuck_is_killed", a_supervisor_that_is_stuck_is_killed),
    ("a_killed_supervisor_leaves_nothing", a_killed_supervisor_leaves_nothing),
    ("a_start_waits_for_the_end_of_the_last_namespace", a_start_waits_for_the_end_of_the_last_namespace),
    ("a_shutdown_of_the_host_is_a_clean_stop", a_shutdown_of_the_host_is_a_clean_stop),
    ("children_end_with_the_server", children_end_with_the_server),
    ("orphans_are_reaped", orphans_are_reaped),
    ("the_caller_is_let_go", the_caller_is_let_go),
];

fn starts_and_stops(t: &TestHost) {
    t.game("echo \"arguments: $*\"; touch written; exec sleep 1000");
    assert_eq!(t.state(), InstanceState::Stopped);
    t.start();
    t.wait_for("arguments: -game left4dead2 -norestart -strictportbind +ip 0.0.0.0 +hostport 27015", 1);
    let status = t.status();
    assert_eq!(
        (status.state, status.result.as_deref(), status.enabled),
        (InstanceState::Running, Some("success"), false)
    );
    let pid = status.main_pid.unwrap();
    // The script has become it by now, or will at once.
    assert!(["srcds_run", "sleep"].contains(&fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim_end()));
    t.stop();
    assert_eq!(t.state(), InstanceState::Stopped);
    assert!(t.upper("written").exists());
    assert!(!t.root.join("installation/written").exists());
    assert_eq!(t.lines().last().map(String::as_str), Some("left4me: ended"));
    t.assert_nothing_runs();
    t.stop();
}

fn one_supervisor_an_instance(t: &TestHost) {
    t.game("exec sleep 1000");
    t.start();
    assert!(t.host.start(&t.one).unwrap().already_running);
    // Past every check of the host library.
    let second = Command::new("/proc/self/exe").arg("supervise").arg(&t.root).arg("one").output().unwrap();
    assert!(String::from_utf8_lossy(&second.stdout).contains("instance one runs already"), "{second:?}");
    assert_eq!(t.state(), InstanceState::Running);
    assert_eq!(t.lines(), ["left4me: started"]);
}

fn a_crash_is_restarted_from_what_was_started(t: &TestHost) {
    // The second run fails by itself, the first by a signal.
    t.game("echo \"port $8\"; echo >> runs; [ $(wc -l < runs) = 2 ] && exit 3; exec sleep 1000");
    t.start();
    t.wait_for("port 27015", 1);
    // Takes everything that was staged away, and puts an equal copy in its place.
    t.initialize("port: 27016\noverlays: []\n");
    let status = t.status();
    assert!(status.pending);
    kill(status.main_pid.unwrap(), Signal::SEGV);
    t.wait_for("port 27015", 3);
    t.wait_for_state(InstanceState::Running);
    let status = t.status();
    assert_eq!((status.state, status.restarts), (InstanceState::Running, Some(2)));
    assert!(t.lines().contains(&"left4me: killed by signal 11".to_owned()), "{:?}", t.lines());
    assert!(t.lines().contains(&"left4me: failed with exit code 3".to_owned()), "{:?}", t.lines());
    t.stop();
    t.start();
    t.wait_for("port 27016", 1);
}

fn a_start_right_after_the_end(t: &TestHost) {
    t.game("exit 0");
    t.start();
    for _ in 0..50 {
        while t.host.start(&t.one).unwrap().already_running {}
    }
    t.wait_for("left4me: ended", 51);
}

fn a_clean_exit_is_not_restarted(t: &TestHost) {
    for script in ["exit 0", "kill -INT $$", "kill -HUP $$", "kill -TERM $$"] {
        t.game(script);
        t.start();
        t.wait_for_end();
        let status = t.status();
        assert_eq!((status.state, status.result.as_deref()), (InstanceState::Stopped, Some("success")), "{script}");
        assert_eq!(t.lines().last().map(String::as_str), Some("left4me: ended"));
        t.stop();
    }
}

fn a_crash_loop_ends_in_failed_and_can_be_started_again(t: &TestHost) {
    t.game("[ -e healthy ] && exec sleep 1000; echo crash; exit 7");
    t.start();
    t.wait_for("left4me: it failed too often: not started again", 1);
    t.wait_for_end();
    let status = t.status();
    assert_eq!((status.state, status.result.as_deref()), (InstanceState::Failed, Some("exit-code")));
    assert_eq!((status.restarts, status.main_pid), (Some(4), None));
    assert_eq!(t.lines().iter().filter(|line| *line == "crash").count(), 5);
    t.assert_nothing_runs();
    fs::write(t.root.join("installation/healthy"), "").unwrap();
    t.start();
    assert_eq!(t.state(), InstanceState::Running);
}

fn a_stop_between_two_runs(t: &TestHost) {
    t.game("exit 1");
    t.start();
    t.wait_for("left4me: started again in 5 s", 1);
    t.wait_for_state(InstanceState::CrashLooping);
    t.stop();
    assert_eq!(t.state(), InstanceState::Stopped);
    assert_eq!(t.lines().iter().filter(|line| *line == "left4me: started").count(), 1);
}

fn a_slow_shutdown_is_not_cut_short(t: &TestHost) {
    t.game("trap 'echo saving; sleep 3; echo saved; exit 0' INT; echo up; while :; do sleep 0.1; done");
    t.start();
    t.wait_for("up", 1);
    t.stop();
    assert!(t.lines().ends_with(&["saving", "saved", "left4me: ended"].map(str::to_owned)), "{:?}", t.lines());
    assert_eq!(t.state(), InstanceState::Stopped);
}

fn a_server_that_ignores_signals_is_killed(t: &TestHost) {
    t.game("trap '' INT TERM; echo up; sleep 1000 & while :; do sleep 0.1; done");
    t.start();
    t.wait_for("up", 1);
    t.stop();
    t.assert_nothing_runs();
    // As under systemd: the operator is to see that it could not save.
    let status = t.status();
    assert_eq!((status.state, status.result.as_deref()), (InstanceState::Failed, Some("signal")));
    assert!(t.lines().contains(&"left4me: not ended in 15 s: killed".to_owned()), "{:?}", t.lines());
    t.stop();
    assert_eq!(t.state(), InstanceState::Stopped);
}

fn a_supervisor_that_is_stuck_is_killed(t: &TestHost) {
    t.game("exec sleep 1000");
    t.start();
    kill(t.supervisor(), Signal::STOP);
    t.stop();
    t.assert_nothing_runs();
    assert_eq!(t.state(), InstanceState::Failed);
    t.start();
}

fn a_killed_supervisor_leaves_nothing(t: &TestHost) {
    t.game("trap '' INT TERM HUP; echo up; setsid sleep 1000 & while :; do sleep 0.1; done");
    for _ in 0..5 {
        t.start();
        kill(t.supervisor(), Signal::KILL);
        // The signal takes a moment to be seen; then the start waits for what the kernel is still ending.
        while t.host.start(&t.one).unwrap().already_running {}
        assert_eq!(t.state(), InstanceState::Running);
        let supervisor = open_process(t.supervisor());
        kill(t.supervisor(), Signal::KILL);
        wait_for_process(&supervisor);
        t.assert_nothing_runs();
        let status = t.status();
        assert_eq!((status.state, status.result.as_deref()), (InstanceState::Failed, Some("supervisor-lost")));
        assert_eq!(fs::read_dir(t.root.join("runtime/one/merged")).unwrap().count(), 0, "no mount is left");
    }
}

fn a_start_waits_for_the_end_of_the_last_namespace(t: &TestHost) {
    t.game("exec sleep 1000");
    t.start();
    let state = fs::read_to_string(t.root.join("runtime/one/supervisor.json")).unwrap();
    let old = t.supervisor();
    t.stop();
    // In the part of a supervisor that the kernel is still ending: it has let go of its lock, and is there.
    let last = t.root.join("last");
    let mut dying = Command::new("sh").args(["-c", "sleep 1; echo > \"$0\""]).arg(&last).spawn().unwrap();
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start_time = stat(dying.id()).split(' ').nth(21).unwrap().to_owned();
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["pid"], old);
    state["pid"] = dying.id().into();
    state["start_time"] = start_time.parse::<u64>().unwrap().into();
    fs::write(t.root.join("runtime/one/supervisor.json"), state.to_string()).unwrap();
    t.start();
    assert!(last.exists(), "it was waited for");
    assert!(dying.wait().unwrap().success());
}

fn a_shutdown_of_the_host_is_a_clean_stop(t: &TestHost) {
    t.game("trap 'echo saved; exit 0' INT; echo up; while :; do sleep 0.1; done");
    t.start();
    t.wait_for("up", 1);
    let supervisor = open_process(t.supervisor());
    kill(t.supervisor(), Signal::TERM);
    wait_for_process(&supervisor);
    assert_eq!(t.state(), InstanceState::Stopped);
    assert!(t.lines().contains(&"saved".to_owned()));
}

fn children_end_with_the_server(t: &TestHost) {
    t.game("setsid sh -c \"trap '' INT TERM; echo child; while :; do sleep 0.1; done\" & echo up; exec sleep 1000");
    t.start();
    t.wait_for("child", 1);
    t.stop();
    t.assert_nothing_runs();
    assert_eq!(t.state(), InstanceState::Stopped);
}

fn orphans_are_reaped(t: &TestHost) {
    // The subshell ends at once, so that its child is PID 1's.
    t.game("(sh -c 'echo $$ > orphan' &); while [ ! -s orphan ] || [ -e /proc/$(cat orphan) ]; do :; done; echo reaped; sleep 1000");
    t.start();
    t.wait_for("reaped", 1);
}

fn the_caller_is_let_go(t: &TestHost) {
    t.game("exec sleep 1000");
    let (mut read, write) = std::io::pipe().unwrap();
    // As a shell leaves it to the programs it runs.
    rustix::io::fcntl_setfd(write.as_fd(), rustix::io::FdFlags::empty()).unwrap();
    t.start();
    drop(write);
    assert_eq!(read.read(&mut [0]).unwrap(), 0);
    assert_eq!(t.state(), InstanceState::Running);
}
