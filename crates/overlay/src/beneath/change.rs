//! Making, replacing, renaming and removing in a directory, by its descriptor; and putting it on disk.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, mkdirat, renameat_with, syncfs, unlinkat};
use rustix::io::Errno;

use super::Dir;
use crate::error::{Context, Error, Result};
use crate::remove;

/// What the name of a file begins with as long as it is being put in its place: one that was killed leaves it.
pub const TEMPORARY: &str = ".left4me-";

impl Dir {
    /// Makes the directory `name` where it is missing, and opens it. Something else of that name is an error.
    pub fn make_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let name = name.as_ref();
        match mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => self.open_dir(name),
            Err(errno) => Err(Error::kernel(format!("can't make {}", self.label_of(name)), errno)),
        }
    }

    /// Opens the directory `name`, making it, also in place of anything else: a file, a link, or overlayfs' mark of a
    /// deletion. One whose mode keeps its own owner out is opened up.
    pub fn replace_with_dir(&self, name: &str, mode: u32) -> Result<Self> {
        match mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) => return self.open_dir(name),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::kernel(format!("can't make {}", self.label_of(name)), errno)),
        }
        match self.open_dir_writable(name) {
            Err(error) if matches!(error.errno(), Some(Errno::LOOP | Errno::NOTDIR | Errno::NXIO)) => {
                self.remove(name)?;
                self.create_dir(name, mode)
            }
            other => other,
        }
    }

    /// Opens a directory of one's own to write to it: one whose mode keeps its owner out is opened up. With a mount on it
    /// the error is `EXDEV`.
    pub fn open_dir_writable(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        remove::open_writable(self, name.as_ref())
    }

    /// Sees to it that `name` can be moved elsewhere: to a directory that is to write to its `..`, so one whose mode keeps
    /// its owner out is opened up.
    pub fn make_movable(&self, name: impl AsRef<OsStr>) -> Result<()> {
        remove::open_up(self, name.as_ref())
    }

    /// Makes every missing directory of the relative `path`, and opens the last.
    pub fn make_dirs(&self, path: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let mut dir = self.open_dir(".")?;
        dir.label.clone_from(&self.label);
        for component in path.as_ref() {
            dir = dir.make_dir(component, mode)?;
        }
        Ok(dir)
    }

    /// Makes the directory `name`, which must not exist, and opens it.
    pub fn create_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let name = name.as_ref();
        mkdirat(&self.fd, name, Mode::from_raw_mode(mode)).context(|| format!("can't make {}", self.label_of(name)))?;
        self.open_dir(name)
    }

    /// Writes the new file `name`; an existing one is an error.
    pub fn create_file(&self, name: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<File> {
        let name = name.as_ref();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let fd = self.open(name, flags, Mode::from_raw_mode(mode), ResolveFlags::empty())?;
        let mut file = File::from(fd);
        file.write_all(bytes).map_err(|e| self.io("can't write", name, &e))?;
        Ok(file)
    }

    /// Puts a file with these bytes at `name`, whatever was there (a link is replaced, not followed; a directory is
    /// removed with all that is in it). It is there whole or not at all, and on disk when this returns.
    pub fn put_file(&self, name: &OsStr, bytes: &[u8], mode: u32) -> Result<()> {
        let mut temporary = OsString::from(TEMPORARY);
        temporary.push(name);
        self.remove(&temporary)?;
        let file = self.create_file(&temporary, bytes, mode)?;
        file.sync_all().map_err(|e| self.io("can't sync", Path::new(&temporary), &e))?;
        match self.rename(&temporary, self, name) {
            Err(error) if error.errno() == Some(Errno::ISDIR) => {
                self.remove(name)?;
                self.rename(&temporary, self, name)?;
            }
            other => other?,
        }
        self.sync()
    }

    /// Renames `name` here to `to_name` in `to`, replacing a file of that name.
    pub fn rename(&self, name: impl AsRef<OsStr>, to: &Self, to_name: impl AsRef<OsStr>) -> Result<()> {
        self.rename_with(name.as_ref(), to, to_name.as_ref(), RenameFlags::empty())
    }

    /// Renames `name` to `to_name` in `to`; anything of that name there is an error (`EEXIST`).
    pub fn rename_new(&self, name: impl AsRef<OsStr>, to: &Self, to_name: impl AsRef<OsStr>) -> Result<()> {
        self.rename_with(name.as_ref(), to, to_name.as_ref(), RenameFlags::NOREPLACE)
    }

    /// Swaps `name` here with `to_name` in `to`: at no moment is either missing.
    pub fn exchange(&self, name: impl AsRef<OsStr>, to: &Self, to_name: impl AsRef<OsStr>) -> Result<()> {
        self.rename_with(name.as_ref(), to, to_name.as_ref(), RenameFlags::EXCHANGE)
    }

    fn rename_with(&self, name: &OsStr, to: &Self, to_name: &OsStr, flags: RenameFlags) -> Result<()> {
        renameat_with(&self.fd, name, &to.fd, to_name, flags)
            .context(|| format!("can't rename {} to {}", self.label_of(name), to.label_of(to_name)))
    }

    /// Removes `name` and, if it is a directory, all that is in it, never through a link and never on another file
    /// system. Says whether something was there.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        remove::remove(self, name.as_ref())
    }

    /// Removes all that is in the directory, and leaves itself.
    pub fn remove_contents(&self) -> Result<()> {
        remove::remove_contents(self, None)
    }

    /// The same, for somebody who may be filling it meanwhile: gives up at `deadline`.
    pub fn remove_contents_until(&self, deadline: Instant) -> Result<()> {
        remove::remove_contents(self, Some(deadline))
    }

    /// Removes the empty directory `name`.
    pub fn remove_empty_dir(&self, name: impl AsRef<OsStr>) -> rustix::io::Result<()> {
        unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR)
    }

    /// Removes the file, link, FIFO, socket or device `name`.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> rustix::io::Result<()> {
        unlinkat(&self.fd, name.as_ref(), AtFlags::empty())
    }

    /// Puts the directory itself on disk (the names in it, not what they stand for).
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).context(|| format!("can't sync {}", self.label))
    }

    /// Puts the whole file system on disk. A renamed directory without it is full of empty files after a power cut.
    pub fn sync_file_system(&self) -> Result<()> {
        syncfs(&self.fd).context(|| format!("can't sync the file system of {}", self.label))
    }
}
