//! Arguments, help, and the environment.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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

/// Pages of the manual that a help names are in its own page's SEE ALSO, and the other way round.
#[test]
fn help_and_man_pages_name_the_same_pages() {
    let sandbox = Sandbox::new();
    let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/man");
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(&man).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(command) = file.strip_prefix("l4d2ctl-").and_then(|rest| rest.strip_suffix(".1")) else { continue };
        let help = sandbox.ok(&[command, "--help"]);
        let told: BTreeSet<&str> = help.split("`man ").skip(1).map(|rest| rest.split('`').next().unwrap()).collect();
        let page = fs::read_to_string(man.join(&file)).unwrap();
        let (_, also) = page.split_once(".SH \"SEE ALSO\"\n").unwrap();
        let also = also.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-");
        let also = also.split(", ").map(|name| name.trim().split('(').next().unwrap());
        let also: BTreeSet<&str> = also.filter(|name| !name.starts_with("l4d2ctl")).collect();
        assert_eq!(told, also, "{command}");
        for name in told {
            let section = ["1", "5", "8"].into_iter().find(|section| man.join(format!("{name}.{section}")).exists());
            assert!(section.is_some(), "{command}: there is no page {name}");
            all.insert(format!("{command}: {name}"));
        }
    }
    assert!(all.contains("initialize: left4me-spec"), "{all:?}");
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
