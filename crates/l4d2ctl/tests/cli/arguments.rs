//! Arguments, help, and the environment.

use crate::Sandbox;

const COMMANDS: [&str; 16] = [
    "install",
    "initialize",
    "start",
    "stop",
    "delete",
    "reset",
    "status",
    "logs",
    "console",
    "rcon",
    "say",
    "kick",
    "ban",
    "metrics",
    "doctor",
    "demo",
];

#[test]
fn every_command_explains_itself_with_an_example() {
    let sandbox = Sandbox::new();
    let overview = sandbox.ok(&["--help"]);
    for command in COMMANDS {
        assert!(overview.contains(&format!("\n  {command}")), "{command} is not in:\n{overview}");
        let help = sandbox.ok(&[command, "--help"]);
        assert!(help.contains("Example: l4d2ctl") && help.contains("Usage: l4d2ctl"), "{help}");
    }
}

#[test]
fn usage_errors_end_with_2() {
    let sandbox = Sandbox::new();
    for args in [
        &[][..],
        &["launch"],
        &["start"],
        &["start", "a", "b"],
        &["start", "--now", "a"],
        &["initialize", "a"],
        &["initialize", "-f", "x"],
        &["logs", "a", "--lines", "-1"],
        &["logs", "a", "--lines", "1000001"],
        &["delete", "a", "--if-revision", "latest"],
        &["metrics", "--format", "xml"],
        &["metrics", "--listen", "127.0.0.1:0", "--output", "x"],
        &["metrics", "--listen", "127.0.0.1"],
    ] {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{args:?}: {ran:?}");
    }
}

#[test]
fn bad_names_are_refused_by_every_command() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(65);
    for name in ["", "A", "../a", "a/b", "a b", "a.b", "-", ".", "ä", &long] {
        for command in ["start", "stop", "delete", "reset", "status", "logs", "console"] {
            let ran = sandbox.run(&[command, "--", name]);
            assert_eq!(ran.code, 2, "{command} {name:?}: {ran:?}");
            assert!(ran.stderr.contains("instance name"), "{command} {name:?}: {ran:?}");
        }
    }
    assert!(sandbox.tree().len() == 1, "something was made: {:?}", sandbox.tree());
}

#[test]
fn the_environment_is_checked() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run_with(&["status"], &[("LEFT4ME_SUPERVISOR", "docker")]);
    assert!(ran.code == 2 && ran.stderr.contains("`systemd` or `embedded`"), "{ran:?}");
    let ran = sandbox.run_with(&["status"], &[("LEFT4ME_ROOT", "relative")]);
    assert!(ran.code == 2 && ran.stderr.contains("not an absolute path"), "{ran:?}");
    let ran = sandbox.run_with(&["status"], &[("LEFT4ME_SUPERVISOR", "systemd")]);
    assert!(ran.code == 1 && ran.stderr.contains("hint: ") && ran.stderr.contains("embedded"), "{ran:?}");
}
