//! Directories and files by descriptor, never outside the directory one started from.
//!
//! Every open is `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS`: a link anywhere on the
//! way is an error (`ELOOP`), as is `..` (`EXDEV`). What was opened is used by its descriptor afterwards. Looking and reading are
//! here; `change` makes, renames and removes.

mod change;

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, StatxFlags, Uid, fstat, openat2, statat, statx,
};
use rustix::io::Errno;

pub use change::TEMPORARY;

use crate::error::{Context, Error, Result};

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
