//! What `dist/` may and may not say: the lines that make root do something, held against what is promised of them.

const UNIT: &str = include_str!("../../../dist/systemd/system/left4me-server@.service");
const SLICE: &str = include_str!("../../../dist/systemd/system/left4me-game.slice");
const UPDATE: &str = include_str!("../../../dist/systemd/system/left4me-update.service");
const TMPFILES: &str = include_str!("../../../dist/tmpfiles.d/left4me.conf");
const SUDOERS: &str = include_str!("../../../dist/sudoers.d/left4me");

fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='))
}

/// left4me's predecessors had systemd read an environment file that the service user could write, and gave it to root.
#[test]
fn no_file_of_the_service_user_s_reaches_root() {
    let root: Vec<&str> = settings(UNIT).filter_map(|(_, value)| value.strip_prefix('+')).collect();
    assert_eq!(root, ["mount", "umount"].map(|verb| format!("@PREFIX@/libexec/left4me/left4me-overlay {verb} %i")));
    for key in ["Environment", "EnvironmentFile", "PassEnvironment", "LoadCredential", "RootImage"] {
        assert!(settings(UNIT).all(|(name, _)| name != key), "{key}= would hand something to root's steps");
    }
    // Root's steps run in it, too.
    let directories: Vec<&str> = settings(UNIT).filter(|(name, _)| *name == "RootDirectory").map(|(_, v)| v).collect();
    assert_eq!(directories, ["/run/left4me/.root"]);
    assert!(TMPFILES.lines().any(|line| line == format!("d {} 0755 root root -", directories[0])), "{TMPFILES}");
    assert!(settings(UNIT).all(|(name, value)| !name.starts_with("Exec") || !value.contains("@ROOT@")));
}

#[test]
fn the_unit_and_the_slice_limit_tasks() {
    for text in [UNIT, SLICE, UPDATE] {
        assert_eq!(settings(text).filter(|(name, value)| *name == "TasksMax" && *value != "infinity").count(), 1);
    }
}

#[test]
fn the_update_runs_as_the_service_user_and_has_no_step_of_root_s() {
    let user = settings(UPDATE).filter(|(name, _)| matches!(*name, "User" | "Group")).map(|(_, value)| value);
    assert_eq!(user.collect::<Vec<_>>(), ["left4me", "left4me"]);
    let commands: Vec<&str> = settings(UPDATE).filter(|(name, _)| name.starts_with("Exec")).map(|(_, v)| v).collect();
    assert!(commands.iter().all(|command| command.starts_with("@PREFIX@/bin/l4d2ctl ")), "{commands:?}");
}

/// sudo-rs knows few settings and no wildcard within arguments; a line that it does not understand is an error to it.
#[test]
fn the_sudo_rules_are_plain_enough_for_sudo_rs() {
    let lines: Vec<&str> = SUDOERS.lines().filter(|line| !line.starts_with('#')).collect();
    let helper = |name: &str| format!("@PREFIX@/libexec/left4me/left4me-{name}");
    assert_eq!(
        lines,
        [
            format!("left4me ALL=(root) NOPASSWD: {}, {}", helper("systemctl"), helper("journalctl")),
            format!("Defaults!{} !use_pty", helper("systemctl")),
            format!("Defaults!{} !use_pty", helper("journalctl")),
        ]
    );
}
