//! The kernel's own directory beside the upper: it belongs to whoever mounts, and lasts as long as the mount.
//!
//! At a mount the kernel empties a `work/work` that is there, and Linux 6.12, Debian 13's, unlocks `work` between its look at
//! a directory and the removal. Whoever can write to `work` crashes the kernel in between (measured, within seconds): removed,
//! a directory on tmpfs is freed while it is in use; moved elsewhere, it is a `kernel BUG` in `may_delete` on any file system.
//! So nobody else can write there, and the kernel finds nothing to empty. The service user owns `runtime/NAME` and can
//! rename or remove `work` itself, which changes nothing in it.

use std::time::{Duration, Instant};

use names::InstanceName;
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::beneath::Dir;
use crate::error::{Context, Error, Result};
use crate::stack::check_owner;

/// Its name in `runtime/NAME`, and the kernel's name for its own directory in it.
const WORK: &str = "work";

/// This user's alone.
const MODE: u32 = 0o700;

/// What stood in its place is in `tmp/NAME.work` afterwards: whoever locks the instance next removes it there.
pub const ASIDE: &str = "work";

/// Of a server that ended in order there is nothing in `work/work`, of a crash a few files.
const REMOVAL_LIMIT: Duration = Duration::from_secs(4);

/// Makes the work directory for a mount that is about to be made; there must be none that uses it.
pub(crate) fn make(root: &Dir, runtime: &Dir, name: &InstanceName) -> Result<Dir> {
    remove(runtime)?;
    let work = match runtime.create_dir(WORK, MODE) {
        Err(error) if error.errno() == Some(Errno::EXIST) => {
            move_aside(root, runtime, name)?;
            runtime.create_dir(WORK, MODE)?
        }
        other => other?,
    };
    // It may have been swapped since it was made: for the service user's own, or for an earlier one of this user's.
    let stat = fstat(&work).context(|| format!("can't read {}", work.label()))?;
    let is_own = stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o777 == MODE;
    if is_own && work.entries()?.is_empty() {
        return Ok(work);
    }
    Err(Error::new(format!("{} was swapped for another directory while it was made", work.label())))
}

/// Removes the work directory of a mount that is gone: `work/work`, which is closed to everybody but this user, and then
/// `work`. Anything else that lies there is left.
///
/// A `work/work` of another owner is its own to remove. The service user could have moved there what it may move but not
/// remove, a directory with root's files in it, or so much that root would be busy for hours.
pub fn remove(runtime: &Dir) -> Result<()> {
    try_remove(runtime).map_err(|error| match error.errno() {
        // After a power cut, say, of a host that is used without root since.
        Some(Errno::ACCESS) => Error::new(format!(
            "{} is what root's mount left: `l4d2ctl stop` under the systemd supervisor removes it",
            runtime.label_of(WORK)
        )),
        _ => error,
    })
}

fn try_remove(runtime: &Dir) -> Result<()> {
    if remove_empty(runtime)? {
        return Ok(());
    }
    let work = runtime.open_dir_unmounted(WORK)?;
    if !remove_empty(&work)? {
        let inner = match work.open_dir_unmounted(WORK) {
            // The kernel made it with mode 000, which keeps out who is not root.
            Err(error) if error.errno() == Some(Errno::ACCESS) => work.open_dir_writable(WORK)?,
            other => other?,
        };
        if inner.owner()?.0 != geteuid() {
            return Ok(());
        }
        inner.remove_contents_until(Instant::now() + REMOVAL_LIMIT)?;
        remove_empty(&work)?;
    }
    remove_empty(runtime).map(drop)
}

/// Removes the directory `work` in `dir` if it is empty. Says whether no such directory is there any more.
fn remove_empty(dir: &Dir) -> Result<bool> {
    match dir.remove_empty_dir(WORK) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::kernel(format!("can't remove {}", dir.label_of(WORK)), errno)),
    }
}

fn move_aside(root: &Dir, runtime: &Dir, name: &InstanceName) -> Result<()> {
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
