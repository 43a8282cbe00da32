//! The attacker in a mount namespace of its own that is older than root's mounts and does not see them: there it can
//! rename and remove the very directory that root mounts on.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Mode, RenameFlags, mkdirat, renameat_with, unlinkat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use super::swaps::{Count, open, pause};
use super::{ATTACKER, ATTIC, INSTANCES, Random, in_root};

/// More than a path can have in one call.
const DEEP: usize = 60;

/// Moves and removes mount points until told to stop.
pub(crate) fn older_namespace(args: &[String]) -> Result<()> {
    let seed: u64 = args.first().context("no seed")?.parse()?;
    own_namespaces()?;
    let deep = deep_directory()?;
    let runtimes: Vec<OwnedFd> =
        INSTANCES.iter().map(|name| open(&in_root(&format!("runtime/{name}")))).collect::<Result<_>>()?;
    let attic = open(Path::new(ATTIC))?;
    let count = Count::new();
    let mut random = Random::new(seed);
    println!("ready");
    while !count.stop.load(Ordering::Relaxed) {
        let runtime = &runtimes[random.below(runtimes.len())];
        match random.below(40) {
            0 => {
                // A mount on a directory that is removed goes with it, wherever it is seen.
                let removed = unlinkat(runtime, "merged", AtFlags::REMOVEDIR);
                if removed.is_ok() {
                    count.add();
                }
                mkdirat(runtime, "merged", Mode::from_raw_mode(0o755)).context("can't make merged again")?;
            }
            1..5 => there_and_back(runtime, &deep, &mut random, &count)?,
            5..20 => there_and_back(runtime, &attic, &mut random, &count)?,
            _ => {
                for _ in 0..2 {
                    renameat_with(runtime, "merged", &attic, "empty", RenameFlags::EXCHANGE)?;
                    count.add();
                    pause(&mut random, 50_000);
                }
            }
        }
        pause(&mut random, 400_000);
    }
    count.tell();
    Ok(())
}

fn there_and_back(runtime: &OwnedFd, to: &OwnedFd, random: &mut Random, count: &Count) -> Result<()> {
    let flags = RenameFlags::NOREPLACE;
    renameat_with(runtime, "merged", to, "moved\n\x1b[2J", flags).context("can't move merged away")?;
    count.add();
    pause(random, 50_000);
    renameat_with(to, "moved\n\x1b[2J", runtime, "merged", flags).context("can't move merged back")?;
    count.add();
    Ok(())
}

/// Becomes root of a user namespace, in which only this uid exists, makes its mount namespace deaf for what root mounts,
/// and mounts over what it can.
#[allow(unsafe_code)]
fn own_namespaces() -> Result<()> {
    let flags = rustix::thread::UnshareFlags::NEWUSER | rustix::thread::UnshareFlags::NEWNS;
    // SAFETY: the file descriptor table and the file system attributes stay shared with nobody: there is one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }.context("can't have namespaces of its own")?;
    fs::write("/proc/self/setgroups", "deny")?;
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/self/{map}"), format!("{ATTACKER} {ATTACKER} 1\n"))?;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for path in ["overlays/a", "runtime/one/upper", "instances/two"] {
        mount_bind("/srv/canary", in_root(path))?;
    }
    mount("attacker", in_root("installation"), "tmpfs", MountFlags::empty(), None)?;
    mkdirat(CWD, Path::new(ATTIC).join("empty"), Mode::RWXU)?;
    Ok(())
}

/// A directory whose path is four times as long as a call to the kernel can have one.
fn deep_directory() -> Result<OwnedFd> {
    let mut directory = open(Path::new(ATTIC))?;
    let name = "x".repeat(250);
    for _ in 0..DEEP {
        mkdirat(&directory, &name, Mode::RWXU)?;
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        directory = rustix::fs::openat(&directory, &name, flags, Mode::empty())?;
    }
    Ok(directory)
}
