//! The kernel as the judge: what [`merge`] says of layers, and what a layer of [`difference`] brings about when it is laid
//! down, is what a mount of them shows. Layers by chance, small and dense, so that every kind meets every other.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use overlay::beneath::Dir;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use super::lay::{How, lay};
use super::manifest::{Entry, Manifest};
use super::merge::{Merged, difference, merge};
use super::scan::{OPAQUE, scan};

const STACKS: usize = 30;

/// xorshift64*: the same stacks in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

/// Fills a directory; `marks`: also with whiteouts and opaque directories, needed or not.
fn fill(dir: &Path, chance: &mut Chance, depth: u64, marks: bool) {
    for name in ["a", "b", "c"] {
        let path = dir.join(name);
        match chance.below(if marks { 12 } else { 10 }) {
            0..3 => {}
            3 | 4 => {
                // The length tells contents apart, here and below.
                fs::write(&path, "x".repeat(usize::try_from(chance.below(3)).unwrap())).unwrap();
                fs::set_permissions(&path, Permissions::from_mode([0o644, 0o755][usize::from(chance.below(2) == 0)]))
                    .unwrap();
            }
            5 => symlink(["t", "tt"][usize::from(chance.below(2) == 0)], &path).unwrap(),
            10 | 11 => mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap(),
            _ => {
                fs::create_dir(&path).unwrap();
                if marks && chance.below(4) == 0 {
                    setxattr(&path, OPAQUE, b"y", XattrFlags::empty()).unwrap();
                }
                if depth > 0 {
                    fill(&path, chance, depth - 1, marks);
                }
                fs::set_permissions(&path, Permissions::from_mode([0o700, 0o755][usize::from(chance.below(2) == 0)]))
                    .unwrap();
            }
        }
    }
}

/// What `find` prints below for the same tree.
fn print(tree: &Merged) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (path, (_, entry)) in tree {
        let mut line = match entry {
            Entry::Dir { mode, .. } => format!("d {mode:o} "),
            Entry::File { mode, size, .. } => format!("f {mode:o} {size} "),
            Entry::Link { size, .. } => format!("l {size} "),
            Entry::Whiteout => "a mark ".to_owned(),
        };
        write!(line, "{}", std::str::from_utf8(path).unwrap()).unwrap();
        lines.push(line);
    }
    lines.sort();
    lines.join("\n")
}

const MOUNT_AND_LOOK: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1/mnt"
mkdir "$1/mnt/m"
for stack in "$1"/*/lower; do
    mount -t overlay -o "userxattr,index=off,metacopy=off,redirect_dir=nofollow,xino=off,lowerdir=$(cat "$stack")" l "$1/mnt/m"
    find "$1/mnt/m" -mindepth 1 \( -type d -printf 'd %m %P\n' -o -type f -printf 'f %m %s %P\n' \
        -o -type l -printf 'l %s %P\n' -o -printf 'a mark %P\n' \) | LC_ALL=C sort > "${stack%lower}shown"
    umount "$1/mnt/m"
done
"#;

#[test]
fn a_mount_shows_what_the_manifests_say() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().canonicalize().unwrap();
    let root = Dir::open_root(&path).unwrap();
    root.make_dir("mnt", 0o755).unwrap();
    let look = |dir: &Dir| scan(dir, &mut |_, _| {}).unwrap();
    let mut chance = Chance(0x5eed);
    let mut expected = Vec::new();
    for number in 0..STACKS {
        let stack = root.make_dir(number.to_string(), 0o755).unwrap();
        let at = path.join(number.to_string());
        // The lowest layer is a game, without marks; the others are any layers, and the highest two are made of one tree.
        let count = 2 + chance.below(3);
        let mut layers = Vec::new();
        for layer in (0..count).map(|layer| layer.to_string()) {
            let dir = stack.make_dir(&layer, 0o755).unwrap();
            fill(&at.join(&layer), &mut chance, 2, layer != "0");
            layers.insert(0, dir);
        }
        let manifests: Vec<Manifest> = layers.iter().map(look).collect();
        let merged = merge(&manifests.iter().collect::<Vec<_>>());
        expect(&path, &format!("{number}"), &layers, print(&merged), &mut expected);

        // An update: the layer that makes another tree of this.
        let below = Manifest::of(&merged);
        let tree = stack.make_dir("tree", 0o755).unwrap();
        fill(&at.join("tree"), &mut chance, 2, false);
        let tree_is = look(&tree);
        let layer = difference(&below, &tree_is);
        let made = stack.make_dir("made", 0o755).unwrap();
        lay(&layer.0.iter().map(|(path, &entry)| (path.clone(), (0, entry))).collect(), &[tree], &made, How::Link)
            .unwrap();
        assert_eq!(look(&made), layer);
        let mut updated = vec![made];
        updated.extend(layers.iter().map(|dir| dir.open_dir(".").unwrap()));
        let shown = print(&merge(&[&tree_is]));
        expect(&path, &format!("{number}-updated"), &updated, shown.clone(), &mut expected);

        // A fold: one layer for all but the lowest, from those that it is made of.
        let manifests: Vec<Manifest> = updated.iter().map(look).collect();
        let merged = merge(&manifests.iter().collect::<Vec<_>>());
        let lowest = manifests.last().unwrap();
        let layer = difference(lowest, &Manifest::of(&merged));
        let sources =
            layer.0.iter().map(|(path, &entry)| (path.clone(), (merged.get(path).map_or(0, |found| found.0), entry)));
        let folded = stack.make_dir("folded", 0o755).unwrap();
        lay(&sources.collect(), &updated, &folded, How::Link).unwrap();
        let folded = [folded, layers.pop().unwrap()];
        expect(&path, &format!("{number}-folded"), &folded, shown, &mut expected);
    }
    let looked = Command::new("unshare").args(["-rm", "sh", "-c", MOUNT_AND_LOOK, "sh"]).arg(&path).output().unwrap();
    assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
    for (name, expected) in expected {
        let shown = fs::read_to_string(path.join(&name).join("shown")).unwrap();
        // A mark that marks nothing is listed where only one layer has the directory, though it can't be opened. Layers of
        // ours have none such: all of a fold are.
        let is_there = |line: &&str| name.ends_with("folded") || !line.starts_with("a mark");
        assert_eq!(shown.lines().filter(is_there).collect::<Vec<_>>().join("\n"), expected, "stack {name}");
    }
}

/// Has `layers` mounted together, and `shown` expected of that.
fn expect(at: &Path, name: &str, layers: &[Dir], shown: String, expected: &mut Vec<(String, String)>) {
    let dir = at.join(name);
    fs::create_dir_all(&dir).unwrap();
    let lower: Vec<&str> = layers.iter().map(|dir| dir.label().trim_end_matches("/.")).collect();
    fs::write(dir.join("lower"), lower.join(":")).unwrap();
    expected.push((name.to_owned(), shown));
}
