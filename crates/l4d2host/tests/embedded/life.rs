//! Starting, stopping, and what the game sees.

use l4d2host::InstanceState;

use crate::host::{TestHost, processes_of};

pub(crate) const TESTS: &[crate::Test] = &[("starts_and_stops", starts_and_stops)];

fn starts_and_stops(t: &TestHost) {
    t.game("echo \"arguments: $*\"; touch written; exec sleep 1000");
    assert_eq!(t.state(), InstanceState::Stopped);
    t.start();
    t.wait_for("arguments: -game left4dead2 -norestart -strictportbind +ip 0.0.0.0 +hostport 27015", 1);
    assert_eq!(t.state(), InstanceState::Running);
    let status = t.host.get_instance_status(&t.one).unwrap();
    let pid = status.main_pid.unwrap();
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim_end(), "sleep");
    t.stop();
    assert_eq!(t.state(), InstanceState::Stopped);
    assert!(t.upper("written").exists());
    assert_eq!(t.lines().last().map(String::as_str), Some("left4me: ended"));
    assert!(processes_of(&t.root).iter().all(|process| process.contains("run-test")));
}
