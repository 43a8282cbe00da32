//! What the simulated SteamCMD makes of an installation, build after build.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::server::PROGRAM;

const BUILD: u64 = 9_450_001;

/// A home, and an installation in it.
struct Installation(TempDir);

impl Installation {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::create_dir_all(place.dir().join("steamapps")).unwrap();
        place
    }

    fn with(build: u64, bulk: &str) -> Self {
        let place = Self::new();
        place.update(build, bulk);
        place
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("installation")
    }

    fn steamcmd(&self, build: u64, environment: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("steamcmd").args(args).env("HOME", self.0.path()).env("LEFT4ME_SIM_STEAM_DIR", self.0.path());
        command.env("LEFT4ME_SIM_BUILD", build.to_string()).envs(environment.iter().copied()).output().unwrap()
    }

    fn pass(&self, platform: &str, build: u64, environment: &[(&str, &str)]) -> Output {
        let dir = self.dir();
        let dir = dir.to_str().unwrap();
        let args = ["+@sSteamCmdForcePlatformType", platform, "+force_install_dir", dir, "+login", "anonymous"];
        self.steamcmd(build, environment, &[&args[..], &["+app_update", "222860", "validate", "+quit"]].concat())
    }

    fn update(&self, build: u64, bulk: &str) {
        for platform in ["windows", "linux"] {
            let output = self.pass(platform, build, &[("LEFT4ME_SIM_BULK", bulk)]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }

    /// Kind and mode, bytes or target, of everything in it.
    fn content(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let what = |path: &Path, metadata: &fs::Metadata| {
            let bytes = if metadata.is_symlink() {
                fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            };
            (metadata.mode(), bytes)
        };
        walk(&self.dir(), &what)
    }
}

fn walk<T>(dir: &Path, what: &dyn Fn(&Path, &fs::Metadata) -> T) -> BTreeMap<PathBuf, T> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), what(&path, &metadata));
            if metadata.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

#[test]
fn a_tree_does_not_show_what_was_there_before() {
    let place = Installation::with(BUILD, "");
    // Also back, as after a rollback that is brought up to date again.
    let builds = (BUILD + 1..BUILD + 21).chain([BUILD + 7, 1, BUILD]);
    for build in builds {
        place.update(build, "");
        let (content, fresh) = (place.content(), Installation::with(build, "").content());
        let differs = |path: &&PathBuf| content.get(*path) != fresh.get(*path);
        let other: Vec<_> = content.keys().chain(fresh.keys()).filter(differs).collect();
        assert!(other.is_empty(), "{build}: {other:?}");
    }
}

#[test]
fn what_is_no_build_s_stays_and_what_is_missing_or_edited_comes_back() {
    let place = Installation::with(BUILD, "");
    let whole = place.content();
    let foreign = ["left4dead2/addons/mine.vpk", "left4dead2/sim_remade/mine.txt", "left4dead2_dlc3/mine.txt", "mine"];
    for path in foreign {
        let path = place.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    fs::write(place.dir().join("left4dead2/motd.txt"), "edited").unwrap();
    fs::remove_file(place.dir().join("srcds_run")).unwrap();
    for build in BUILD..BUILD + 7 {
        place.update(build, "");
        assert!(foreign.iter().all(|path| fs::read(place.dir().join(path)).unwrap() == b"mine"));
    }
    place.update(BUILD, "");
    let now = place.content();
    assert!(whole.iter().all(|(path, what)| now.get(path) == Some(what)));
    let more: Vec<_> =
        now.keys().filter(|path| !whole.contains_key(*path)).map(|path| path.to_str().unwrap()).collect();
    assert_eq!(more.len(), foreign.len() + 1, "and a directory of theirs: {more:?}");
}

#[test]
fn an_update_writes_what_it_says_and_no_more() {
    let place = Installation::with(BUILD, "40");
    let stamp = |_: &Path, metadata: &fs::Metadata| {
        let written = (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        (metadata.is_file(), metadata.len(), written)
    };
    for build in BUILD + 1..BUILD + 7 {
        let before = walk(&place.dir(), &stamp);
        place.update(build, "40");
        let now = walk(&place.dir(), &stamp);
        let written = now.iter().filter(|(path, what)| what.0 && before.get(*path) != Some(*what));
        let (files, bytes) = written.fold((0, 0), |(files, bytes), (_, what)| (files + 1, bytes + what.1));
        let [from, to] = [build - 1, build].map(|build| build.to_string());
        let said = place.steamcmd(build, &[("LEFT4ME_SIM_BULK", "40")], &["+sim_changes", &from, &to]).stdout;
        let said = String::from_utf8(said).unwrap();
        let wanted = format!("SIMULATED: build {to} has {bytes} bytes in {files} files otherwise than build {from}\n");
        assert_eq!(said, wanted);
        assert!((1 << 20..3 << 20).contains(&bytes), "{bytes}");
    }
    let before = walk(&place.dir(), &stamp);
    place.update(BUILD + 6, "40");
    let now = walk(&place.dir(), &stamp);
    let written: Vec<_> = now.iter().filter(|(path, what)| what.0 && before.get(*path) != Some(*what)).collect();
    assert!(written.is_empty(), "{written:?}");
    place.update(BUILD + 6, "");
    assert!(!place.dir().join("left4dead2/sim_bulk").exists());
}

#[test]
fn some_are_replaced_and_some_written_into() {
    let place = Installation::with(BUILD, "");
    // What is open keeps its number from being given to another.
    let open = |path: &str| File::open(place.dir().join(path)).unwrap();
    let [in_place, renamed, remade] =
        ["update/pak01_dir.vpk", "update/pak01_001.vpk", "left4dead2/sim_remade"].map(open);
    let bytes = fs::read(place.dir().join("update/pak01_dir.vpk")).unwrap();
    place.update(BUILD + 1, "");
    let is_same = |old: &File, path: &str| old.metadata().unwrap().ino() == open(path).metadata().unwrap().ino();
    assert!(is_same(&in_place, "update/pak01_dir.vpk"));
    assert_ne!(fs::read(place.dir().join("update/pak01_dir.vpk")).unwrap(), bytes);
    assert!(!is_same(&renamed, "update/pak01_001.vpk") && !is_same(&remade, "left4dead2/sim_remade"));
}

#[test]
fn an_update_that_got_half_way_is_finished_by_the_next() {
    let place = Installation::with(BUILD, "");
    let before = place.content();
    let output = place.pass("windows", BUILD + 1, &[("LEFT4ME_SIM_STEAM_FAIL", "half")]);
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let half = place.content();
    let whole = Installation::with(BUILD + 1, "").content();
    assert!(half != before && half != whole);
    assert!(
        half[Path::new("steamapps/appmanifest_222860.acf")] == before[Path::new("steamapps/appmanifest_222860.acf")]
    );
    place.update(BUILD + 1, "");
    assert!(place.content() == whole);
}
