//! Disk space: what instances have written for themselves, and what they share.
//!
//! An upper is the game's to arrange, so it is walked by descriptor, through no link and onto no other file system, and no
//! further than to a cap: a tree that is deeper or larger, or closed, is only known to be at least so large.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use crate::{Host, Result};

/// How deep a tree is followed. Each level costs two descriptors, of which a process usually has 1024.
const DEPTH: usize = 64;

/// How many files and directories of an instance are counted. Seen: some hundred.
const PRIVATE_FILES: u32 = 100_000;

/// How many of the layers. The game has some ten thousand, and each set of mods as many again.
const SHARED_FILES: u32 = 4_000_000;

/// `st_blocks` counts in these, whatever the file system does.
const BLOCK: u64 = 512;

/// How much of a disk a tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes that are allocated: holes take none, and a file with several names in the tree counts once.
    pub bytes: u64,
    /// Not everything could be counted: it is at least so much.
    pub partial: bool,
}

/// What all instances share, once for the host. `None` is what is not there or can't be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedDiskUsage {
    /// The game as it was first installed, or folded.
    pub installation: Option<DiskUsage>,
    /// The builds above it. Files that they have in common count once, those shared with the installation here again.
    pub generations: Option<DiskUsage>,
    /// All overlays together.
    pub overlays: Option<DiskUsage>,
}

impl Host {
    /// What these instances have written for themselves: the allocated space of each upper. One whose upper is not there
    /// or can't be opened is left out. Looks at every file, so it is nothing to be asked every second.
    pub fn disk_usage(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, DiskUsage>> {
        let root = self.open_for_reading()?;
        let upper = |name: &InstanceName| root.open_dir(format!("runtime/{name}/upper")).ok();
        let usage = |name: &InstanceName| Some((name.clone(), measure(upper(name)?, PRIVATE_FILES)));
        Ok(names.iter().filter_map(usage).collect())
    }

    /// What the layers take. May take seconds.
    pub fn shared_disk_usage(&self) -> Result<SharedDiskUsage> {
        let root = self.open_for_reading()?;
        let layer = |name: &str| root.open_dir(name).ok().map(|dir| measure(dir, SHARED_FILES));
        let [installation, generations, overlays] = ["installation", "generations", "overlays"].map(layer);
        Ok(SharedDiskUsage { installation, generations, overlays })
    }
}

/// A walk through one tree.
struct Walk {
    usage: DiskUsage,
    /// How many more files are looked at.
    left: u32,
    /// Those with several names that were counted, by device and inode.
    linked: HashSet<(u64, u64)>,
}

fn measure(tree: Dir, most: u32) -> DiskUsage {
    let mut walk = Walk { usage: DiskUsage::default(), left: most, linked: HashSet::new() };
    let mut open = Vec::new();
    match fstat(&tree) {
        Ok(stat) => walk.count(&stat),
        Err(_) => walk.usage.partial = true,
    }
    walk.enter(tree, &mut open);
    while let Some((dir, entries)) = open.last_mut() {
        let Some(entry) = entries.next() else {
            open.pop();
            continue;
        };
        let Ok(entry) = entry else {
            walk.usage.partial = true;
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if walk.left == 0 {
            walk.usage.partial = true;
            break;
        }
        walk.left -= 1;
        let Some(stat) = walk.see(statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW)) else { continue };
        walk.count(&stat);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let opened = dir
                .open_dir_unmounted(OsStr::from_bytes(name.to_bytes()))
                .map_err(|error| error.errno().unwrap_or(Errno::IO));
            if let Some(below) = walk.see(opened) {
                walk.enter(below, &mut open);
            }
        }
    }
    walk.usage
}

impl Walk {
    fn enter(&mut self, dir: Dir, open: &mut Vec<(Dir, rustix::fs::Dir)>) {
        match rustix::fs::Dir::read_from(&dir) {
            Ok(entries) if open.len() < DEPTH => open.push((dir, entries)),
            _ => self.usage.partial = true,
        }
    }

    /// What was found, if anything: what is gone meanwhile, or is no directory any more, does not count.
    fn see<T>(&mut self, found: rustix::io::Result<T>) -> Option<T> {
        match found {
            Ok(found) => return Some(found),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(_) => self.usage.partial = true,
        }
        None
    }

    fn count(&mut self, stat: &Stat) {
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_directory && stat.st_nlink > 1 && !self.linked.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
        self.usage.bytes = self.usage.bytes.saturating_add(blocks.saturating_mul(BLOCK));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn measured(path: &Path, most: u32) -> DiskUsage {
        measure(Dir::open_root(&path.canonicalize().unwrap()).unwrap(), most)
    }

    /// What du(1) says of a tree, which nobody here wrote.
    fn du(path: &Path) -> u64 {
        let output = std::process::Command::new("du").args(["-s", "-B512"]).arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap() * BLOCK
    }

    #[test]
    fn what_is_allocated_is_counted_once_and_nothing_elsewhere() {
        let scratch = tempfile::tempdir().unwrap();
        let (tree, outside) = (scratch.path().join("tree"), scratch.path().join("outside"));
        for dir in [tree.join("a/b/c"), outside.clone()] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(outside.join("large"), vec![1; 1 << 20]).unwrap();
        fs::write(tree.join("a/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(tree.join("a/file"), tree.join("a/b/again")).unwrap();
        File::create(tree.join("a/b/hole")).unwrap().set_len(1 << 40).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        symlink("/dev/zero", tree.join("zero")).unwrap();
        let usage = measured(&tree, 1000);
        assert_eq!(usage, DiskUsage { bytes: du(&tree), partial: false });
        assert!((100_000..200_000).contains(&usage.bytes), "{usage:?}");
    }

    #[test]
    fn a_tree_that_is_too_deep_too_large_or_closed_is_at_least_so_large() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("many")).unwrap();
        for number in 0..20 {
            fs::write(scratch.path().join(format!("many/{number}")), vec![1; 10_000]).unwrap();
        }
        assert!(!measured(scratch.path(), 21).partial);
        let some = measured(scratch.path(), 20);
        assert!(some.partial && some.bytes > 180_000, "{some:?}");
        let mut dir = Dir::open_root(&scratch.path().canonicalize().unwrap()).unwrap();
        for _ in 0..300 {
            dir.create_file("f", &[1; 5000], 0o644).unwrap();
            dir = dir.create_dir("d", 0o755).unwrap();
        }
        let deep = measured(scratch.path(), 100_000);
        assert!(deep.partial && deep.bytes > 5000 * 60 && deep.bytes < du(scratch.path()), "{deep:?}");
        let root = Dir::open_root(&scratch.path().canonicalize().unwrap()).unwrap();
        root.remove("d").unwrap();
        assert!(!measured(scratch.path(), 100_000).partial);
        fs::set_permissions(scratch.path().join("many"), fs::Permissions::from_mode(0o000)).unwrap();
        // Root may look all the same.
        assert_eq!(measured(scratch.path(), 100_000).partial, !rustix::process::geteuid().is_root());
        fs::set_permissions(scratch.path().join("many"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
