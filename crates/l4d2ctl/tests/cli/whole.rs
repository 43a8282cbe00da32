//! Builds of the game of which something is damaged or gone, or not known to be used: what each command says, and what still
//! works.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::updates::{install, sees};
use crate::{Sandbox, port};

#[test]
fn a_layer_that_is_gone_stops_nobody_and_is_brought_anew() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "a"]);
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    fs::rename(sandbox.root().join("generations/9450002"), sandbox.root().join("gone")).unwrap();
    let refused = sandbox.refused(&["restart", "a"]);
    assert!(refused.contains("a layer of this build of the game can't be opened"), "{refused}");
    assert!(refused.contains("generations/9450002: No such file") && refused.contains("rollback BUILD"), "{refused}");
    assert_eq!(sandbox.state("a"), "running");
    assert!(sandbox.refused(&["rollout", "--soak", "0"]).contains("can't be opened"));
    assert_eq!(sandbox.state("a"), "running");
    let found = sandbox.run(&["verify"]);
    assert!(found.code == 1 && found.stdout.starts_with("generation 9450002 is missing\n"), "{found:?}");
    assert!(install(&sandbox, 9_450_003, &[]).stderr.contains("rollback BUILD"));
    sandbox.ok(&["rollback"]);
    assert!(sandbox.refused(&["rollback", "9450002"]).contains("can't be opened"));
    let ran = install(&sandbox, 9_450_002, &[]);
    assert!(ran.stdout.starts_with("installed build 9450002-2 "), "{ran:?}");
    sandbox.ok(&["restart", "a"]);
    sandbox.ok(&["prune", "--keep", "0"]);
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed"));
}

#[test]
fn what_can_t_be_read_is_named_and_hides_nothing_else() {
    let sandbox = Sandbox::with_game();
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    let path = |path: &str| sandbox.root().join(path);
    let fifo = |path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fifo(&path("installation/pipe"));
    fs::remove_file(path("installation/srcds_run")).unwrap();
    fifo(&path("installation/srcds_run"));
    fs::write(path("installation/left4dead2/motd.txt"), "").unwrap();
    fs::write(path("manifests/9450002"), "left4me-manifest 1\nfile").unwrap();
    let found = sandbox.run(&["verify"]);
    assert_eq!(found.code, 1);
    let mut lines: Vec<&str> = found.stdout.lines().collect();
    assert!(lines.pop().unwrap().starts_with("4 things are not as they were installed"), "{found:?}");
    lines.sort_unstable();
    let expected = [
        "generation 9450002 has no record of its install that can be read",
        "installation: left4dead2/motd.txt has other content",
        "installation: pipe can't be read",
        "installation: srcds_run can't be read",
    ];
    assert_eq!(lines, expected);
    let refused = install(&sandbox, 9_450_002, &[]);
    assert!(refused.code == 1 && refused.stderr.contains("hint: remove it"), "{refused:?}");
}

#[test]
fn a_steamcmd_that_says_nothing_of_success_is_not_just_believed() {
    let sandbox = Sandbox::with_game();
    let ran = install(&sandbox, 9_450_002, &[("LEFT4ME_SIM_STEAM_FAIL", "garbage")]);
    assert!(ran.stderr.contains("warning: SteamCMD ended the linux pass without a word of success"), "{ran:?}");
    let ran = install(&sandbox, 9_450_002, &[]);
    assert!(!ran.stderr.contains("without a word"), "{ran:?}");
}

#[test]
fn a_repair_above_the_longest_chain_is_one() {
    let sandbox = Sandbox::with_game();
    let root = sandbox.root();
    let ids: Vec<String> = (1..=16).rev().map(|id| format!("{id}")).collect();
    for id in &ids {
        fs::create_dir(root.join("generations").join(id)).unwrap();
        fs::write(root.join("manifests").join(id), "left4me-manifest 1\n").unwrap();
    }
    let version = serde_json::json!({"id": "16", "build_id": 9_450_001, "installed_at": 1, "generations": ids});
    let versions = serde_json::json!({"format": 1, "current": "16", "versions": [version]});
    fs::write(root.join("versions.json"), versions.to_string()).unwrap();
    fs::write(root.join("installation/left4dead2/gameinfo.txt"), "rotten").unwrap();
    let ran = install(&sandbox, 9_450_001, &[]);
    assert!(ran.stdout.starts_with("installed build 9450001 "), "{ran:?}");
    let repaired = root.join("generations/9450001/left4dead2/gameinfo.txt");
    assert!(fs::read_to_string(repaired).unwrap().contains("GameInfo"));
    let written = fs::read_to_string(root.join("versions.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["versions"][1]["generations"], serde_json::json!(["9450001"]));
}

#[test]
fn what_is_not_known_to_be_unused_stays() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b"] {
        sandbox.make(name, &format!("port: {}\n", port()));
    }
    sandbox.ok(&["start", "a"]);
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    sandbox.ok(&["start", "b"]);
    sandbox.ok(&["stop", "b"]);
    assert_eq!(install(&sandbox, 9_450_003, &[]).code, 0);
    let root = sandbox.root();
    let installation = || fs::metadata(root.join("installation")).unwrap().ino();
    let before = installation();
    // A helper that goes on to start what is staged after its l4d2ctl was killed: it has nothing but the lock.
    let lock = fs::File::open(root.join("locks/b.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(sandbox.ok(&["prune", "--keep", "0"]), "nothing to remove\n");
    drop(lock);
    // A server whose files are gone: nothing says which layers are its own.
    fs::rename(root.join("instances/a"), root.join("a")).unwrap();
    assert_eq!(sandbox.ok(&["prune", "--keep", "0"]), "nothing to remove\n");
    fs::rename(root.join("runtime/a"), root.join("runtime-a")).unwrap();
    assert_eq!(sandbox.ok(&["prune", "--keep", "0"]), "nothing to remove\n");
    fs::rename(root.join("runtime-a"), root.join("runtime/a")).unwrap();
    assert_eq!(installation(), before, "what a server has mounted was replaced");
    assert!(sees(&sandbox, "a", "left4dead2/steam.inf").contains("Build=9450001"));
    sandbox.ok(&["delete", "a"]);
    assert_eq!(sandbox.json(&["prune", "--keep", "0"])["into_installation"], true);
}

#[test]
fn what_an_interrupted_rollout_may_go_back_to_stays() {
    let sandbox = Sandbox::with_game();
    for build in [9_450_002, 9_450_003] {
        assert_eq!(install(&sandbox, build, &[]).code, 0);
    }
    sandbox.make("a", &format!("port: {}\n", port()));
    let step = serde_json::json!({"from": "9450001", "is": "moved"});
    let state = serde_json::json!({"format": 1, "target": "9450003", "instances": {"a": step}, "failed": null});
    fs::write(sandbox.root().join("rollout.json"), state.to_string()).unwrap();
    assert_eq!(sandbox.json(&["prune", "--keep", "0"])["dropped"], serde_json::json!(["9450002"]));
    fs::remove_file(sandbox.root().join("rollout.json")).unwrap();
    assert_eq!(sandbox.json(&["prune", "--keep", "0"])["dropped"], serde_json::json!(["9450001"]));
}

#[test]
fn a_record_that_waits_is_of_the_tree_that_came_or_of_none() {
    let sandbox = Sandbox::with_game();
    let manifests = sandbox.root().join("manifests");
    let inode = fs::metadata(sandbox.root().join("installation")).unwrap().ino();
    let verified = || {
        assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed"));
        let names: Vec<_> = fs::read_dir(&manifests).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["installation"]);
    };
    // Killed before the new tree took its place, and after.
    fs::write(manifests.join(format!("installation.next-{}", inode + 1)), "left4me-manifest 1\n").unwrap();
    verified();
    fs::rename(manifests.join("installation"), manifests.join(format!("installation.next-{inode}"))).unwrap();
    verified();
}

#[test]
fn an_update_goes_on_only_with_what_was_begun_above_the_same_build() {
    let sandbox = Sandbox::with_game();
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    let root = sandbox.root();
    for (layers, build, goes_on) in [
        ("installation\n", 9_450_003, false),
        ("generation 9450003\ngeneration 9450002\ninstallation\n", 9_450_004, true),
    ] {
        fs::create_dir_all(root.join("tmp/update/upper")).unwrap();
        fs::write(root.join("tmp/update/layers"), layers).unwrap();
        fs::write(root.join("tmp/update/upper/begun"), "").unwrap();
        assert_eq!(install(&sandbox, build, &[]).code, 0);
        assert_eq!(root.join(format!("generations/{build}/begun")).exists(), goes_on, "{build}");
    }
}
