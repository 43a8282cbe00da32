//! Laying a merged tree down, from the layers that it was merged from.
//!
//! By link where both lie on one file system and nobody writes to either: no layer is ever written to, so a second name of
//! its files costs nothing and changes nothing. By copy, on file systems that can with shared blocks, for a tree that
//! SteamCMD will write to.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use overlay::beneath::Dir;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, XattrFlags, fchmod, fsetxattr, ioctl_ficlone, linkat, mkdirat, mknodat, openat,
    readlinkat, symlinkat,
};
use rustix::io::Errno;

use super::manifest::{Entry, as_path};
use super::merge::Merged;
use super::scan::OPAQUE;
use crate::{Error, Result};

/// How the files of a layer come into a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// As second names of the same files.
    Link,
    /// As files of their own.
    Copy,
}

/// Lays `merged` down in the empty directory `to`. `layers` are those that it was merged from, in the same order.
pub(crate) fn lay(merged: &Merged, layers: &[Dir], to: &Dir, how: How) -> Result<()> {
    let mut place = Place { parent: Vec::new(), to: to.open_dir(".")?, from: None };
    let mut dirs = Vec::new();
    for (path, &(number, entry)) in merged {
        place.enter(parent(path), to)?;
        let name = name(path);
        let failed = |errno: Errno| Error::io(format!("can't make {}", to.label_of(as_path(path))), errno.into());
        match entry {
            Entry::Dir { mode, opaque } => {
                // Open to us until all that is in it is there.
                mkdirat(&place.to, name, Mode::from_raw_mode(0o700)).map_err(failed)?;
                dirs.push((path, mode, opaque));
            }
            Entry::Whiteout => {
                mknodat(&place.to, name, FileType::CharacterDevice, Mode::empty(), 0).map_err(failed)?;
            }
            Entry::File { .. } | Entry::Link { .. } => {
                let (from, to) = place.pair(number, &layers[number])?;
                match how {
                    How::Link => linkat(from, name, to, name, AtFlags::empty()).map_err(failed)?,
                    How::Copy => copy(from, to, name, entry)?,
                }
            }
        }
    }
    for (path, mode, opaque) in dirs.into_iter().rev() {
        let dir = to.open_dir(as_path(path))?;
        let failed = |errno: Errno| Error::io(format!("can't set the mode of {}", dir.label()), errno.into());
        if opaque {
            fsetxattr(&dir, OPAQUE, b"y", XattrFlags::empty()).map_err(failed)?;
        }
        fchmod(&dir, Mode::from_raw_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Whether a copy of this tree in `to` would share its blocks with the layers, tried with one of its files.
pub(crate) fn can_share(merged: &Merged, layers: &[Dir], to: &Dir) -> Result<bool> {
    const TRIED: &str = "tried";
    let file = merged.iter().find(|(_, (_, entry))| matches!(entry, Entry::File { size: 1.., .. }));
    let Some((path, (number, _))) = file else { return Ok(true) };
    let source = layers[*number].open_file(as_path(path))?;
    let copy = to.open_or_create(TRIED, 0o600)?;
    let shared = ioctl_ficlone(&copy, &source).is_ok();
    to.remove(TRIED)?;
    Ok(shared)
}

/// The directory that is being filled, and its counterpart in a layer.
struct Place {
    parent: Vec<u8>,
    to: Dir,
    from: Option<(usize, Dir)>,
}

impl Place {
    fn enter(&mut self, parent: &[u8], to: &Dir) -> Result<()> {
        if self.parent != parent {
            *self = Self { parent: parent.to_vec(), to: open(to, parent)?, from: None };
        }
        Ok(())
    }

    /// Where it is taken from, and where it comes to.
    fn pair(&mut self, number: usize, layer: &Dir) -> Result<(&Dir, &Dir)> {
        let opened = match self.from.take() {
            Some((same, dir)) if same == number => dir,
            _ => open(layer, &self.parent)?,
        };
        Ok((&self.from.insert((number, opened)).1, &self.to))
    }
}

fn open(dir: &Dir, path: &[u8]) -> Result<Dir> {
    let path = if path.is_empty() { Path::new(".") } else { as_path(path) };
    Ok(dir.open_dir(path)?)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(&[], |end| &path[..end])
}

fn name(path: &[u8]) -> &OsStr {
    as_path(path).file_name().unwrap_or_default()
}

fn copy(from: &Dir, to: &Dir, name: &OsStr, entry: Entry) -> Result<()> {
    let failed = |errno: Errno| Error::io(format!("can't make {}", to.label_of(name)), errno.into());
    let Entry::File { mode, .. } = entry else {
        let target = readlinkat(from, name, Vec::new()).map_err(failed)?;
        return symlinkat(target, to, name).map_err(failed);
    };
    let source = from.open_file(name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut copy = File::from(openat(to, name, flags, Mode::from_raw_mode(0o600)).map_err(failed)?);
    if ioctl_ficlone(&copy, &source).is_err() {
        // Not on this file system, or not between these: any other reason shows again here.
        std::io::copy(&mut &source, &mut copy)
            .map_err(|e| Error::io(format!("can't copy to {}", to.label_of(name)), e))?;
    }
    fchmod(&copy, Mode::from_raw_mode(mode)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::generations::manifest::Manifest;
    use crate::generations::merge::{difference, merge};
    use crate::generations::scan::scan;

    fn look(tree: &Dir) -> Manifest {
        scan(tree, &mut |_, _| {}).unwrap()
    }

    #[test]
    fn a_tree_is_what_was_merged_either_way() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::open_root(&scratch.path().canonicalize().unwrap()).unwrap();
        let path = |name: &str| scratch.path().join(name);
        for dir in ["base/d/e", "base/gone", "base/f", "upper/d", "upper/closed"] {
            fs::create_dir_all(path(dir)).unwrap();
        }
        let files = [
            ("base/d/e/1", "1"),
            ("base/d/2", "2"),
            ("base/gone/3", "3"),
            ("upper/d/2", "22"),
            ("upper/closed/4", "4"),
            ("upper/f", "f"),
        ];
        for (file, text) in files {
            fs::write(path(file), text).unwrap();
        }
        fs::set_permissions(path("upper/closed"), fs::Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(path("base/d/2"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("nowhere", path("upper/link")).unwrap();
        mknodat(rustix::fs::CWD, path("upper/gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        let layers = [root.open_dir("upper").unwrap(), root.open_dir("base").unwrap()];
        let (upper, base) = (look(&layers[0]), look(&layers[1]));
        let merged = merge(&[&upper, &base]);
        let open_again = |tree: &str| {
            fs::set_permissions(path(tree).join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        };
        for how in [How::Link, How::Copy] {
            let to = root.create_dir("whole", 0o755).unwrap();
            lay(&merged, &layers, &to, how).unwrap();
            assert_eq!(look(&to), Manifest::of(&merged), "{how:?}");
            let inode = |name: &str| fs::metadata(path(name)).unwrap().ino();
            assert_eq!(inode("whole/d/e/1") == inode("base/d/e/1"), how == How::Link);
            // And the layer that makes this of what is below, marks included.
            let layer = difference(&base, &Manifest::of(&merged));
            let sources = layer.0.iter().map(|(path, &entry)| (path.clone(), (0, entry))).collect();
            let again = root.create_dir("layer", 0o755).unwrap();
            lay(&sources, &[to], &again, how).unwrap();
            assert_eq!(look(&again), layer);
            assert_eq!(Manifest::of(&merge(&[&layer, &base])), Manifest::of(&merged));
            for tree in ["whole", "layer"] {
                open_again(tree);
                root.remove(tree).unwrap();
            }
        }
        open_again("upper");
    }
}
