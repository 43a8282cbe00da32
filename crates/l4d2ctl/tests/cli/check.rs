//! `install --check`: whether Steam has another build, with a simulated SteamCMD that knows the trap.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{Ran, Sandbox};

const CACHE: &str = "home/Steam/appcache/appinfo.vdf";

fn check(sandbox: &Sandbox, args: &[&str], build: &str, failure: &str) -> Ran {
    let steamcmd = sandbox.steamcmd();
    sandbox.run_with(
        &[&["install", "--check"], args].concat(),
        &[
            ("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap()),
            ("LEFT4ME_SIM_BUILD", build),
            ("LEFT4ME_SIM_STEAM_FAIL", failure),
        ],
    )
}

fn last(ran: &Ran) -> Value {
    serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap()
}

#[test]
fn no_and_then_yes_although_an_old_answer_is_cached() {
    let sandbox = Sandbox::with_game();
    let before = sandbox.tree();
    assert_eq!(fs::read_to_string(sandbox.dir.path().join(CACHE)).unwrap(), "9450001\n");
    let ran = check(&sandbox, &[], "9450001", "");
    assert_eq!((ran.code, &*ran.stdout), (0, "build 9450001 is installed, and Steam has no other\n"), "{ran:?}");
    for _ in 0..2 {
        let ran = check(&sandbox, &[], "9450002", "");
        assert_eq!((ran.code, &*ran.stdout), (10, "build 9450002 is there, 9450001 is installed\n"), "{ran:?}");
        assert!(!ran.stderr.contains("again"), "{ran:?}");
    }
    let ran = check(&sandbox, &["--json"], "9450002", "");
    let document = last(&ran);
    assert_eq!((&document["event"], &document["update"]), (&json!("checked"), &json!(true)));
    assert_eq!((&document["installed"], &document["newest"]), (&json!(9_450_001), &json!(9_450_002)));
    assert!(document["newest_since"].is_u64() && ran.code == 10, "{ran:?}");
    // Taken back by Valve.
    assert_eq!(check(&sandbox, &[], "9450000", "").code, 10);
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn without_a_game_and_with_a_broken_one() {
    let sandbox = Sandbox::new();
    let ran = check(&sandbox, &[], "9450001", "");
    assert_eq!((ran.code, &*ran.stdout), (10, "build 9450001 is there, no whole game is installed\n"), "{ran:?}");
    // It only looks; but to a lock it comes after whoever installs.
    let made = |path: &str| fs::read_dir(sandbox.root().join(path)).unwrap().count();
    assert_eq!((made("installation"), made("manifests"), made("tmp"), made("locks")), (0, 0, 0, 1));
    assert!(!sandbox.root().join("versions.json").exists());
    assert_eq!(last(&check(&sandbox, &["--json"], "9450001", ""))["installed"], Value::Null);
    let sandbox = Sandbox::with_game();
    // As it is while the first install is at work, or has failed.
    sandbox.write("root/versions.json", r#"{"format": 1, "current": null, "versions": []}"#);
    let ran = check(&sandbox, &[], "9450001", "");
    assert!(ran.code == 10 && ran.stdout.contains("no whole game is installed"), "{ran:?}");
    // What can't be read is no game that is not there.
    sandbox.write("root/versions.json", "{");
    let ran = check(&sandbox, &[], "9450001", "");
    assert!(ran.code == 1 && ran.stderr.contains("versions.json can't be used"), "{ran:?}");
}

#[test]
fn who_went_back_is_not_told_again() {
    let sandbox = Sandbox::with_game();
    let steamcmd = sandbox.steamcmd();
    let newer = [("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap()), ("LEFT4ME_SIM_BUILD", "9450002")];
    assert_eq!(sandbox.run_with(&["install"], &newer).code, 0);
    let versions = sandbox.root().join("versions.json");
    let back = fs::read_to_string(&versions).unwrap().replace("\"current\": \"9450002\"", "\"current\": \"9450001\"");
    fs::write(&versions, back).unwrap();
    assert_eq!(check(&sandbox, &[], "9450002", "").code, 0);
    assert_eq!(check(&sandbox, &[], "9450003", "").code, 10);
}

#[test]
fn what_could_not_be_told_is_neither_no_nor_yes() {
    let sandbox = Sandbox::with_game();
    for (failure, said, hint, code) in [
        ("no-depots", "does not tell this account", "--steam-user", 1),
        ("rate-limit", "rate limit", "wait", 5),
        ("prompt", "asks for a password", "log in once", 1),
        ("segfault", "signal 6", "doctor", 134),
    ] {
        let ran = check(&sandbox, &[], "9450002", failure);
        assert!(ran.code == code && ran.stdout.is_empty(), "{failure}: {ran:?}");
        assert!(ran.stderr.contains(said), "{failure}: {said:?} is not in {}", ran.stderr);
        let hints = ran.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(hints.contains(hint), "{failure}: {hint:?} is not in {hints:?}");
    }
    let ran = check(&sandbox, &["--steam-user", "somebody"], "9450002", "no-depots");
    assert!(ran.stderr.contains("hint: use an account that owns"), "{ran:?}");
    let ran = sandbox.run_with(&["install", "--check"], &[("LEFT4ME_STEAMCMD", "/nowhere/steamcmd.sh")]);
    assert!(ran.code == 1 && ran.stderr.contains("is not there"), "{ran:?}");
    let ran = check(&sandbox, &["--json"], "9450002", "rate-limit");
    assert_eq!((last(&ran)["error"]["kind"].as_str(), ran.code), (Some("steamcmd-failed"), 5), "{ran:?}");
}

#[test]
fn what_passes_by_itself_is_asked_again() {
    for failure in ["no-app-info:1", "network:1", "appinfo-timeout:1", "garbage:1"] {
        let sandbox = Sandbox::with_game();
        let ran = check(&sandbox, &[], "9450002", failure);
        assert_eq!(ran.code, 10, "{failure}: {ran:?}");
        assert!(ran.stderr.contains("trying again in 2 s (1 of 5)"), "{failure}: {ran:?}");
    }
}

#[test]
fn nobody_waits_for_it_and_ctrl_c_ends_it() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", crate::port()));
    let steamcmd = sandbox.steamcmd();
    let mut command = sandbox.command(&["install", "--check"]);
    command.env("LEFT4ME_STEAMCMD", steamcmd).env("LEFT4ME_SIM_STEAM_FAIL", "hang");
    let mut asking = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(asking.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("Verifying installation") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    sandbox.ok(&["--lock-timeout", "0", "start", "a"]);
    sandbox.ok(&["stop", "a"]);
    std::process::Command::new("kill").args(["-INT", &asking.id().to_string()]).status().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    let mut printed = String::new();
    asking.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!((asking.wait().unwrap().code(), &*printed), (Some(130), ""), "{said}");
    assert!(said.contains("interrupted") && said.contains("hint: nothing was changed"), "{said}");
}

#[test]
fn only_the_cache_is_removed_and_no_link_is_followed() {
    let sandbox = Sandbox::with_game();
    let places = ["Steam", ".steam", ".local/share/Steam"].map(|place| format!("home/{place}/appcache"));
    for place in &places {
        sandbox.write(&format!("{place}/appinfo.vdf"), "1\n");
        sandbox.write(&format!("{place}/packageinfo.vdf"), "1\n");
    }
    // As Steam's own client makes it; and one that leads elsewhere.
    symlink("../.local/share/Steam", sandbox.home().join(".steam/steam")).unwrap();
    assert_eq!(check(&sandbox, &[], "9450002", "").code, 10);
    for place in &places {
        let has = |name: &str| sandbox.dir.path().join(place).join(name).exists();
        // SteamCMD writes the one that it uses anew.
        assert!(has("packageinfo.vdf") && (has("appinfo.vdf") == place.starts_with("home/Steam")), "{place}");
    }
    sandbox.write("elsewhere/appcache/appinfo.vdf", "1\n");
    fs::remove_dir_all(sandbox.home().join(".local/share/Steam")).unwrap();
    symlink(sandbox.dir.path().join("elsewhere"), sandbox.home().join(".local/share/Steam")).unwrap();
    let ran = check(&sandbox, &[], "9450002", "");
    assert!(ran.code == 10 && ran.stderr.contains("warning: ") && ran.stderr.contains("stays: the answer"), "{ran:?}");
    assert!(sandbox.dir.path().join("elsewhere/appcache/appinfo.vdf").exists());
    // What can't be removed would be the answer.
    fs::remove_file(sandbox.home().join("Steam/appcache/appinfo.vdf")).unwrap();
    fs::create_dir(sandbox.home().join("Steam/appcache/appinfo.vdf")).unwrap();
    let ran = check(&sandbox, &[], "9450002", "");
    assert!(ran.code == 1 && ran.stderr.contains("can't remove") && ran.stderr.contains("hint: "), "{ran:?}");
}

#[test]
fn nobody_has_to_read_the_answer() {
    let sandbox = Sandbox::with_game();
    let steamcmd = sandbox.steamcmd();
    for (build, code) in [("9450001", 0), ("9450002", 10)] {
        let mut command = sandbox.command(&["install", "--check"]);
        command.env("LEFT4ME_STEAMCMD", &steamcmd).env("LEFT4ME_SIM_BUILD", build);
        let mut asking = command.stderr(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        drop(asking.stdout.take());
        assert_eq!(asking.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn only_a_newer_one_is_installed() {
    let sandbox = Sandbox::with_game();
    let install = |build: &str, failure: &str| {
        let steamcmd = sandbox.steamcmd();
        let env = [
            ("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap()),
            ("LEFT4ME_SIM_BUILD", build),
            ("LEFT4ME_SIM_STEAM_FAIL", failure),
        ];
        sandbox.run_with(&["install", "--if-newer"], &env)
    };
    let before = sandbox.tree();
    let ran = install("9450001", "");
    assert_eq!((ran.code, &*ran.stdout), (0, "build 9450001 is installed, and Steam has no other\n"), "{ran:?}");
    assert!(install("9450002", "rate-limit").code != 0);
    assert_eq!(sandbox.tree(), before);
    let ran = install("9450002", "");
    assert!(ran.code == 0 && ran.stdout.starts_with("installed build 9450002"), "{ran:?}");
    assert_eq!(install("9450002", "").stdout, "build 9450002 is installed, and Steam has no other\n");
}
