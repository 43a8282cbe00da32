//! `install --check` with SteamCMDs that are shell scripts: what they are given, and what can't be told.

use std::fs;
use std::time::Duration;

use l4d2host::{Checked, Error, ErrorKind, Host, Progress};

use crate::{Place, steamcmd};

/// What it prints when all is well.
const TOLD: &str = r#"printf '"222860"\n{\n\t"depots"\n\t{\n\t\t"branches"\n\t\t{\n\t\t\t"public"\n\t\t\t{\n'
printf '\t\t\t\t"buildid"\t\t"18"\n\t\t\t}\n\t\t}\n\t}\n}\n'"#;

fn check(place: &Place) -> (Result<Checked, Error>, Vec<Progress>) {
    let mut progress = Vec::new();
    let host = Host::embedded(place.dir.path()).unwrap();
    let result = host.check_for_update(&place.request, &mut |event| progress.push(event.clone()));
    (result, progress)
}

#[test]
fn the_app_is_asked_for_before_a_second_login() {
    let place = Place::new(r#"echo "$0" "$@" > "$HOME/argv"; pwd > "$HOME/cwd""#, TOLD);
    let checked = check(&place).0.unwrap();
    assert_eq!((checked.newest, checked.newest_since, checked.installed), (18, None, None));
    assert!(checked.is_update());
    let wanted = format!(
        "{} +@ShutdownOnFailedCommand 1 +@NoPromptForPassword 1 +login anonymous +app_info_update 1 \
        +app_info_request 222860 +login anonymous +app_info_print 222860 +quit\n",
        steamcmd().display()
    );
    assert_eq!(place.read("argv"), wanted);
    assert_eq!(place.read("cwd").trim(), place.dir.path().canonicalize().unwrap().display().to_string());
    let mut place = Place::new(r#"echo "$@" > "$HOME/argv""#, TOLD);
    place.request.user = Some("somebody".to_owned());
    check(&place).0.unwrap();
    assert_eq!(place.read("argv").matches("+login somebody ").count(), 2);
}

#[test]
fn the_cache_is_gone_when_it_is_asked_first_and_stays_when_it_is_asked_again() {
    let place = Place::new(
        r#"cache="$HOME/Steam/appcache/appinfo.vdf"
        if [ ! -e "$cache" ]; then echo > "$cache"; echo 'No app info for AppID 222860 found, requesting...'; exit 0; fi"#,
        TOLD,
    );
    fs::create_dir_all(place.path("Steam/appcache")).unwrap();
    fs::write(place.path("Steam/appcache/appinfo.vdf"), "old").unwrap();
    assert_eq!(check(&place).0.unwrap().newest, 18);
    assert_eq!(place.runs(), 2);
}

#[test]
fn what_is_not_told_is_asked_so_often_and_no_more() {
    let nothing = "echo 'No app info for AppID 222860 found, requesting...'";
    let other = format!("{}; exit 0", TOLD.replace("branches", "b"));
    for (script, runs, kind, said, hint) in [
        (nothing, 6, ErrorKind::SteamcmdFailed, "tells nothing of app 222860", "--steam-user"),
        ("head -c 300000 /dev/urandom", 6, ErrorKind::SteamcmdFailed, "did not answer in time", "--check` again"),
        ("echo; exit 0", 6, ErrorKind::SteamcmdFailed, "did not answer in time", "--check` again"),
        ("echo 'Timed out waiting for AppInfo'; exit 1", 6, ErrorKind::SteamcmdFailed, "in time", "--check` again"),
        (&other, 1, ErrorKind::LicenceRequired, "does not tell this account", "--steam-user"),
        ("exit 42", 1, ErrorKind::SteamcmdFailed, "exit code 42", "--check` tries again"),
        ("exit 127", 1, ErrorKind::SteamcmdMissing, "can't be run", "apt install"),
    ] {
        let place = Place::new("", script);
        let error = check(&place).0.unwrap_err();
        assert_eq!((place.runs(), error.kind()), (runs, kind), "{script}: {error}");
        assert!(error.to_string().contains(said), "{script}: {error}");
        assert!(error.hint_text().unwrap().contains(hint), "{script}: {:?}", error.hint_text());
    }
}

#[test]
fn no_failure_looks_like_an_answer() {
    for code in [10, 0] {
        let place = Place::new("", &format!("echo 'ERROR (Account Logon Denied)'; exit {code}"));
        assert_eq!(check(&place).0.unwrap_err().exit_code(), 1, "{code}");
    }
    // And an answer is one, however it ends.
    let place = Place::new("", &format!("{TOLD}; exit 10"));
    assert_eq!(check(&place).0.unwrap().newest, 18);
}

#[test]
fn one_that_says_nothing_is_ended() {
    let mut place = Place::new("", "echo begun; sleep 1000");
    place.request.silence_limit = Duration::from_millis(300);
    let error = check(&place).0.unwrap_err();
    assert_eq!((error.kind(), error.exit_code(), place.runs()), (ErrorKind::Timeout, 1, 1), "{error}");
    // What it had said before is an answer.
    let mut place = Place::new("", &format!("{TOLD}; sleep 1000"));
    place.request.silence_limit = Duration::from_millis(300);
    assert_eq!(check(&place).0.unwrap().newest, 18);
}
