//! `install`, with a simulated SteamCMD that fails in each known way.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::{Ran, Sandbox};

fn install(sandbox: &Sandbox, failure: &str) -> Ran {
    let steamcmd = sandbox.steamcmd();
    sandbox.run_with(
        &["install"],
        &[("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap()), ("LEFT4ME_SIM_STEAM_FAIL", failure)],
    )
}

#[test]
fn the_game_arrives_with_steam_s_library() {
    let sandbox = Sandbox::with_game();
    for path in ["root/installation/srcds_run", "root/installation/srcds.exe", "home/.steam/sdk32/steamclient.so"] {
        assert!(sandbox.dir.path().join(path).is_file(), "{path}");
    }
    let again = install(&sandbox, "");
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stderr.lines().all(|line| line.starts_with("Step: ") || line.starts_with("warning: ")), "{again:?}");
    assert!(again.stdout.starts_with("build 9450001 is the newest already"), "{again:?}");
}

#[test]
fn what_does_not_pass_by_itself_ends_with_what_to_do() {
    for (failure, said, hint, code) in [
        ("invalid-platform", "invalid platform", "--steam-user", 8),
        ("no-subscription", "does not own the game", "--steam-user", 8),
        ("disk-full", "the disk is full", "make room", 8),
        ("beta-password", "wants a password", "appmanifest", 8),
        ("rate-limit", "rate limit", "wait", 5),
        ("login-failure", "login was refused", "log in once", 5),
        ("two-factor", "two-factor", "log in once", 5),
        ("prompt", "asks for a password", "log in once", 1),
        ("segfault", "signal 6", "doctor", 134),
        ("lies", "StateFlags 1026", "tries again", 1),
        ("windows-only", "srcds_run is missing", "tries again", 1),
        ("garbage", "success, but", "tries again", 1),
    ] {
        let sandbox = Sandbox::new();
        let ran = install(&sandbox, failure);
        assert_eq!(ran.code, code, "{failure}: {ran:?}");
        assert!(ran.stderr.contains(said), "{failure}: {said:?} is not in {}", ran.stderr);
        let hints = ran.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(hints.contains(hint), "{failure}: {hint:?} is not in {hints:?}");
    }
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    for failure in ["network:1", "0x602:1", "disk-write:1", "0x626:1", "appinfo-timeout:1", "missing-configuration:1"] {
        let sandbox = Sandbox::new();
        let ran = install(&sandbox, failure);
        assert_eq!(ran.code, 0, "{failure}: {ran:?}");
        assert!(ran.stderr.contains("trying again in 2 s"), "{failure}: {ran:?}");
    }
    let sandbox = Sandbox::new();
    sandbox.write("root/installation/steamapps/downloading/broken", "");
    let ran = install(&sandbox, "corrupt");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("damaged") && !sandbox.root().join("installation/steamapps/downloading").exists());
}

#[test]
fn a_steamcmd_that_is_not_there_or_can_t_be_run() {
    let sandbox = Sandbox::new();
    let with = |path: &str| sandbox.run_with(&["install"], &[("LEFT4ME_STEAMCMD", path)]);
    let ran = with("/nowhere/steamcmd.sh");
    assert!(ran.code == 1 && ran.stderr.contains("/nowhere/steamcmd.sh is not there"), "{ran:?}");
    let steamcmd = sandbox.steamcmd();
    fs::set_permissions(&steamcmd, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = with(steamcmd.to_str().unwrap());
    assert!(ran.code == 1 && ran.stderr.contains("is not an executable file"), "{ran:?}");
    let ran = sandbox.run_with(&["install"], &[("PATH", "/nowhere")]);
    assert!(ran.code == 1 && ran.stderr.contains("no `steamcmd` on PATH") && ran.stderr.contains("hint:"), "{ran:?}");
    let ran = sandbox
        .run_with(&["install", "--steam-user", "+quit"], &[("LEFT4ME_STEAMCMD", sandbox.steamcmd().to_str().unwrap())]);
    assert!(ran.code == 2 && ran.stderr.contains("no name of a Steam account"), "{ran:?}");
}

#[test]
fn ctrl_c_ends_steamcmd_with_all_its_children() {
    let sandbox = Sandbox::new();
    let steamcmd = sandbox.steamcmd();
    let mut command = sandbox.command(&["install"]);
    command
        .env("LEFT4ME_STEAMCMD", steamcmd)
        .env("LEFT4ME_SIM_STEAM_FAIL", "orphan")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let orphan = || {
        let children = std::process::Command::new("pgrep").args(["-f", "^sleep 1000$"]).output().unwrap();
        String::from_utf8_lossy(&children.stdout)
            .lines()
            .filter_map(|pid| pid.parse::<u32>().ok())
            .find(|pid| descends(*pid, child.id()))
    };
    sandbox.wait("SteamCMD has a child", |_| orphan().is_some());
    let orphan = orphan().unwrap();
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("interrupted") && said.contains("goes on where it was"), "{said}");
    sandbox.wait("the orphan is gone", |_| state(orphan).is_none_or(|state| state == 'Z'));
    assert_eq!(install(&sandbox, "").code, 0);
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

fn descends(pid: u32, from: u32) -> bool {
    let parent = stat(pid).and_then(|stat| stat.get(1)?.parse::<u32>().ok());
    parent.is_some_and(|parent| parent == from || (parent > 1 && descends(parent, from)))
}
