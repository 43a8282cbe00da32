//! `doctor`: what is tried, what is found missing, and with which command that mends it.

use std::fs;

use serde_json::Value;

use crate::Sandbox;

/// One check, and the exit code of all.
fn check(sandbox: &Sandbox, id: &str) -> (Value, i32) {
    let ran = sandbox.run(&["doctor", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["healthy"] == true, ran.code == 0, "{ran:?}");
    let checks = document["checks"].as_array().unwrap();
    (checks.iter().find(|check| check["id"] == id).unwrap().clone(), ran.code)
}

#[test]
fn a_mount_is_tried_and_leaves_nothing() {
    let sandbox = Sandbox::with_game();
    let before = sandbox.tree();
    for (id, found) in [("overlayfs", "a mount was tried"), ("user-namespaces", "tried")] {
        let (check, code) = check(&sandbox, id);
        assert_eq!((&check["state"], &check["found"], code), (&"ok".into(), &found.into(), 0), "{check}");
    }
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn a_root_directory_that_is_a_link() {
    let sandbox = Sandbox::with_game();
    fs::remove_dir_all(sandbox.root()).unwrap();
    std::os::unix::fs::symlink("/proc/self", sandbox.root()).unwrap();
    let (check, code) = check(&sandbox, "root");
    assert_eq!((&check["state"], code), (&"missing".into(), 1), "{check}");
    assert!(check["fix"].is_string());
}

#[test]
fn an_update_that_was_broken_off() {
    let sandbox = Sandbox::with_game();
    let (whole, _) = check(&sandbox, "installation");
    assert!(whole["found"].as_str().unwrap().ends_with("(build 9450001)"), "{whole}");
    let manifest = sandbox.root().join("installation/steamapps/appmanifest_222860.acf");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"StateFlags\"\t\t\"4\"", "\"StateFlags\"\t\t\"1026\"")).unwrap();
    let (broken, code) = check(&sandbox, "installation");
    assert_eq!((&broken["state"], &broken["fix"], code), (&"missing".into(), &"l4d2ctl install".into(), 1), "{broken}");
    assert!(broken["found"].as_str().unwrap().contains("StateFlags 1026"), "{broken}");
}

#[test]
fn only_what_is_needed_makes_it_fail() {
    let sandbox = Sandbox::with_game();
    // Whatever this machine has of them, the embedded supervisor does without.
    for id in ["steamcmd", "lib32", "unit", "helpers", "sudo", "installations"] {
        let (check, code) = check(&sandbox, id);
        assert!(
            code == 0 && check["state"] != "missing" && (check["state"] == "ok") == check["fix"].is_null(),
            "{check}"
        );
    }
    fs::remove_file(sandbox.root().join("installation/srcds_run")).unwrap();
    assert_eq!(check(&sandbox, "installation").1, 1);
}
