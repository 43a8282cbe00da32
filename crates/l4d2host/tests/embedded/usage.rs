//! What a server uses, by the processes that are its.

use std::time::Duration;

use rustix::process::Signal;

use crate::host::{TestHost, kill};

pub(crate) const TESTS: &[crate::Test] = &[("what_a_server_uses_is_what_its_processes_use", uses)];

fn uses(t: &TestHost) {
    // A second of work by a child that has ended (that is all it may have), and 24 MiB in the game itself.
    t.game(
        "(ulimit -t 1; while :; do :; done)
hold=$(head -c 25165824 /dev/zero | tr '\\0' x)
sleep 1000 & echo \"over ${#hold}\"; wait",
    );
    let usage = || t.host.usage(std::slice::from_ref(&t.one)).unwrap().remove(&t.one);
    assert_eq!(usage(), None);
    t.start();
    t.wait_for("over 25165824", 1);
    let first = usage().unwrap();
    assert!((900..10_000).contains(&first.cpu.unwrap().as_millis()), "{first:?}");
    assert!((24 << 20..200 << 20).contains(&first.memory.unwrap()), "{first:?}");
    // The supervisor, the script and its sleep.
    assert_eq!(first.tasks, Some(3));
    assert!(t.host.pressure(std::slice::from_ref(&t.one)).is_empty());
    kill(t.status().main_pid.unwrap(), Signal::KILL);
    t.wait_for("over 25165824", 2);
    let second = usage().unwrap();
    let both = first.cpu.unwrap() + Duration::from_millis(900);
    assert!(second.cpu.unwrap() >= both, "the run before counts as well: {first:?} {second:?}");
    t.stop();
    assert_eq!(usage(), None);
    let nobody = ["nobody".parse().unwrap()];
    assert!(t.host.usage(&nobody).unwrap().is_empty());
}
