//! The demo, as the README has it.

use std::sync::Mutex;

use crate::Sandbox;

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

#[test]
fn what_is_kept_can_be_gone_on_with() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["demo", "--keep"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let root = sandbox.dir.path().join("left4me-demo");
    assert!(ran.stdout.contains(&format!("export LEFT4ME_ROOT={}", root.display())), "{ran:?}");
    let environment = [("LEFT4ME_ROOT", root.to_str().unwrap())];
    assert!(sandbox.run_with(&["status"], &environment).stdout.contains("league  running"));
    assert_eq!(sandbox.run(&["demo", "--keep"]).code, 2, "a second one has no place");
    for name in ["friday", "league"] {
        assert_eq!(sandbox.run_with(&["delete", name], &environment).code, 0);
    }
}
