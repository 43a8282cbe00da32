//! What SteamCMD is given, and what comes of it when all goes well.

use std::fs;
use std::os::unix::fs::symlink;

use l4d2host::Progress;

use crate::{Place, steamcmd};

#[test]
fn windows_first_then_linux_each_with_all_arguments_in_order() {
    let place = Place::new(r#"echo "$0" "$@" >> "$HOME/argv""#, "good");
    let installed = place.install().result.unwrap();
    assert_eq!((installed.version.build_id, installed.size_on_disk), (17, 9_913_050_319));
    let dir = place.dir.path().canonicalize().unwrap();
    let line = |pass| {
        format!(
            "{} +@ShutdownOnFailedCommand 1 +@NoPromptForPassword 1 +@sSteamCmdForcePlatformType {pass} \
            +force_install_dir {}/installation +login anonymous +app_update 222860 validate +quit\n",
            steamcmd().display(),
            dir.display()
        )
    };
    assert_eq!(place.read("argv"), line("windows") + &line("linux"));
}

#[test]
fn by_its_real_path() {
    let mut place = Place::new(r#"echo "$0" > "$HOME/argv0""#, "good");
    let link = place.path("link.sh");
    symlink(steamcmd(), &link).unwrap();
    place.request.steamcmd = Some(link);
    place.install().result.unwrap();
    assert_eq!(place.read("argv0").trim(), steamcmd().display().to_string());
}

#[test]
fn a_terminal_a_session_and_little_environment() {
    let place = Place::new(
        r#"
        [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && : < /dev/tty && terminal=terminal
        { echo "$terminal"
        stty size
        stty -a | grep -o -e '-echo '
        [ "$(cut -d ' ' -f 6 /proc/$$/stat)" = $$ ] && echo session
        [ -d steamapps ] && echo steamapps
        env | cut -d = -f 1 | grep -v -e '^PATH$' -e '^LEFT4ME_' -e _proxy -e _PROXY -e '^_$' -e '^TMPDIR$' | sort
        echo "$HOME $LC_ALL $PWD"
        } > "$HOME/seen" 2>&1"#,
        "good",
    );
    place.install().result.unwrap();
    let root = place.dir.path().canonicalize().unwrap();
    let seen = place.read("seen");
    let (fixed, own) = seen.split_once("HOME\n").unwrap();
    assert_eq!(fixed, "terminal\n50 500\n-echo \nsession\nsteamapps\n");
    // Who runs the tests may have these two, or not.
    let names: Vec<&str> = own.lines().filter(|name| !["USER", "LOGNAME", "TZ"].contains(name)).collect();
    let last = format!("{0} C {0}/installation", root.display());
    assert_eq!(names, ["LC_ALL", "PWD", "TERM", last.as_str()]);
}

#[test]
fn what_is_printed_becomes_progress() {
    let transcript = r"
        printf 'Redirecting stderr to /x/logs/stderr.txt\r\n'
        printf '[  0%%] Checking for available updates...\r\033[0m[----] Verifying installation...\r\n'
        printf 'Connecting anonymously to Steam Public...OK\n'
        printf ' Update state (0x3) reconfiguring, progress: 0.00 (0 / 0)\n'
        printf ' Update state (0x61) downloading, progress: 45.23 (12345678 / 27340800)\n'
        printf ' Update state (0x81) verifying update, progress: 7.18 (681966749 / 9498529183)\n'
        good";
    let place = Place::new("", transcript);
    let ran = place.install();
    ran.result.as_ref().unwrap();
    let updates: Vec<_> = ran
        .progress
        .iter()
        .filter_map(|event| match event {
            Progress::Update { pass, phase, done, total } => Some((*pass, phase.as_str(), *done, *total)),
            _ => None,
        })
        .collect();
    let of = |pass| {
        [
            (pass, "reconfiguring", 0, 0),
            (pass, "downloading", 12_345_678, 27_340_800),
            (pass, "verifying update", 681_966_749, 9_498_529_183),
        ]
    };
    // The script's three files.
    let hashing = ("manifest", "hashing", 98, 98);
    assert_eq!(updates, [&of("windows")[..], &of("linux"), &[hashing]].concat());
    assert_eq!(
        ran.steps(),
        [
            "installing app 222860, windows pass",
            "SteamCMD: Checking for available updates...",
            "SteamCMD: Verifying installation...",
            "installing app 222860, linux pass",
            "SteamCMD: Checking for available updates...",
            "SteamCMD: Verifying installation...",
            "writing everything to disk",
            "repairing ~/.steam",
        ]
    );
}

#[test]
fn only_the_last_pass_is_looked_at() {
    let place = Place::new("", "if [ $pass = windows ]; then good 6; rm srcds_run; else good; fi");
    place.install().result.unwrap();
}

#[test]
fn steam_s_libraries_are_copied_whatever_was_there() {
    let bring = r#"mkdir -p "$HOME/Steam/linux64" bin
        echo 64 > "$HOME/Steam/linux64/steamclient.so"; echo game > bin/steamclient.so"#;
    let place = Place::new("", &format!("{bring}; good"));
    fs::create_dir(place.path(".steam")).unwrap();
    symlink("/nowhere", place.path(".steam/sdk32")).unwrap();
    fs::create_dir_all(place.path(".steam/sdk64/steamclient.so/directory")).unwrap();
    for _ in 0..2 {
        let _ = fs::remove_file(place.path("versions.json"));
        let _ = fs::remove_file(place.path("installation/srcds_run"));
        place.install().result.unwrap();
        assert_eq!(place.read(".steam/sdk64/steamclient.so"), "64\n");
        // SteamCMD has none here, so the game's.
        assert_eq!(place.read(".steam/sdk32/steamclient.so"), "game\n");
        for path in [".steam/sdk32", ".steam/sdk32/steamclient.so", ".steam/sdk64/steamclient.so"] {
            assert!(!fs::symlink_metadata(place.path(path)).unwrap().is_symlink(), "{path}");
        }
        assert_eq!(fs::read_dir(place.path(".steam/sdk64")).unwrap().count(), 1);
    }
}
