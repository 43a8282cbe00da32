//! What a build's tree holds: a function of the build's number alone, with everything that an update may do to a tree
//! from one number to the next.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::APP;

/// The build that is brought unless `LEFT4ME_SIM_BUILD` says otherwise.
pub(super) const BUILD: u64 = 9_450_001;

/// After so many builds all names have been there: 60 is a multiple of every cycle below.
const CYCLE: u64 = 60;

const MIB: u64 = 1 << 20;

/// Where the bulk lies, in directories of 100 files of 1 MiB.
pub(super) const BULK: &str = "left4dead2/sim_bulk";

/// One of so many files of the bulk changes from build to build.
const BULK_CYCLE: u64 = 32;

/// The script that starts the game: like the real one it goes to its own directory, and with `-norestart` it becomes the
/// game; without, it would start it again for ever.
const SRCDS_RUN: &str = r#"#!/bin/sh
# SIMULATED srcds_run (srcds-sim)
cd "$(dirname "$0")" || exit 1
norestart=no
for arg in "$@"; do [ "$arg" = -norestart ] && norestart=yes; done
[ "$norestart" = yes ] && exec ./srcds_linux "$@"
while :; do
    ./srcds_linux "$@" && break
    echo "Server restart in 10 seconds"
    sleep 10
done
"#;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A directory; without a mode it is any.
    Directory {
        mode: Option<u32>,
    },
    /// A directory that is removed and made anew whenever anything in it changes.
    Remade,
    File {
        bytes: Bytes,
        mode: u32,
        how: How,
    },
    Link(String),
}

/// How a file is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// A new file takes the old one's place.
    Rename,
    /// The blocks that differ are written into the old one.
    InPlace,
}

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bytes {
    Text(String),
    /// A block of such a size for each seed.
    Blocks {
        seeds: Vec<u64>,
        size: u64,
    },
    /// This program.
    Program,
}

impl Bytes {
    pub(super) fn read(&self) -> std::io::Result<Vec<u8>> {
        Ok(match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Blocks { seeds, size } => {
                let mut bytes = Vec::new();
                for seed in seeds {
                    add_block(&mut bytes, *seed, *size);
                }
                bytes
            }
            Self::Program => fs::read("/proc/self/exe")?,
        })
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Blocks { seeds, size } => seeds.len() as u64 * size,
            Self::Program => fs::metadata("/proc/self/exe").map_or(0, |metadata| metadata.len()),
        }
    }
}

/// Bytes that no file system can compress: SplitMix64.
fn add_block(bytes: &mut Vec<u8>, seed: u64, size: u64) {
    for n in 1..=size / 8 {
        let z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
}

/// FNV-1a of a path and a version of what lies there.
fn seed(path: &str, version: u64) -> u64 {
    let bytes = path.bytes().chain(version.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The version that the game of a build says it is.
pub(super) fn version(build: u64) -> String {
    build.checked_sub(BUILD).map_or_else(|| format!("2.2.3.{build}"), |later| format!("2.2.4.{}", 3 + later))
}

/// What one pass brings of a build, by path.
#[derive(Debug, Default, Clone)]
pub(super) struct Tree(pub(super) BTreeMap<PathBuf, Item>);

impl Tree {
    /// `bulk` is in MiB.
    pub(super) fn new(platform: &str, build: u64, bulk: u64) -> Self {
        let mut tree = Self::default();
        tree.add_stock(build);
        if platform == "windows" {
            tree.text("srcds.exe", "MZ simulated\n".to_owned(), 0o644);
        } else {
            tree.text("srcds_run", SRCDS_RUN.to_owned(), 0o755);
            tree.file("srcds_linux", Bytes::Program, 0o755, How::Rename);
            tree.text("bin/steamclient.so", "simulated\n".to_owned(), 0o755);
        }
        // Versions begin far enough from 0 to look back.
        let n = build.wrapping_add(CYCLE);
        tree.add_files(n);
        tree.add_directories(n);
        tree.add_kinds(n);
        for number in 0..bulk {
            let cycle = BULK_CYCLE.min(bulk);
            let version = (n + number % cycle) / cycle;
            tree.made(&bulk_file(number), version, MIB);
        }
        tree
    }

    /// Every path that any build has, but for the bulk.
    pub(super) fn ever(platform: &str) -> Vec<PathBuf> {
        let mut paths: Vec<_> = (0..CYCLE).flat_map(|build| Self::new(platform, build, 0).0.into_keys()).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// What whoever looks at an installation looks for.
    fn add_stock(&mut self, build: u64) {
        let version = version(build);
        for (path, content) in [
            (
                "left4dead2/steam.inf",
                format!(
                    "PatchVersion={version}\nProductName=left4dead2\nappID=550\nServerAppID={APP}\nBuild={build}\n"
                )
                .as_str(),
            ),
            ("left4dead2/gameinfo.txt", "\"GameInfo\"\n{\n\tgame \"Left 4 Dead 2\"\n}\n"),
            ("left4dead2/motd.txt", "the installation's message of the day\n"),
            ("left4dead2/cfg/server.cfg", "// the installation's own server.cfg\nhostname \"stock\"\n"),
            ("left4dead2/cfg/config_default.cfg", "sv_cheats 0\n"),
            ("left4dead2/maps/c1m1_hotel.bsp", "VBSP simulated\n"),
            ("left4dead2/addons/readme.txt", "addons go here\n"),
            ("left4dead2/pak01_dir.vpk", "simulated\n"),
        ] {
            self.text(path, content.to_owned(), 0o644);
        }
    }

    /// Files that stay, change, come and go, each at its own pace.
    fn add_files(&mut self, n: u64) {
        for number in 0..10 {
            self.made(&format!("left4dead2/materials/sim/{number}.vtf"), 0, 1024);
        }
        self.made("update/pak01_001.vpk", n, 8192);
        for number in 0..3 {
            self.made(&format!("left4dead2/scripts/vscripts/sim_{number}.nut"), (n + number) / 3, 1024);
        }
        for (version, name) in [(n / 2, "with spaces.txt"), (n, "-dash.txt"), (n / 3, "Schöner Name 名前.txt")] {
            self.made(&format!("left4dead2/resource/{name}"), version, 512);
        }
        // Three of ten: one comes, one goes.
        for age in 0..3 {
            let number = n - age;
            self.made(&format!("left4dead2/maps/c{}m9_sim.bsp", number % 10), number, 2048);
        }
        // One block of four.
        let path = "update/pak01_dir.vpk";
        let seeds = (0..4).map(|block| seed(path, (n + block) / 4 * 4 + block)).collect();
        self.file(path, Bytes::Blocks { seeds, size: 4096 }, 0o644, How::InPlace);
        let [mode, other] = [n % 3, n % 2].map(|n| [0o644, 0o755, 0o444][usize::try_from(n).unwrap_or(0)]);
        for (path, mode) in [("bin/sim_tool.sh", mode), ("bin/sim_other.sh", other)] {
            self.text(path, "#!/bin/sh\necho simulated\n".to_owned(), mode);
        }
    }

    /// Directories that come and go, change their mode, and are others of the same name.
    fn add_directories(&mut self, n: u64) {
        for number in [n, n - 1] {
            let dir = format!("left4dead2_dlc{}", number % 6);
            for file in ["pak01_dir.vpk", "maps/a.bsp", "maps/b.bsp", "maps/deep/er/c.nav"] {
                self.made(&format!("{dir}/{file}"), number, 512);
            }
        }
        let mode = Some(if n.is_multiple_of(2) { 0o755 } else { 0o775 });
        self.0.insert("left4dead2/scripts/vscripts".into(), Item::Directory { mode });
        let generation = n / 2;
        self.0.insert("left4dead2/sim_remade".into(), Item::Remade);
        for name in ["same.txt", "deep/same.txt"] {
            self.made(&format!("left4dead2/sim_remade/{name}"), generation, 512);
        }
        self.made(&format!("left4dead2/sim_remade/{}.txt", generation % 5), 0, 512);
        self.made(&format!("left4dead2/sim_remade/deep/only_{}.txt", generation % 3), 0, 512);
    }

    /// Paths at which something of another kind lies from build to build.
    fn add_kinds(&mut self, n: u64) {
        let flips = "left4dead2/media/flips";
        if n.is_multiple_of(2) {
            self.made(flips, n, 512);
        } else {
            self.made(&format!("{flips}/a.bik"), n, 512);
            self.made(&format!("{flips}/deep/b.bik"), 0, 512);
        }
        let turns = "left4dead2/media/turns";
        match n % 3 {
            0 => self.made(turns, n, 512),
            1 => self.made(&format!("{turns}/a.bik"), 0, 512),
            _ => self.link(turns, format!("../materials/sim/{}.vtf", n % 10)),
        }
        for number in 0..4 {
            self.made(&format!("bin/libsim.so.{number}"), 0, 512);
        }
        self.link("bin/libsim.so", format!("libsim.so.{}", n % 4));
    }

    fn made(&mut self, path: &str, version: u64, size: u64) {
        self.file(path, Bytes::Blocks { seeds: vec![seed(path, version)], size }, 0o644, How::Rename);
    }

    fn text(&mut self, path: &str, text: String, mode: u32) {
        self.file(path, Bytes::Text(text), mode, How::Rename);
    }

    fn file(&mut self, path: &str, bytes: Bytes, mode: u32, how: How) {
        self.put(path, Item::File { bytes, mode, how });
    }

    fn link(&mut self, path: &str, target: String) {
        self.put(path, Item::Link(target));
    }

    /// With the directories that it lies in.
    fn put(&mut self, path: &str, item: Item) {
        for parent in Path::new(path).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            self.0.entry(parent.to_owned()).or_insert(Item::Directory { mode: None });
        }
        self.0.insert(path.into(), item);
    }
}

fn bulk_file(number: u64) -> String {
    format!("{BULK}/{:03}/pak_{number:05}.vpk", number / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_build_is_the_known_version() {
        assert_eq!([BUILD - 1, BUILD, BUILD + 1].map(version), ["2.2.3.9450000", "2.2.4.3", "2.2.4.4"]);
    }

    #[test]
    fn each_of_twenty_updates_changes_something_of_every_kind_now_and_then() {
        let mut seen = std::collections::BTreeSet::new();
        for build in BUILD..BUILD + 20 {
            let [old, new] = [build, build + 1].map(|build| Tree::new("linux", build, 0).0);
            let gone = old.keys().filter(|path| !new.contains_key(*path));
            let come = new.keys().filter(|path| !old.contains_key(*path));
            let kinds = gone.map(|path| ("gone", &old[path])).chain(come.map(|path| ("new", &new[path])));
            let mut of_this: Vec<String> = kinds.map(|(what, item)| format!("{what} {}", kind(item))).collect();
            for (path, item) in &new {
                match old.get(path) {
                    Some(before) if before != item => of_this.push(format!("{} becomes {}", kind(before), kind(item))),
                    _ => {}
                }
            }
            assert!(
                ["gone file", "new file", "gone directory", "new directory", "file becomes file"]
                    .iter()
                    .all(|what| of_this.iter().any(|has| has == what)),
                "{build}: {of_this:?}"
            );
            seen.extend(of_this);
        }
        for what in [
            "file becomes directory",
            "directory becomes file",
            "link becomes link",
            "directory becomes directory",
            "directory becomes link",
            "link becomes file",
        ] {
            assert!(seen.contains(what), "{what} is not in {seen:?}");
        }
    }

    fn kind(item: &Item) -> &'static str {
        match item {
            Item::Directory { .. } | Item::Remade => "directory",
            Item::File { .. } => "file",
            Item::Link(_) => "link",
        }
    }
}
