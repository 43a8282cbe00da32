//! Root's files around the root directory, which nothing may change or show.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// What every canary has in it.
pub(super) const SECRET: &str = "canary";

/// Names that the helper uses, as they could be looked for from a place that a link leads to.
pub(super) const NAMES: [&str; 24] = [
    "installation",
    "overlays/a",
    "overlays/b/c",
    "a",
    "b/c",
    "c",
    "instances/one/staged",
    "instances/two/staged",
    "one/staged",
    "two/staged",
    "staged",
    "runtime/one/upper",
    "runtime/one/work/work",
    "runtime/one/merged",
    "runtime/two/work/work",
    "one/upper",
    "one/work/work",
    "one/merged",
    "two/work/work",
    "upper",
    "work/work",
    "work/deep/er",
    "merged",
    "left4dead2/cfg",
];

/// A canary at each name below `place`.
pub(super) fn plant(place: &Path) -> Result<()> {
    for name in NAMES {
        let directory = place.join(name);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("file"), SECRET)?;
        fs::write(directory.join("server.cfg"), SECRET)?;
        fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(0o600))?;
        if name.ends_with("staged") {
            fs::write(directory.join("layers"), "overlay a\ninstallation\n")?;
        }
    }
    Ok(fs::write(place.join("layers"), "overlay a\ninstallation\n")?)
}

/// All that could be changed of a file: what it is, whose, where its bytes are, and when it was touched.
#[derive(Debug, PartialEq, Eq)]
struct State {
    numbers: [i128; 11],
    content: Vec<u8>,
}

/// Everything below `/` but the kernel's own, what the helper writes for root, and what is the attacker's.
#[derive(Debug)]
pub(super) struct Snapshot(BTreeMap<PathBuf, State>);

impl Snapshot {
    pub(super) fn take() -> Result<Self> {
        let mut found = BTreeMap::new();
        look(Path::new("/"), &mut found)?;
        Ok(Self(found))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a file or directory of the snapshot is this one.
    pub(super) fn has(&self, device: u64, inode: u64) -> bool {
        self.0.values().any(|state| state.numbers[..2] == [i128::from(device), i128::from(inode)])
    }

    /// What is not as it was.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(now.0.keys().filter(|path| !self.0.contains_key(*path)));
        let changed = paths.filter(|path| self.0.get(*path) != now.0.get(*path));
        changed.map(|path| format!("{}: {:?}, was {:?}", path.display(), now.0.get(path), self.0.get(path))).collect()
    }
}

fn look(path: &Path, found: &mut BTreeMap<PathBuf, State>) -> Result<()> {
    const NOT: [&str; 4] = ["/proc", "/run", super::ROOT, super::ATTIC];
    if NOT.iter().any(|not| path == Path::new(not)) {
        return Ok(());
    }
    let is = fs::symlink_metadata(path)?;
    // A file that the attacker has a hard link to is touched by a rename of that, and by nothing else.
    let linked = is.is_file() && is.nlink() > 1;
    let ctime = if linked { (0, 0) } else { (is.ctime(), is.ctime_nsec()) };
    let numbers = [
        is.dev().into(),
        is.ino().into(),
        is.mode().into(),
        is.nlink().into(),
        is.uid().into(),
        is.gid().into(),
        is.size().into(),
        is.mtime().into(),
        is.mtime_nsec().into(),
        ctime.0.into(),
        ctime.1.into(),
    ];
    let content = if is.is_file() { fs::read(path)? } else { Vec::new() };
    found.insert(path.to_owned(), State { numbers, content });
    if is.is_dir() {
        for entry in fs::read_dir(path)? {
            look(&entry?.path(), found)?;
        }
    }
    Ok(())
}
