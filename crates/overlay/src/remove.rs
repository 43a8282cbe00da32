//! Removing a tree by descriptor, whatever its owner made of it.
//!
//! No recursion: directories found on the way are moved up into the tree's own root and emptied there, so a tree ten
//! thousand levels deep costs neither stack nor descriptors, and a path is never longer than two names. An interrupted
//! removal leaves a tree that the next one removes.

use std::ffi::{OsStr, OsString};
use std::time::Instant;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, chmodat, fstat, openat2, renameat_with, statat,
};
use rustix::io::Errno;

use crate::beneath::{Dir, proc_path};
use crate::error::{Context, Error, Result};

/// Removes `name` in `parent`, with all that is in it; says whether something was there.
pub(crate) fn remove(parent: &Dir, name: &OsStr) -> Result<bool> {
    let what = || format!("can't remove {}", parent.label_of(name));
    match remove_simple(parent, name) {
        Ok(()) => return Ok(true),
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
        Err(errno) => return Err(Error::kernel(what(), errno)),
    }
    let tree = open_writable(parent, name)?;
    remove_contents(&tree, None)?;
    parent.remove_empty_dir(name).context(what)?;
    Ok(true)
}

/// Empties `root`. Whoever may write to a directory in it can add one level below after the other as fast as they are
/// removed, and so keep this busy for ever: who does not remove for himself gives a deadline.
pub(crate) fn remove_contents(root: &Dir, deadline: Option<Instant>) -> Result<()> {
    let in_time = || match deadline {
        Some(deadline) if Instant::now() >= deadline => {
            Err(Error::new(format!("can't empty {} in time: it is huge, or being filled", root.label())))
        }
        _ => Ok(()),
    };
    let mut next = 0_u64;
    let mut queue = root.entries()?;
    while let Some(name) = queue.pop() {
        in_time()?;
        match remove_simple(root, &name) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
            Err(errno) => return Err(Error::kernel(format!("can't remove {}", root.label_of(&name)), errno)),
        }
        let dir = open_writable(root, &name)?;
        for entry in dir.entries()? {
            in_time()?;
            match remove_simple(&dir, &entry) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {
                    queue.push(move_up(&dir, &entry, root, &mut next)?);
                }
                Err(errno) => return Err(Error::kernel(format!("can't remove {}", dir.label_of(&entry)), errno)),
            }
        }
        root.remove_empty_dir(&name).context(|| format!("can't remove {}", root.label_of(&name)))?;
    }
    Ok(())
}

/// Removes a file or an empty directory. Tried by call rather than by asking for the type first: the answer could be old.
fn remove_simple(dir: &Dir, name: &OsStr) -> rustix::io::Result<()> {
    match dir.remove_file(name) {
        // EISDIR is Linux' answer for a directory, EPERM that of POSIX and of some file systems.
        Err(Errno::ISDIR | Errno::PERM) => dir.remove_empty_dir(name),
        other => other,
    }
}

/// Moves a directory that is not empty into `root` under a free name. Moving needs the right to write to the directory
/// itself (its `..` changes).
fn move_up(from: &Dir, name: &OsStr, root: &Dir, next: &mut u64) -> Result<OsString> {
    drop(open_writable(from, name)?);
    loop {
        let free = OsString::from(format!(".left4me-removing-{next}"));
        *next += 1;
        match renameat_with(from, name, root, &free, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(free),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::kernel(format!("can't move {}", from.label_of(name)), errno)),
        }
    }
}

/// Opens a directory to be emptied: not a mount point, and with its mode opened up.
pub(crate) fn open_writable(parent: &Dir, name: &OsStr) -> Result<Dir> {
    open_up(parent, name)?;
    parent.open_dir_unmounted(name)
}

/// Gives a directory's owner all rights to it, where its owner closed it (`0000`). Anything else stays as it is.
pub(crate) fn open_up(parent: &Dir, name: &OsStr) -> Result<()> {
    let what = || format!("can't open {}", parent.label_of(name));
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).context(what)?;
    let is_open = stat.st_mode & 0o700 == 0o700;
    if !is_open && FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = openat2(parent, name, flags, Mode::empty(), resolve).context(what)?;
        // fchmod takes no O_PATH descriptor; its /proc name does, and stands for the same inode.
        let mode = Mode::from_raw_mode(fstat(&place).context(what)?.st_mode & 0o7777 | 0o700);
        #[expect(clippy::disallowed_methods, reason = "the path is the descriptor's own, and leads nowhere else")]
        chmodat(rustix::fs::CWD, proc_path(&place), mode, AtFlags::empty()).context(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("left4me-remove-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
        fn dir(&self) -> Dir {
            Dir::open_root(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let scratch = Scratch::new("links");
        fs::create_dir(scratch.0.join("outside")).unwrap();
        fs::write(scratch.0.join("outside/kept"), "").unwrap();
        fs::create_dir_all(scratch.0.join("tree/sub")).unwrap();
        symlink("../outside", scratch.0.join("tree/link")).unwrap();
        symlink("../../outside", scratch.0.join("tree/sub/link")).unwrap();
        symlink("outside", scratch.0.join("top")).unwrap();
        assert!(scratch.dir().remove("tree").unwrap());
        assert!(scratch.dir().remove("top").unwrap());
        assert!(!scratch.dir().remove("top").unwrap());
        assert!(scratch.0.join("outside/kept").exists());
    }

    #[test]
    fn a_tree_of_ten_thousand_levels() {
        let scratch = Scratch::new("deep");
        let mut dir = scratch.dir().create_dir("tree", 0o755).unwrap();
        for _ in 0..10_000 {
            dir.create_file("f", b"x", 0o644).unwrap();
            dir = dir.create_dir("d", 0o755).unwrap();
        }
        drop(dir);
        assert!(scratch.dir().remove("tree").unwrap());
        assert_eq!(scratch.dir().entries().unwrap().len(), 0);
    }

    /// Somebody makes a directory in the one that is removed, again and again, as the game could in one that the kernel
    /// has put into its work directory.
    #[test]
    fn a_tree_that_grows_while_it_is_removed_does_not_keep_the_remover() {
        let scratch = Scratch::new("grows");
        let mut bottom = scratch.dir().create_dir("tree", 0o755).unwrap();
        for _ in 0..5000 {
            bottom = bottom.create_dir("d", 0o755).unwrap();
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(relaxed) {
                    match bottom.create_dir("d", 0o755) {
                        Ok(next) => bottom = next,
                        Err(_) => break,
                    }
                }
            });
            let tree = scratch.dir().open_dir("tree").unwrap();
            let limit = std::time::Duration::from_millis(300);
            let error = tree.remove_contents_until(Instant::now() + limit).unwrap_err().to_string();
            stop.store(true, relaxed);
            assert!(error.contains("in time"), "{error}");
        });
    }

    #[test]
    fn names_that_are_taken_and_directories_that_are_closed() {
        let scratch = Scratch::new("closed");
        for path in ["tree/a/.left4me-removing-0/x", "tree/.left4me-removing-0/b/c/d", "tree/a/e/f"] {
            fs::create_dir_all(scratch.0.join(path)).unwrap();
        }
        fs::set_permissions(scratch.0.join("tree/a/e"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(scratch.0.join("tree/a"), fs::Permissions::from_mode(0o300)).unwrap();
        assert!(scratch.dir().remove("tree").unwrap());
        assert!(!scratch.0.join("tree").exists());
    }
}
