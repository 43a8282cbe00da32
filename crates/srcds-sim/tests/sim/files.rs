//! What the game notices of the files that it runs on.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::client::{Cursor, Rcon, ask};
use crate::server::{Place, Server};

fn watched() -> (Server, Rcon) {
    let place = Place::new()
        .with("cfg/server.cfg", "rcon_password p\n")
        .with("maps/a.bsp", "map")
        .with("maps/b.bsp", "map")
        .with("with space/-ü", "text");
    symlink("maps/a.bsp", place.path().join("link")).unwrap();
    let mut server = place.serve(&["+sim_rehash", "1", "+log", "on"]);
    server.wait_for("SIMULATED: reads ");
    let rcon = Rcon::admitted(server.port, "p");
    (server, rcon)
}

/// `rounds` and `changed` of what the game says.
fn counts(rcon: &mut Rcon) -> (u64, u64, String) {
    let said = rcon.run("sim_files").0;
    let words: Vec<&str> = said.split_whitespace().collect();
    let number = |name| words[words.iter().position(|word| *word == name).unwrap() + 1].parse().unwrap();
    (number("rounds"), number("changed"), said.clone())
}

/// Waits until all that is there now has been read.
fn whole_round(rcon: &mut Rcon) -> (u64, String) {
    let begin = counts(rcon).0;
    loop {
        let (rounds, changed, said) = counts(rcon);
        if rounds >= begin + 2 {
            return (changed, said);
        }
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_said_of_files_that_stay_and_of_its_own() {
    let (server, mut rcon) = watched();
    for command in ["say hello", "banid 0 STEAM_1:0:1", "writeid", "changelevel c2m1"] {
        rcon.run(command);
    }
    assert_eq!(whole_round(&mut rcon).0, 0, "{}", counts(&mut rcon).2);
    let ended = server.interrupt();
    assert!(ended.code == Some(0) && !ended.said.contains("FILES CHANGED"), "{ended:?}");
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&[]);
    assert_eq!(Rcon::admitted(server.port, "p").run("sim_files").0, "sim_rehash is off\n");
}

type Change = fn(&Path);

#[test]
fn every_change_is_said() {
    let changes: [(&str, &str, Change); 6] = [
        ("other bytes", "left4dead2/maps/a.bsp", |path| fs::write(path, "mop").unwrap()),
        ("another mode", "left4dead2/maps/a.bsp", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }),
        ("gone", "left4dead2/maps/b.bsp", |path| fs::remove_file(path).unwrap()),
        ("new", "left4dead2/maps/c.bsp", |path| fs::write(path, "").unwrap()),
        ("other bytes", "link", |path| {
            fs::remove_file(path).unwrap();
            symlink("maps/b.bsp", path).unwrap();
        }),
        ("new", "left4dead2/dir", |path| fs::create_dir(path).unwrap()),
    ];
    for (what, path, change) in changes {
        let (mut server, mut rcon) = watched();
        change(&server.place.path().join(path));
        let (changed, said) = whole_round(&mut rcon);
        assert!(changed == 1 && said.contains(&format!("\n{what}: {path}\n")), "{said}");
        server.wait_for(&format!("FILES CHANGED BELOW THE RUNNING GAME: {what}: {path}"));
    }
}

#[test]
fn the_version_is_the_installation_s() {
    let version = |place: Place, args: &[&str]| {
        let server = place.serve(args);
        let (info, _) = ask(server.port, b"TSource Engine Query\0");
        let mut info = Cursor(&info);
        let _before: [u8; 2] = info.bytes();
        let _texts = [info.text(), info.text(), info.text(), info.text()];
        let _numbers: [u8; 9] = info.bytes();
        let status = Rcon::admitted(server.port, "p").run("status").0;
        let version = info.text();
        assert!(status.contains(&format!("version : {version} ")), "{status}");
        version
    };
    let place = || Place::new().with("cfg/server.cfg", "rcon_password p\n");
    assert_eq!(version(place(), &[]), "2.2.4.3");
    let inf = "PatchVersion=2.2.4.9\nProductName=left4dead2\n";
    assert_eq!(version(place().with("steam.inf", inf), &[]), "2.2.4.9");
    assert_eq!(version(place().with("steam.inf", inf), &["+sim_version", "9.9"]), "9.9");
}
