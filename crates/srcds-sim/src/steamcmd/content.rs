//! Laying down a build: what is there already and the same is left alone, what does not belong to the build is removed,
//! and files of others stay. Afterwards it does not show which build was there before.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::manifest;
use super::tree::{BULK, Bytes, How, Item, Tree};

/// Where new files are made, as the real one does, before they are moved to their places.
const STAGING: &str = "steamapps/downloading/222860";

/// Lays down what one pass brings, or only the first `limit` of the changes; says whether that was all.
pub(super) fn lay_down(dir: &Path, platform: &str, build: u64, bulk: u64, limit: Option<usize>) -> io::Result<bool> {
    let (tree, mut own) = (Tree::new(platform, build, bulk), Tree::ever(platform));
    own.extend(find_bulk(dir)?);
    let mut place = Place { dir, left: limit.unwrap_or(usize::MAX) };
    let whole = place.remove(&tree, &own)? && place.bring(&tree)?;
    if whole {
        let manifest = Item::File { bytes: Bytes::Text(manifest::text(build)), mode: 0o644, how: How::Rename };
        if !place.is_there(Path::new(manifest::PATH), &manifest)? {
            place.put(Path::new(manifest::PATH), &manifest)?;
        }
        place.remove_staging()?;
    }
    Ok(whole)
}

/// An installation, and how many changes to it are left to make.
struct Place<'a> {
    dir: &'a Path,
    left: usize,
}

impl Place<'_> {
    /// Removes what does not belong there, the deepest first.
    fn remove(&mut self, tree: &Tree, own: &[PathBuf]) -> io::Result<bool> {
        let remade = self.changed_directories(tree, own)?;
        let mut own: Vec<&PathBuf> = own.iter().collect();
        own.sort();
        for path in own.into_iter().rev() {
            let Some(there) = look(&self.dir.join(path))? else { continue };
            let wanted = tree.0.get(path);
            let is_kind = wanted.is_some_and(|wanted| same_kind(wanted, &there));
            if is_kind && !remade.iter().any(|dir| path.starts_with(dir)) {
                continue;
            }
            if !self.may_change() {
                return Ok(false);
            }
            if !there.is_dir() {
                fs::remove_file(self.dir.join(path))?;
                continue;
            }
            match fs::remove_dir(self.dir.join(path)) {
                // Somebody else's files lie in it.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && (is_kind || wanted.is_none()) => {}
                removed => removed?,
            }
        }
        Ok(true)
    }

    /// The directories that are made anew, as something in them is not what it should be.
    fn changed_directories<'t>(&self, tree: &'t Tree, own: &[PathBuf]) -> io::Result<Vec<&'t PathBuf>> {
        let mut changed = Vec::new();
        for (dir, _) in tree.0.iter().filter(|(_, item)| **item == Item::Remade) {
            let mut differs = false;
            for path in own.iter().filter(|path| path.starts_with(dir)) {
                differs |= match tree.0.get(path) {
                    Some(wanted) => !self.is_there(path, wanted)?,
                    None => look(&self.dir.join(path))?.is_some(),
                };
            }
            if differs {
                changed.push(dir);
            }
        }
        Ok(changed)
    }

    fn bring(&mut self, tree: &Tree) -> io::Result<bool> {
        for (path, item) in &tree.0 {
            if self.is_there(path, item)? {
                continue;
            }
            if !self.may_change() {
                return Ok(false);
            }
            self.put(path, item)?;
        }
        Ok(true)
    }

    fn may_change(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    fn is_there(&self, path: &Path, wanted: &Item) -> io::Result<bool> {
        let path = self.dir.join(path);
        let Some(there) = look(&path)?.filter(|there| same_kind(wanted, there)) else { return Ok(false) };
        let mode_is = |mode: u32| there.permissions().mode() & 0o7777 == mode;
        Ok(match wanted {
            Item::Directory { mode } => mode.is_none_or(mode_is),
            Item::Remade => true,
            Item::File { bytes, mode, .. } => mode_is(*mode) && fs::read(&path)? == bytes.read()?,
            Item::Link(target) => fs::read_link(&path)? == Path::new(target),
        })
    }

    /// Makes the path what it should be; there is nothing of another kind.
    fn put(&self, path: &Path, item: &Item) -> io::Result<()> {
        let path = self.dir.join(path);
        match item {
            Item::Directory { mode } => {
                make_dir(&path)?;
                mode.map_or(Ok(()), |mode| fs::set_permissions(&path, Permissions::from_mode(mode)))
            }
            Item::Remade => make_dir(&path),
            Item::File { bytes, mode, how } => {
                let bytes = bytes.read()?;
                let there = if look(&path)?.is_some() { Some(fs::read(&path)?) } else { None };
                match (there, how) {
                    (Some(there), _) if there == bytes => {}
                    (Some(there), How::InPlace) => write_blocks(&path, &there, &bytes)?,
                    _ => return self.move_there(&path, |new| write(new, &bytes, *mode)),
                }
                fs::set_permissions(&path, Permissions::from_mode(*mode))
            }
            Item::Link(target) => self.move_there(&path, |new| symlink(target, new)),
        }
    }

    /// Makes something new and gives it its place.
    fn move_there(&self, path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let staging = self.dir.join(STAGING);
        fs::create_dir_all(&staging)?;
        let new = staging.join("new");
        if look(&new)?.is_some() {
            // Of a run that was killed.
            fs::remove_file(&new)?;
        }
        make(&new)?;
        fs::rename(new, path)
    }

    /// Nothing of it stays when all is done.
    fn remove_staging(&self) -> io::Result<()> {
        for dir in [STAGING, "steamapps/downloading"] {
            match fs::remove_dir(self.dir.join(dir)) {
                Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty].contains(&error.kind()) => {}
                removed => removed?,
            }
        }
        Ok(())
    }
}

fn look(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn same_kind(item: &Item, there: &fs::Metadata) -> bool {
    match item {
        Item::Directory { .. } | Item::Remade => there.is_dir(),
        Item::File { .. } => there.is_file(),
        Item::Link(_) => there.is_symlink(),
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Writes into the file that is there, and only what differs.
fn write_blocks(path: &Path, there: &[u8], bytes: &[u8]) -> io::Result<()> {
    const BLOCK: usize = 4096;
    let file = OpenOptions::new().write(true).open(path)?;
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        let at = number * BLOCK;
        if there.get(at..at + block.len()) != Some(block) {
            file.write_all_at(block, at as u64)?;
        }
    }
    file.set_len(bytes.len() as u64)
}

/// What is there of the bulk, however large it was.
fn find_bulk(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(BULK)];
    while let Some(below) = open.pop() {
        match fs::read_dir(dir.join(&below)) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    let path = below.join(entry.file_name());
                    if entry.file_type()?.is_dir() {
                        open.push(path);
                    } else {
                        found.push(path);
                    }
                }
                found.push(below);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
