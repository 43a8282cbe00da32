//! What is tried again and how often, what is not, and what is no success.

use std::fs;
use std::time::{Duration, Instant};

use l4d2host::ErrorKind;

use crate::Place;

#[test]
fn what_does_not_pass_is_tried_so_often_and_no_more() {
    for (said, code, runs, kind) in [
        ("Error! App '222860' state is 0x402 after update job.", 8, 6, ErrorKind::SteamcmdFailed),
        ("Error! App '222860' state is 0x606 after update job.", 8, 6, ErrorKind::SteamcmdFailed),
        ("Error! App '222860' state is 0x206 after update job.", 0, 6, ErrorKind::SteamcmdFailed),
        ("Timed out waiting for AppInfo update.", 1, 6, ErrorKind::SteamcmdFailed),
        ("ERROR! Failed to install app '222860' (Missing configuration)", 8, 4, ErrorKind::SteamcmdFailed),
        ("ERROR! Failed to install app '222860' (Invalid platform)", 8, 1, ErrorKind::LicenceRequired),
        ("Error! App '222860' state is 0x202 after update job.", 8, 1, ErrorKind::DiskFull),
        ("ERROR (Account Logon Denied)", 5, 1, ErrorKind::LicenceRequired),
        ("linux32/steamcmd: No such file or directory", 127, 1, ErrorKind::SteamcmdMissing),
        ("something new", 42, 1, ErrorKind::SteamcmdFailed),
    ] {
        let place = Place::new("", &format!("echo \"{said}\"; exit {code}"));
        let error = place.install().error();
        assert_eq!((place.runs(), error.kind()), (runs, kind), "{said}: {error}");
        assert_eq!(i32::from(error.exit_code()), if code == 0 { 1 } else { code }, "{said}");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains(said) && error.hint_text().is_some(), "{said}: {cause}");
    }
}

#[test]
fn pauses_grow_and_both_passes_share_the_tries() {
    // Thrice in the first pass, and then for ever in the second.
    let place = Place::new(
        "",
        r#"[ $pass = windows ] && [ "$(wc -l < "$HOME/runs")" -gt 3 ] && { good; exit 0; }
        echo "Error! App '222860' state is 0x602 after update job."; exit 8"#,
    );
    let mut place = place;
    place.request.first_pause = Duration::from_millis(20);
    let begun = Instant::now();
    let ran = place.install();
    // 20 + 40 + 80 + 160 + 320 ms: a lower bound holds on any machine.
    assert!(begun.elapsed() >= Duration::from_millis(620));
    let again: Vec<_> = ran.steps().into_iter().filter(|step| step.contains("trying again")).collect();
    assert!(again.len() == 5 && again[4].ends_with("(5 of 5)"), "{again:?}");
    assert_eq!((place.runs(), ran.error().kind()), (7, ErrorKind::SteamcmdFailed));
}

#[test]
fn a_damaged_download_is_dropped_first() {
    let place = Place::new(
        "",
        r#"if [ -e steamapps/downloading ]; then echo "Error! App '222860' state is 0x6A6 after update job."; exit 8; fi
        good"#,
    );
    fs::create_dir_all(place.path("installation/steamapps/downloading/222860")).unwrap();
    place.install().result.unwrap();
    assert_eq!(place.runs(), 3);
}

#[test]
fn success_is_the_word_and_the_code_and_the_disk() {
    for (then, said) in [
        ("good; exit 8", "not known (exit code 8)"),
        ("good; exit 139", "ended by signal 11"),
        ("good; kill -SEGV $$", "ended by signal 11"),
        ("good 6", "StateFlags 6"),
        ("good 1026", "StateFlags 1026"),
        ("good; rm srcds_run", "srcds_run is missing"),
        ("rm -rf srcds_run; good; rm srcds_run; mkdir srcds_run", "srcds_run is missing"),
        ("good; rmdir bin", "bin is missing"),
        ("good; sed -i s/222860/550/ steamapps/*.acf", "not of app 222860"),
        ("good; sed -i s/17/0/ steamapps/*.acf", "build 0"),
        ("good; echo '{' > steamapps/appmanifest_222860.acf", "can't be read"),
        ("good; rm steamapps/*.acf", "appmanifest_222860.acf"),
        (":", "appmanifest_222860.acf"),
    ] {
        let text = Place::new("", then).install().text();
        assert!(text.contains(said), "{then}: {text}");
    }
}

#[test]
fn the_last_word_counts_also_without_a_newline() {
    let text = Place::new("", "printf 'Logging in user x to Steam Public...FAILED (Rate Limit Exceeded)'; exit 5");
    let error = text.install().error();
    assert!(error.to_string().contains("rate limit") && error.hint_text().unwrap().contains("hours"), "{error}");
}

#[test]
fn the_hint_knows_the_account() {
    let mut place = Place::new("", "echo \"ERROR! Failed to install app '222860' (Invalid platform)\"; exit 8");
    assert!(place.install().error().hint_text().unwrap().contains("--steam-user NAME"));
    place.request.user = Some("spare".to_owned());
    assert!(place.install().error().hint_text().unwrap().contains("+login spare"));
}

#[test]
fn a_full_disk_says_how_much_is_missing() {
    let place = Place::new(
        "",
        r#"echo " Update state (0x61) downloading, progress: 0.00 (0 / 999999999999999)"
        echo " Update state (0x81) verifying update, progress: 0.00 (0 / 1)"
        echo "Error! App '222860' state is 0x202 after update job."; exit 8"#,
    );
    let error = place.install().error();
    let hint = error.hint_text().unwrap();
    let missing = hint.strip_prefix("make room for ").and_then(|hint| hint.split_once(" MiB more")).unwrap().0;
    assert!((1..=953_674_317).contains(&missing.parse::<u64>().unwrap()), "{hint}");
}
