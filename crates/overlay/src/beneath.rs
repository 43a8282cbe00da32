//! Directories and files by descriptor, never outside the directory one started from.
//!
//! Every open is `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS`: a link anywhere on the
//! way is an error (`ELOOP`), as is `..` (`EXDEV`). What was opened is used by its descriptor afterwards.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags, Uid, fstat, mkdirat, openat2,
    renameat_with, statat, statx, syncfs, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::remove;

/// What the name of a file begins with as long as it is being put in its place: one that was killed leaves it.
pub const TEMPORARY: &str = ".left4me-";

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8): an id that no later mount gets again; rustix has no name for it yet.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// What identifies a directory while something holds it open: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// An open directory, and how messages call it.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    label: String,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens the directory that everything else is opened beneath. `path` is absolute and trusted: it comes from root's
    /// configuration, or from the person at the shell. Links on the way are refused all the same, since the last
    /// components may belong to the service user.
    pub fn open_root(path: &Path) -> Result<Self> {
        let label = path.display().to_string();
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let fd = openat2(CWD, path, DIRECTORY, Mode::empty(), resolve).context(|| format!("can't open {label}"))?;
        Ok(Self { fd, label })
    }

    /// Opens a directory by an absolute path of any length, in pieces that the kernel takes, following no link. The path
    /// is one that the kernel has printed; directories move meanwhile, and then it is an error or another directory.
    pub(crate) fn open_printed(path: &Path) -> Result<Self> {
        /// Half of `PATH_MAX`, so that the longest name fits as well.
        const PIECE: usize = 2048;
        let mut dir = Self::open_root(Path::new("/"))?;
        let mut piece = PathBuf::new();
        for component in path.components().skip(1) {
            piece.push(component);
            if piece.as_os_str().len() > PIECE {
                dir = dir.open_place(&piece)?;
                piece.clear();
            }
        }
        if !piece.as_os_str().is_empty() {
            dir = dir.open_place(&piece)?;
        }
        dir.label = path.display().to_string();
        Ok(dir)
    }

    /// How messages call the directory: its path when it was opened.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How messages call `name` in it.
    pub fn label_of(&self, name: impl AsRef<Path>) -> String {
        Path::new(&self.label).join(name.as_ref()).display().to_string()
    }

    fn open(&self, path: &Path, flags: OFlags, mode: Mode, more: ResolveFlags) -> Result<OwnedFd> {
        openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, BENEATH | more)
            .context(|| format!("can't open {}", self.label_of(path)))
    }

    /// Opens a directory beneath this one.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<Self> {
        let fd = self.open(path.as_ref(), DIRECTORY, Mode::empty(), ResolveFlags::empty())?;
        Ok(Self { fd, label: self.label_of(path) })
    }

    /// Opens a directory that no mount covers: with one on the way the error is `EXDEV`, without a race.
    pub fn open_dir_unmounted(&self, path: impl AsRef<Path>) -> Result<Self> {
        let fd = self.open(path.as_ref(), DIRECTORY, Mode::empty(), ResolveFlags::NO_XDEV)?;
        Ok(Self { fd, label: self.label_of(path) })
    }

    /// Opens a directory as a mere place (`O_PATH`), which needs no right to read it.
    pub fn open_place(&self, path: impl AsRef<Path>) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = self.open(path.as_ref(), flags, Mode::empty(), ResolveFlags::empty())?;
        Ok(Self { fd, label: self.label_of(path) })
    }

    /// Opens a regular file for reading. `O_NONBLOCK`, so that a FIFO in its place is an error and not a wait.
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.open(path, flags, Mode::empty(), ResolveFlags::empty())?;
        self.regular(fd, path)
    }

    /// Opens a regular file for reading and writing, and makes it where it is missing.
    pub fn open_or_create(&self, path: impl AsRef<Path>, mode: u32) -> Result<File> {
        let path = path.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.open(path, flags, Mode::from_raw_mode(mode), ResolveFlags::empty())?;
        self.regular(fd, path)
    }

    fn regular(&self, fd: OwnedFd, path: &Path) -> Result<File> {
        let stat = fstat(&fd).context(|| format!("can't read {}", self.label_of(path)))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(File::from(fd)),
            _ => Err(Error::new(format!("{} is not a regular file", self.label_of(path)))),
        }
    }

    /// Reads a regular file of at most `cap` bytes.
    pub fn read(&self, path: impl AsRef<Path>, cap: usize) -> Result<Vec<u8>> {
        let path = path.as_ref();
        self.read_all(self.open_file(path)?, path, cap)
    }

    /// The same, of a file that belongs to the owner of this directory.
    pub fn read_owned(&self, path: impl AsRef<Path>, cap: usize) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open_file(path)?;
        let stat = fstat(&file).context(|| format!("can't read {}", self.label_of(path)))?;
        if stat.st_uid != self.owner()?.0.as_raw() {
            return Err(Error::new(format!("{} does not belong to the owner of {}", self.label_of(path), self.label)));
        }
        self.read_all(file, path, cap)
    }

    fn read_all(&self, file: File, path: &Path, cap: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(|e| self.io("can't read", path, &e))?;
        if bytes.len() > cap {
            return Err(Error::new(format!("{} is larger than {cap} bytes", self.label_of(path))));
        }
        Ok(bytes)
    }

    fn io(&self, verb: &str, path: &Path, error: &std::io::Error) -> Error {
        let what = format!("{verb} {}", self.label_of(path));
        match Errno::from_io_error(error) {
            Some(errno) => Error::kernel(what, errno),
            None => Error::new(format!("{what}: {error}")),
        }
    }

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

    /// The names in the directory, in no order, without `.` and `..`.
    pub fn entries(&self) -> Result<Vec<OsString>> {
        let what = || format!("can't list {}", self.label);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).context(what)? {
            let name = entry.context(what)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Whether anything of that name is there; a link counts as itself.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        match self.open(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), ResolveFlags::empty()) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(false),
            // The last component is a link: something is there.
            Err(error) if error.errno() == Some(Errno::LOOP) => Ok(true),
            Err(error) => Err(error),
        }
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

    /// Owner of the directory.
    pub fn owner(&self) -> Result<(Uid, Gid)> {
        let stat = fstat(&self.fd).context(|| format!("can't read {}", self.label))?;
        Ok((Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)))
    }

    /// Device and inode of the directory.
    pub fn id(&self) -> Result<FileId> {
        let stat = fstat(&self.fd).context(|| format!("can't read {}", self.label))?;
        Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
    }

    /// Device and inode of `name`, which is not followed if it is a link; `None` where there is nothing.
    pub fn id_of(&self, name: impl AsRef<OsStr>) -> Result<Option<FileId>> {
        match statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileId { device: stat.st_dev, inode: stat.st_ino })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::kernel(format!("can't read {}", self.label_of(name.as_ref())), errno)),
        }
    }

    /// The unique id of the mount that the directory lies on.
    pub fn mount_id(&self) -> Result<u64> {
        mount_id(&self.fd, c"").context(|| format!("can't read the mount of {}", self.label))
    }

    /// The unique id of the mount of which `name` is the root, or that it lies on where nothing is mounted there.
    pub fn mount_id_of(&self, name: &CStr) -> Result<u64> {
        mount_id(&self.fd, name)
            .context(|| format!("can't read the mount at {}", self.label_of(name_of(name.to_bytes()))))
    }

    /// `/proc/self/fd/N`: a name for the directory that stands for the descriptor, for calls that take none.
    pub fn proc_path(&self) -> String {
        proc_path(&self.fd)
    }
}

/// `/proc/self/fd/N` of any descriptor.
pub(crate) fn proc_path(fd: impl AsFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// The unique mount id of `name` below `dir`, or of `dir` itself where `name` is empty; follows no link.
pub(crate) fn mount_id(dir: impl AsFd, name: &CStr) -> rustix::io::Result<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let answer = statx(dir, name, flags, MNT_ID_UNIQUE)?;
    if answer.stx_mask & MNT_ID_UNIQUE.bits() == 0 {
        return Err(Errno::OPNOTSUPP);
    }
    Ok(answer.stx_mnt_id)
}

/// The id that mountinfo shows for the mount of which `name` below `dir` is the root; follows no link.
pub(crate) fn mountinfo_id(dir: impl AsFd, name: &OsStr) -> rustix::io::Result<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    Ok(statx(dir, name, flags, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// A name that came out of the kernel as bytes.
pub(crate) fn name_of(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
