//! Finding an instance's mounts wherever they hang, and undoing them.
//!
//! The service user can move root's mount point from a mount namespace that does not see the mount, so the place is
//! taken from mountinfo, where the mount is found by its source. Only root mounts in PID 1's namespace, so a source of
//! ours there is ours.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::beneath::{Dir, mountinfo_id};
use crate::error::{Error, Result};
use crate::mountinfo::{self, Entry};

/// Units that are being set up hold a copy of every mount for milliseconds (6 to 14 were seen). Longer than this it is
/// somebody who stays. With the look for who that is, it is less than 5 s.
const BUSY_LIMIT: Duration = Duration::from_secs(3);

/// A user can have more descriptors than root has time for.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// As many holders are named.
const MAX_HOLDERS: usize = 10;

/// Undoes every mount with `source`, the last made first; says how many there were.
pub fn umount_all(source: &str) -> Result<usize> {
    let mut count = 0;
    let deadline = Instant::now() + BUSY_LIMIT;
    let mut pause = Duration::from_millis(1);
    while let Some(entry) = find_last(source)? {
        match umount_one(&entry) {
            Ok(true) => count += 1,
            // It went, or was moved, since mountinfo was read: look again.
            Ok(false) if Instant::now() < deadline => {}
            Ok(false) => return Err(Error::new(format!("{source} keeps being moved: gave up after 3 s"))),
            Err(error) if error.is_busy() && Instant::now() < deadline => {
                // The one wait here that no event could replace: the kernel does not tell when a copy goes.
                sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            Err(error) if error.is_busy() => return Err(Error::new(format!("{error}; {}", holders(&entry)))),
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn find_last(source: &str) -> Result<Option<Entry>> {
    let text =
        fs::read("/proc/self/mountinfo").map_err(|e| Error::new(format!("can't read /proc/self/mountinfo: {e}")))?;
    Ok(mountinfo::overlays_of(&text, source).last())
}

/// Unmounts `entry`, if it is still what its path leads to. The last component is taken from a parent held open, and
/// checked there, as the path is not ours; nothing of the mount itself is held, or it would be busy with us.
fn umount_one(entry: &Entry) -> Result<bool> {
    let (Some(parent), Some(name)) = (entry.mount_point.parent(), entry.mount_point.file_name()) else {
        return Err(Error::new(format!("{} can't be one of our mounts", entry.mount_point.display())));
    };
    let parent = match Dir::open_printed(parent) {
        Ok(parent) => parent,
        // The path was the kernel's own, so something on it has gone or is another thing by now.
        Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => return Ok(false),
        Err(error) => return Err(error),
    };
    if mountinfo_id(&parent, name) != Ok(entry.id) {
        return Ok(false);
    }
    // What the name leads to between the check and this call can only be nothing (EINVAL), another mount of ours, or one of
    // the admin's in a directory that the service user can move: it can make no mount here. The kernel has no call that
    // unmounts by descriptor. The next look at mountinfo sees the difference.
    let path = Path::new(&parent.proc_path()).join(name);
    match unmount(&path, UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::kernel(format!("can't unmount {}", entry.mount_point.display()), errno)),
    }
}

/// Names the processes that stand in, run from or have open something of the mount: by device number, which for
/// directories on an overlay is the overlay's own, or by path.
fn holders(entry: &Entry) -> String {
    let holds = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        fs::metadata(path).is_ok_and(|m| m.dev() == device)
            || fs::read_link(path).is_ok_and(|target| target.starts_with(&entry.mount_point))
    };
    let deadline = Instant::now() + LOOK_LIMIT;
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if found.len() == MAX_HOLDERS || Instant::now() >= deadline {
            found.push("perhaps more".to_owned());
            break;
        }
        let path = process.path();
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let fds = fs::read_dir(path.join("fd")).into_iter().flatten().flatten().map(|fd| fd.path());
        let mut links = ["cwd", "root", "exe"].map(|link| path.join(link)).into_iter().chain(fds);
        if links.any(|link| Instant::now() < deadline && holds(&link)) {
            let comm = fs::read_to_string(path.join("comm")).unwrap_or_default();
            found.push(format!("{} ({})", Path::new(OsStr::new(&process.file_name())).display(), comm.trim_end()));
        }
    }
    match found.as_slice() {
        [] => "no process holds it in sight; another mount namespace may".to_owned(),
        found => format!("held by process {}", found.join(", ")),
    }
}
