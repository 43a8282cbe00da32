//! Updates of the game under servers that run, each as a layer above the one before.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::{Ran, Sandbox, port};

/// Has the simulated SteamCMD bring a build.
pub(crate) fn install(sandbox: &Sandbox, build: u64, more: &[(&str, &str)]) -> Ran {
    let (steamcmd, build) = (sandbox.steamcmd(), build.to_string());
    let env = [("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap()), ("LEFT4ME_SIM_BUILD", &build)];
    sandbox.run_with(&["install"], &[&env[..], more].concat())
}

fn builds(sandbox: &Sandbox, name: &str) -> (Option<u64>, Option<u64>) {
    let status = &sandbox.json(&["status", name, "--no-query"])["instances"][0];
    (status["build_id"].as_u64(), status["pending_build_id"].as_u64())
}

#[test]
fn an_update_leaves_what_runs_and_is_used_by_the_next_start() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "a"]);
    let inf = sandbox.root().join("installation/left4dead2/steam.inf");
    let before = (fs::read(&inf).unwrap(), fs::metadata(&inf).unwrap().ino());
    let ran = install(&sandbox, 9_450_002, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("installed build 9450002"), "{ran:?}");
    assert!(ran.stderr.contains("1 instance runs on another build"), "{ran:?}");
    assert_eq!((fs::read(&inf).unwrap(), fs::metadata(&inf).unwrap().ino()), before, "what is mounted was written to");
    assert_eq!((builds(&sandbox, "a"), sandbox.state("a").as_str()), ((Some(9_450_001), Some(9_450_002)), "running"));
    assert!(sandbox.ok(&["status"]).contains("pending: build 9450002"));
    // Only what differs.
    let generation = sandbox.root().join("generations/9450002");
    assert!(generation.join("left4dead2/steam.inf").is_file() && !generation.join("srcds_run").exists());
    sandbox.ok(&["restart", "a"]);
    assert_eq!(builds(&sandbox, "a"), (Some(9_450_002), None));
    let layers = fs::read_to_string(sandbox.root().join("instances/a/staged/layers")).unwrap();
    assert_eq!(layers, "generation 9450002\ninstallation\n");
}

#[test]
fn an_update_that_fails_changes_nothing_and_the_next_goes_on() {
    let sandbox = Sandbox::with_game();
    let versions = || fs::read_to_string(sandbox.root().join("versions.json")).unwrap();
    let before = versions();
    for (failure, code) in
        [("segfault", 134), ("disk-full", 8), ("invalid-platform", 8), ("lies", 1), ("windows-only", 1)]
    {
        let ran = install(&sandbox, 9_450_002, &[("LEFT4ME_SIM_STEAM_FAIL", failure)]);
        assert_eq!(ran.code, code, "{failure}: {ran:?}");
        assert_eq!(versions(), before, "{failure}");
        assert_eq!(fs::read_dir(sandbox.root().join("generations")).unwrap().count(), 0, "{failure}");
    }
    assert!(sandbox.root().join("tmp/update").exists());
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    assert!(sandbox.root().join("generations/9450002").is_dir() && !sandbox.root().join("tmp/update").exists());
    assert_ne!(versions(), before);
}

#[test]
fn a_game_that_was_there_before_versions_were_counted_is_one() {
    let sandbox = Sandbox::with_game();
    for path in ["versions.json", "manifests/installation"] {
        fs::remove_file(sandbox.root().join(path)).unwrap();
    }
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "a"]);
    assert_eq!(builds(&sandbox, "a"), (Some(9_450_001), None));
    // As it was staged by a left4me that knew no versions.
    fs::remove_file(sandbox.root().join("instances/a/staged/version")).unwrap();
    assert_eq!(builds(&sandbox, "a"), (None, None));
    let ran = install(&sandbox, 9_450_002, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(builds(&sandbox, "a"), (None, Some(9_450_002)));
    assert!(sandbox.root().join("manifests/installation").is_file());
}

#[test]
fn nothing_new_makes_no_generation_and_a_repair_does() {
    let sandbox = Sandbox::with_game();
    let ran = install(&sandbox, 9_450_001, &[]);
    assert!(ran.code == 0 && ran.stdout.starts_with("build 9450001 is the newest already"), "{ran:?}");
    assert_eq!(fs::read_dir(sandbox.root().join("generations")).unwrap().count(), 0);
    fs::write(sandbox.root().join("installation/left4dead2/gameinfo.txt"), "rotten").unwrap();
    let ran = install(&sandbox, 9_450_001, &[]);
    assert!(ran.code == 0 && ran.stdout.starts_with("installed build 9450001"), "{ran:?}");
    let repaired = sandbox.root().join("generations/9450001-2/left4dead2/gameinfo.txt");
    assert!(fs::read_to_string(repaired).unwrap().contains("GameInfo"));
}

#[test]
fn going_back_and_forth_between_builds() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "a"]);
    let none = sandbox.run(&["rollback"]);
    assert!(none.code == 1 && none.stderr.contains("there is no build before 9450001"), "{none:?}");
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    sandbox.ok(&["restart", "a"]);
    assert_eq!(sandbox.ok(&["rollback"]), "instances start on build 9450001 from now on\n");
    assert_eq!(builds(&sandbox, "a"), (Some(9_450_002), Some(9_450_001)));
    let listed = sandbox.json(&["versions"]);
    let column = |key: &str| listed["versions"].as_array().unwrap().iter().map(|v| v[key].clone()).collect::<Vec<_>>();
    assert_eq!(column("current"), [true, false]);
    assert_eq!(column("instances"), [serde_json::json!([]), serde_json::json!(["a"])]);
    assert_eq!(column("next_start"), [serde_json::json!(["a"]), serde_json::json!([])]);
    sandbox.ok(&["restart", "a"]);
    let layers = fs::read_to_string(sandbox.root().join("instances/a/staged/layers")).unwrap();
    assert_eq!((layers.as_str(), builds(&sandbox, "a")), ("installation\n", (Some(9_450_001), None)));
    let wrong = sandbox.run(&["rollback", "1"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("there are: 9450001, 9450002"), "{wrong:?}");
    // What Steam brings again is known already.
    let ran = install(&sandbox, 9_450_002, &[]);
    assert!(ran.stdout.starts_with("installed build 9450002 "), "{ran:?}");
    assert_eq!(sandbox.json(&["versions"])["versions"].as_array().unwrap().len(), 2);
    let table = sandbox.ok(&["versions"]);
    assert!(table.contains("9450002 *"), "{table}");
}

#[test]
fn damage_is_found_and_named() {
    let sandbox = Sandbox::with_game();
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed (2 layers, "));
    let root = sandbox.root();
    fs::write(root.join("installation/left4dead2/motd.txt"), "the installation's message of the DAY\n").unwrap();
    fs::write(root.join("generations/9450002/new"), "").unwrap();
    fs::remove_file(root.join("installation/srcds.exe")).unwrap();
    let found = sandbox.run(&["verify"]);
    assert_eq!(found.code, 1, "{found:?}");
    for line in [
        "installation: left4dead2/motd.txt has other content",
        "installation: srcds.exe is missing",
        "generation 9450002: new was not there",
        "3 things are not as they were installed",
    ] {
        assert!(found.stdout.contains(line), "{line}: {found:?}");
    }
    let json = sandbox.run(&["verify", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["damage"][1]["difference"], "content");
}

/// What an instance shows of the game, by its own process.
pub(crate) fn sees(sandbox: &Sandbox, name: &str, path: &str) -> String {
    let pid = sandbox.json(&["status", name])["instances"][0]["main_pid"].as_u64().unwrap();
    fs::read_to_string(format!("/proc/{pid}/cwd/{path}")).unwrap()
}

#[test]
fn what_is_pruned_was_used_by_nobody() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    sandbox.ok(&["start", "a"]);
    for build in 9_450_003..=9_450_006 {
        assert_eq!(install(&sandbox, build, &[]).code, 0);
    }
    let ids = || {
        let listed = sandbox.json(&["versions"]);
        let id = |version: &serde_json::Value| version["id"].as_str().unwrap().to_owned();
        listed["versions"].as_array().unwrap().iter().map(id).collect::<Vec<_>>().join(" ")
    };
    let pruned = sandbox.json(&["prune", "--keep", "1"]);
    assert_eq!(pruned["dropped"], serde_json::json!(["9450001", "9450003", "9450004"]));
    assert_eq!(ids(), "9450002 9450005 9450006");
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed"));
    assert!(sees(&sandbox, "a", "left4dead2/steam.inf").contains("Build=9450002"));
    sandbox.ok(&["restart", "a"]);
    assert!(sees(&sandbox, "a", "left4dead2/steam.inf").contains("Build=9450006"));
    assert_eq!(sandbox.ok(&["prune", "--keep", "1"]), "removed build 9450002\nfolded into one layer: 9450005-3\n");
    assert_eq!(sandbox.ok(&["prune", "--keep", "1"]), "nothing to remove\n");
    fs::create_dir(sandbox.root().join("generations/17")).unwrap();
    assert_eq!(sandbox.ok(&["prune"]), "removed 17, which nobody uses any more\n");
    assert!(sandbox.run(&["prune", "--keep", "-1"]).stderr.contains("-1 is not in 0..="));
    sandbox.ok(&["stop", "a"]);
    let whole = sandbox.json(&["prune", "--keep", "0"]);
    assert_eq!(whole["into_installation"], true, "{whole}");
    assert_eq!(fs::read_dir(sandbox.root().join("generations")).unwrap().count(), 0);
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed (1 layers"));
    sandbox.ok(&["start", "a"]);
    assert!(sees(&sandbox, "a", "left4dead2/steam.inf").contains("Build=9450006"));
    assert_eq!(builds(&sandbox, "a"), (Some(9_450_006), None));
}

#[test]
fn what_killed_commands_left_is_swept() {
    let sandbox = Sandbox::with_game();
    assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
    let root = sandbox.root();
    let entries = |dir: &str| {
        let names =
            fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.join(" ")
    };
    for sweep in [&["prune"][..], &["install"][..]] {
        // A tree that was being removed, one that was being folded, a generation that never counted, and the manifests of
        // one that is gone, of one that never came, and half of one.
        for dir in ["tmp/generation/d", "tmp/fold/d", "generations/9450003", "tmp/update/probe/lower"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for id in ["9450003", "9450004", ".left4me-installation.next-7"] {
            fs::copy(root.join("manifests/9450002"), root.join("manifests").join(id)).unwrap();
        }
        let ran = if sweep == ["install"] { install(&sandbox, 9_450_002, &[]) } else { sandbox.run(sweep) };
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!((entries("generations"), entries("manifests")), ("9450002".into(), "9450002 installation".into()));
        // An update that was begun is gone on with by the next, and not by a prune.
        assert_eq!(entries("tmp"), if sweep == ["install"] { "" } else { "update" });
    }
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed"));
}

/// Every name of a game with its mode and content, without what a server writes.
fn tree(dir: &std::path::Path) -> std::collections::BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = std::collections::BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if name == "left4dead2/cfg" || name == "left4dead2/logs" {
                continue;
            }
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_dir() {
                dirs.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(name, (metadata.mode(), content));
        }
    }
    found
}

/// The trees of the simulated builds differ in every way that those of a game may (see srcds-sim's `tree.rs`).
#[test]
fn twenty_updates_in_a_row_give_what_a_fresh_install_gives() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_rehash 200]\n", port()));
    sandbox.ok(&["start", "a", "--wait"]);
    let (first, last) = (9_450_001, 9_450_021);
    for build in first + 1..=last {
        let ran = install(&sandbox, build, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert!(sandbox.ok(&["rcon", "a", "--", "sim_files"]).contains(" changed 0"));
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed"));
    // Looked at without the game's own writing: as a stack that was just mounted, by its process.
    for build in [last, first + 7, first + 16, first] {
        sandbox.ok(&["rollback", &build.to_string()]);
        sandbox.ok(&["restart", "a", "--wait"]);
        let pid = sandbox.json(&["status", "a"])["instances"][0]["main_pid"].as_u64().unwrap();
        let fresh = Sandbox::new();
        assert_eq!(install(&fresh, build, &[]).code, 0);
        let (seen, wanted) = (tree(format!("/proc/{pid}/cwd/").as_ref()), tree(&fresh.root().join("installation")));
        assert_eq!(seen.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "build {build}");
        for (name, of) in &seen {
            assert!(wanted[name] == *of, "build {build}: {name} differs");
        }
    }
    let layers = fs::read_to_string(sandbox.root().join("instances/a/staged/layers")).unwrap();
    assert!(layers.lines().count() < 20, "{layers}");
}
