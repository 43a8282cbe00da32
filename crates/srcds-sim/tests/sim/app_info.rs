//! What the simulated SteamCMD says of the app.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::server::PROGRAM;

fn ask(home: &Path, build: &str, failure: &str, args: &str) -> (String, Option<i32>) {
    let output = Command::new(PROGRAM)
        .arg("steamcmd")
        .args(args.split_whitespace())
        .env("HOME", home)
        .env("LEFT4ME_SIM_STEAM_DIR", home)
        .env("LEFT4ME_SIM_BUILD", build)
        .env("LEFT4ME_SIM_STEAM_FAIL", failure)
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

const SHORT: &str = "+login anonymous +app_info_update 1 +app_info_print 222860 +quit";
const WHOLE: &str = "+login anonymous +app_info_request 222860 +login anonymous +app_info_print 222860 +quit";

fn says(text: &str, build: u64) -> bool {
    text.contains(&format!("\"public\"\n\t\t\t{{\n\t\t\t\t\"buildid\"\t\t\"{build}\"\n"))
}

#[test]
fn the_cache_has_the_last_word() {
    let home = TempDir::new().unwrap();
    let (text, code) = ask(home.path(), "41", "", SHORT);
    assert!(text.contains("No app info for AppID 222860 found, requesting...\n") && code == Some(0), "{text}");
    for args in [SHORT, WHOLE] {
        let (text, _) = ask(home.path(), "42", "", args);
        assert!(says(&text, 41) && !says(&text, 42), "{text}");
    }
    fs::remove_file(home.path().join("Steam/appcache/appinfo.vdf")).unwrap();
    assert!(says(&ask(home.path(), "42", "", WHOLE).0, 42));
}

#[test]
fn it_fails_on_request() {
    for (failure, said, code) in [
        ("network", "not online", 8),
        ("no-app-info", "No app info for AppID 222860 found", 0),
        ("no-depots", "\"common\"", 0),
    ] {
        let home = TempDir::new().unwrap();
        let (text, exit) = ask(home.path(), "42", failure, WHOLE);
        assert!(text.contains(said) && !text.contains("buildid") && exit == Some(code), "{failure}: {text}");
    }
}
