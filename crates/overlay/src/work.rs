//! The kernel's own directory beside the upper: it belongs to whoever mounts, and is made anew for each mount.
//!
//! At a mount the kernel empties a `work` that is in its work directory, and Linux 6.12, Debian 13's, unlocks that directory
//! between its look at an entry and the removal. Whoever can write there can crash the kernel in between (measured, within
//! seconds): a directory on tmpfs that is removed is freed while it is in use; one on ext4 that is moved elsewhere is a
//! `kernel BUG` in `may_delete`.
//!
//! So `runtime/NAME/work` is closed to everybody else, and in it each mount makes a directory of its own, `left4me-NAME`:
//! the kernel finds nothing to empty. The service user, who owns `runtime/NAME`, can move `work` about, even to another
//! instance, and changes nothing in it. What it is called decides nothing: who owns it, and the name within, do.

use std::time::{Duration, Instant};

use names::InstanceName;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::beneath::Dir;
use crate::error::{Context, Error, Result};
use crate::stack::check_owner;

/// Its name in `runtime/NAME`.
const WORK: &str = "work";

/// This user's alone.
const MODE: u32 = 0o700;

/// What stood in its place is in `tmp/NAME.work` afterwards, which `start` and others sweep.
pub const ASIDE: &str = "work";

/// Of a server that ended in order there is nothing in the kernel's directory, of a crash a few files.
const REMOVAL_LIMIT: Duration = Duration::from_secs(4);

/// Makes the directory that the kernel is to work in, for a mount of this name that is about to be made. There is none of
/// that name now.
pub(crate) fn make(root: &Dir, runtime: &Dir, name: &InstanceName) -> Result<Dir> {
    remove(runtime, name)?;
    let work = match runtime.create_dir(WORK, MODE) {
        Err(error) if error.errno() == Some(Errno::EXIST) => match open_own(runtime)? {
            Some(work) => work,
            None => {
                move_aside(root, runtime, name)?;
                runtime.create_dir(WORK, MODE)?
            }
        },
        other => other?,
    };
    // It may have been swapped since it was made.
    if !is_own(&work)? {
        return Err(Error::new(format!(
            "{} is not closed to others: swapped while it was made, or under a default ACL",
            work.label()
        )));
    }
    // In a directory that nobody else writes to: this one is new.
    work.create_dir(name.mount_source(), MODE)
}

/// Removes the work directory of a mount of this name, which is gone. Anything else that lies there is left.
///
/// Only this user's own is emptied, and of that only what carries the name of the mount: the service user could have moved
/// here what it may move but not remove, a directory with root's files in it, or so much that root would be busy for hours.
pub fn remove(runtime: &Dir, name: &InstanceName) -> Result<()> {
    if remove_empty(runtime, WORK)? {
        return Ok(());
    }
    let Some(work) = open_own(runtime)? else { return Ok(()) };
    let inner = name.mount_source();
    if !remove_empty(&work, &inner)? {
        work.open_dir_unmounted(&inner)?.remove_contents_until(Instant::now() + REMOVAL_LIMIT)?;
        remove_empty(&work, &inner)?;
    }
    remove_empty(runtime, WORK).map(drop)
}

/// Fails if a directory of somebody else's is there, most likely of root's mount: nobody else can remove that. For who is
/// about to remove what lies around it.
pub fn check_not_foreign(runtime: &Dir) -> Result<()> {
    match statat(runtime, WORK, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat)
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                && stat.st_uid != runtime.owner()?.0.as_raw() =>
        {
            Err(Error::new(format!(
                "{0} does not belong to the owner of {1}: if it is what root's mount left, `sudo rm -r {0}` removes it",
                runtime.label_of(WORK),
                runtime.label()
            )))
        }
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::kernel(format!("can't read {}", runtime.label_of(WORK)), errno)),
    }
}

/// Opens `work` if it is a directory that only this user gets into.
fn open_own(runtime: &Dir) -> Result<Option<Dir>> {
    match runtime.open_dir_unmounted(WORK) {
        Ok(work) => Ok(is_own(&work)?.then_some(work)),
        Err(error) if matches!(error.errno(), Some(Errno::ACCESS | Errno::LOOP | Errno::NOTDIR)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_own(work: &Dir) -> Result<bool> {
    let stat = fstat(work).context(|| format!("can't read {}", work.label()))?;
    Ok(stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o777 == MODE)
}

/// Removes the directory if it is empty. False only where there is something in it.
fn remove_empty(parent: &Dir, name: &str) -> Result<bool> {
    match parent.remove_empty_dir(name) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::kernel(format!("can't remove {}", parent.label_of(name)), errno)),
    }
}

/// Moves what is no work directory out of the way. Not a directory of somebody else's, which whoever sweeps `tmp` could not
/// remove.
fn move_aside(root: &Dir, runtime: &Dir, name: &InstanceName) -> Result<()> {
    check_not_foreign(runtime)?;
    let tmp = root.open_dir("tmp")?;
    check_owner(&tmp, root)?;
    let aside = format!("{name}.{ASIDE}");
    runtime.rename_new(WORK, &tmp, &aside).map_err(|error| match error.errno() {
        Some(Errno::EXIST) => Error::new(format!(
            "{} is in the way, and so is {}, which `l4d2ctl start {name}` removes",
            runtime.label_of(WORK),
            tmp.label_of(&aside)
        )),
        _ => error,
    })
}
