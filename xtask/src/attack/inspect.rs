//! Looking at a mount that root has just made, while the attacker goes on: what is it made of, and what does it show?

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};

use super::canary::SECRET;
use super::{ATTIC, ROOT};

/// What became of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing foreign is in it.
    Clean,
    /// The attacker was faster: the mount has moved since its place was read, or is gone with its directory.
    Gone,
}

/// Everything that may be part of a mount: what lies in the root directory, by device and inode.
pub(super) fn directories_below(root: &Path) -> Result<HashSet<(u64, u64)>> {
    let mut found = HashSet::new();
    let mut queue = vec![root.to_owned()];
    while let Some(directory) = queue.pop() {
        let is = fs::symlink_metadata(&directory)?;
        found.insert((is.dev(), is.ino()));
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                queue.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Fails if the mount of `name` has anything in it that is not one of `ours`, hangs elsewhere, or shows a canary.
pub(super) fn inspect(name: &str, ours: &HashSet<(u64, u64)>) -> Result<Seen> {
    check_record(name, ours)?;
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let source = format!(" overlay left4me-{name} ");
    let lines: Vec<&str> = mountinfo.lines().filter(|line| line.contains(&source)).collect();
    ensure!(lines.len() <= 1, "{name} is mounted more than once: {lines:?}");
    let Some(line) = lines.first() else { return Ok(Seen::Gone) };
    let fields: Vec<&str> = line.split(' ').collect();
    let (id, place) = (fields[0], fields[4]);
    ensure!(line.contains("nosuid") && line.contains("nodev"), "{line}");
    ensure!([ROOT, ATTIC].iter().any(|tree| place.starts_with(&format!("{tree}/"))), "it is mounted elsewhere: {line}");

    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(mount) = openat2(rustix::fs::CWD, place, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) else {
        return Ok(Seen::Gone);
    };
    let is = statx(&mount, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    if is.stx_mnt_id.to_string() != id {
        return Ok(Seen::Gone);
    }
    use std::os::fd::AsRawFd;
    look(Path::new(&format!("/proc/self/fd/{}", mount.as_raw_fd())), 6)?;
    Ok(Seen::Clean)
}

fn check_record(name: &str, ours: &HashSet<(u64, u64)>) -> Result<()> {
    let record = fs::read_to_string(format!("/run/left4me/{name}")).context("a mount without a record")?;
    let mut layers = 0;
    for line in record.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let ["layer" | "upper", device, inode, ..] = fields.as_slice() {
            layers += 1;
            let id = (device.parse()?, inode.parse()?);
            ensure!(ours.contains(&id), "mounted from outside of the root directory: {line}");
        }
    }
    ensure!(layers >= 2, "a record of nothing: {record}");
    Ok(())
}

/// No file below `directory`, read as root reads it, is a canary. Links are not followed.
fn look(directory: &Path, depth: usize) -> Result<()> {
    // A directory that was swapped while it is read is no finding: what it shows is.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            look(&entry.path(), depth - 1)?;
        } else if kind.is_file() && entry.metadata().is_ok_and(|is| is.len() < 4096) {
            let content = fs::read(entry.path()).unwrap_or_default();
            if content == SECRET.as_bytes() {
                bail!("a canary is to be seen: {}", entry.path().display());
            }
        }
    }
    Ok(())
}
