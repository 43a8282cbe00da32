//! Completion, by a real bash, and as zsh and fish ask for it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::files::{NOBODY, is_root};
use crate::{Ran, Sandbox};

const BASH: &str = include_str!("../../../../dist/completions/bash/l4d2ctl");

/// Names that no instance can have; what a shell could run among them.
const HOSTILE: [&str; 8] =
    ["$(touch ran)", "`touch ran`", "a b", "x\ny", "\u{1b}[31mred", "x;touch ran", "-rf", "fr\u{b}ee"];

/// Directories as completion finds them: nothing but names is looked at.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["friday", "free", "league"].iter().chain(&HOSTILE) {
        fs::create_dir_all(sandbox.root().join("instances").join(name)).unwrap();
    }
    sandbox
}

/// What bash makes of the words of a line, the last of which is being typed.
fn bash(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let script = "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; \
        _clap_complete_l4d2ctl l4d2ctl \"${COMP_WORDS[COMP_CWORD]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let program = Path::new(env!("CARGO_BIN_EXE_l4d2ctl")).parent().unwrap();
    let mut command = Command::new("/bin/bash");
    command
        .args(["--norc", "--noprofile", "-c", &format!("{BASH}\n{script}"), "bash"])
        .args(words)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .env("LEFT4ME_ROOT", sandbox.root())
        .current_dir(sandbox.dir.path())
        .stdin(Stdio::null());
    let ran = Ran::of(&command.output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
    ran.stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What the program answers to the words of a line; it never says anything else.
fn asked(sandbox: &Sandbox, shell: &str, words: &[&str]) -> Ran {
    let index = (words.len() - 1).to_string();
    let mut environment = vec![("LEFT4ME_COMPLETE", shell)];
    if shell != "fish" {
        environment.extend([("_CLAP_COMPLETE_INDEX", index.as_str()), ("_CLAP_IFS", "\n")]);
    }
    let ran = sandbox.run_with(&[&["--"], words].concat(), &environment);
    assert_eq!(ran.stderr, "", "{words:?}");
    ran
}

fn answer(sandbox: &Sandbox, shell: &str, words: &[&str]) -> Vec<String> {
    let ran = asked(sandbox, shell, words);
    assert_eq!(ran.code, 0, "{ran:?}");
    // A description may stand behind it.
    ran.stdout.lines().map(|line| line.split([':', '\t']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn bash_completes_commands_options_and_names() {
    let sandbox = sandbox();
    for (words, offered) in [
        (&["l4d2ctl", "versi"][..], &["versions"][..]),
        (&["l4d2ctl", "start", ""], &["free", "friday", "league"]),
        (&["l4d2ctl", "start", "fr"], &["free", "friday"]),
        (&["l4d2ctl", "restart", "friday", "le"], &["league"]),
        (&["l4d2ctl", "--json", "--lock-timeout", "5", "stop", "l"], &["league"]),
        (&["l4d2ctl", "rollout", "--canary", "l"], &["league"]),
        // As bash splits `--canary=`, `--canary=l` and `--wait=60`.
        (&["l4d2ctl", "rollout", "--canary", ""], &["free", "friday", "league"]),
        (&["l4d2ctl", "rollout", "--canary", "=", "l"], &["league"]),
        (&["l4d2ctl", "metrics", "--format", "=", "o"], &["openmetrics"]),
        (&["l4d2ctl", "start", "--wait", "=", "60", "l"], &["league"]),
        // As one that was told not to.
        (&["l4d2ctl", "rollout", "--canary=l"], &["--canary=league"]),
        (&["l4d2ctl", "start", "--wa"], &["--wait"]),
        (&["l4d2ctl", "metrics", "--format", "o"], &["openmetrics"]),
        (&["l4d2ctl", "start", "x"], &[]),
        (&["l4d2ctl", "rcon", "--", "fr"], &[]),
        (&["l4d2ctl", "rcon", "friday", "--", ""], &[]),
        (&["l4d2ctl", "status", "--", "fr"], &[]),
    ] {
        assert_eq!(bash(&sandbox, words), offered, "{words:?}");
    }
    assert!(!sandbox.dir.path().join("ran").exists());
}

#[test]
fn zsh_and_fish_are_told_the_same() {
    let sandbox = sandbox();
    for shell in ["zsh", "fish"] {
        assert_eq!(answer(&sandbox, shell, &["l4d2ctl", "start", "fr"]), ["free", "friday"]);
        assert_eq!(answer(&sandbox, shell, &["l4d2ctl", "logs", ""]), ["free", "friday", "league"]);
        assert_eq!(answer(&sandbox, shell, &["l4d2ctl", "rollout", "--canary=l"]), ["--canary=league"]);
        assert_eq!(answer(&sandbox, shell, &["l4d2ctl", "rcon", "friday", "--", "fr"]), [""; 0]);
    }
    // The text before the cursor counts.
    let words = ["--", "l4d2ctl", "rcon", "fr", "--", "status"];
    let environment = [("LEFT4ME_COMPLETE", "zsh"), ("_CLAP_COMPLETE_INDEX", "2"), ("_CLAP_IFS", "\n")];
    assert_eq!(sandbox.run_with(&words, &environment).stdout, "free\nfriday");
}

#[test]
fn builds_overlays_and_spec_files_complete() {
    let sandbox = Sandbox::with_game();
    let builds = sandbox.json(&["versions"]);
    let build = builds["versions"][0]["id"].as_str().unwrap();
    assert_eq!(bash(&sandbox, &["l4d2ctl", "rollback", ""]), [build]);
    for name in ["specs/friday.yaml", "specs/fr$(touch ran).yaml", "specs/fr ee.yaml"] {
        sandbox.write(name, "");
    }
    fs::create_dir_all(sandbox.root().join("overlays/competitive/base/left4dead2")).unwrap();
    fs::create_dir_all(sandbox.root().join("overlays/$(touch ran)/left4dead2")).unwrap();
    assert_eq!(bash(&sandbox, &["l4d2ctl", "overlays", ""]), ["competitive/base"]);
    assert_eq!(bash(&sandbox, &["l4d2ctl", "initialize", "x", "-f", "spe"]), ["specs/"]);
    for option in ["-f", "--file"] {
        assert_eq!(bash(&sandbox, &["l4d2ctl", "initialize", "x", option, "specs/fr"]), ["specs/friday.yaml"]);
        assert_eq!(bash(&sandbox, &["l4d2ctl", "initialize", "x", option, "=", "specs/fr"]), ["specs/friday.yaml"]);
    }
    assert_eq!(bash(&sandbox, &["l4d2ctl", "metrics", "-o", "specs/fr"]), ["specs/friday.yaml"]);
}

/// Also where the root directory is not there, or is none, and for a shell that nobody knows.
#[test]
fn completion_is_silent_and_changes_nothing() {
    let sandbox = sandbox();
    let before = tree(&sandbox.root());
    assert_eq!(answer(&sandbox, "fish", &["l4d2ctl", "start", "le"]), ["league"]);
    assert_eq!(tree(&sandbox.root()), before);
    for root in ["/nowhere", "relative", "/dev/null", ""] {
        let environment = [("LEFT4ME_COMPLETE", "fish"), ("LEFT4ME_ROOT", root)];
        let ran = sandbox.run_with(&["--", "l4d2ctl", "start", "le"], &environment);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{root}");
    }
    assert_eq!(asked(&sandbox, "tcsh", &["l4d2ctl", ""]).code, 1);
}

/// Every name below, and when it was changed.
fn tree(path: &Path) -> Vec<(Vec<u8>, std::time::SystemTime)> {
    let mut found: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(Result::unwrap)
        .flat_map(|entry| {
            let own = (entry.path().as_os_str().as_bytes().to_vec(), entry.metadata().unwrap().modified().unwrap());
            let below = if entry.path().is_dir() { tree(&entry.path()) } else { Vec::new() };
            below.into_iter().chain([own])
        })
        .collect();
    found.sort();
    found
}

/// Instances are found by whoever may look, and by nobody else.
#[test]
fn another_user_is_offered_what_he_may_see() {
    if !is_root() {
        // Only root can be somebody else; as root this same test runs.
        return;
    }
    let public = tempfile::tempdir().unwrap();
    let instances = public.path().join("root/instances");
    fs::create_dir_all(instances.join("league")).unwrap();
    let program = public.path().join("l4d2ctl");
    fs::copy(env!("CARGO_BIN_EXE_l4d2ctl"), &program).unwrap();
    fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ask = || {
        let mut other = Command::new("setpriv");
        other.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups").arg(&program);
        other.args(["--", "l4d2ctl", "start", "le"]).env_clear().env("LEFT4ME_COMPLETE", "fish");
        let ran = Ran::of(&other.env("LEFT4ME_ROOT", public.path().join("root")).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    };
    assert_eq!(ask(), "league\n");
    fs::set_permissions(&instances, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(ask(), "");
}
