//! The attacker's threads: each has a few directories, and swaps what lies in them for something of its own and back.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, symlinkat, unlinkat};
use rustix::io::{Errno, pread, pwrite};

use super::{Random, in_root};

/// What each thread swaps: names in directories below the root directory.
const TARGETS: [&[(&str, &str)]; 5] = [
    &[("", "installation"), ("", "overlays"), ("", "instances"), ("", "runtime")],
    &[("overlays", "a"), ("overlays", "b"), ("overlays/b", "c")],
    &[
        ("instances", "one"),
        ("instances/one", "staged"),
        ("instances/one/staged", "layers"),
        ("instances", "two"),
        ("instances/two/staged", "layers"),
    ],
    &[("runtime", "one"), ("runtime/one", "upper"), ("runtime/one", "work")],
    &[("runtime", "two"), ("runtime/two", "upper"), ("runtime/two", "work")],
];

/// The threads that swap `work/work`, which can only be swapped within `work`.
const WORKS: [&str; 2] = ["runtime/one/work", "runtime/two/work"];

/// The count of one attacker, and whether it is to end: sixteen bytes of a file that it has as standard input.
pub(super) struct Count {
    done: AtomicU64,
    pub(super) stop: AtomicBool,
}

impl Count {
    pub(super) fn new() -> Self {
        Self { done: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    /// One more; every now and then others are told, and asked whether to go on.
    pub(super) fn add(&self) {
        if self.done.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
            self.tell();
        }
    }

    pub(super) fn tell(&self) {
        let stdin = std::io::stdin();
        let mut stop = [0; 1];
        let _ = pwrite(&stdin, &self.done.load(Ordering::Relaxed).to_le_bytes(), 0);
        if matches!(pread(&stdin, &mut stop, 8), Ok(1)) && stop[0] != 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Swaps until told to stop, and leaves everything in its place.
pub(crate) fn swap_everything(args: &[String]) -> Result<()> {
    let seed: u64 = args.first().context("no seed")?.parse()?;
    let count = Count::new();
    let count = &count;
    // All are opened before the first is swapped, and then used as opened.
    let targets: Vec<_> = TARGETS.iter().map(|targets| open_all(targets)).collect::<Result<_>>()?;
    let works: Vec<_> = WORKS.iter().map(|work| open(&in_root(work))).collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        let swapping = targets.iter().enumerate().map(|(number, targets)| {
            scope.spawn(move || swap(targets, number, &mut Random::new(seed + number as u64), count))
        });
        let working = works.iter().enumerate().map(|(number, work)| {
            scope.spawn(move || swap_work(work, &mut Random::new(seed + 100 + number as u64), count))
        });
        let threads: Vec<_> = swapping.chain(working).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("an attacker's thread does not panic"))
    })?;
    count.tell();
    Ok(())
}

pub(super) fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    openat(CWD, path, flags, Mode::empty()).with_context(|| format!("can't open {}", path.display()))
}

fn open_all(targets: &[(&str, &'static str)]) -> Result<Vec<(OwnedFd, &'static str)>> {
    targets.iter().map(|(parent, name)| Ok((open(&in_root(parent))?, *name))).collect()
}

fn swap(targets: &[(OwnedFd, &str)], pool: usize, random: &mut Random, count: &Count) -> Result<()> {
    let pool = in_root(&format!("pool/{pool}"));
    let instead: Vec<_> = fs::read_dir(&pool)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    let pool = open(&pool)?;
    while !count.stop.load(Ordering::Relaxed) {
        let (parent, name) = &targets[random.below(targets.len())];
        let other = &instead[random.below(instead.len())];
        for there in [true, false] {
            match renameat_with(&pool, other, parent, *name, RenameFlags::EXCHANGE) {
                Ok(()) => count.add(),
                // Something is mounted below the name just now.
                Err(Errno::BUSY) if there => break,
                Err(errno) => return Err(errno).with_context(|| format!("can't swap {name} for {}", other.display())),
            }
            if there {
                pause(random, 200);
            }
        }
        pause(random, 20_000);
    }
    Ok(())
}

/// `work/work` is the kernel's, root's and closed. In `work`, which is the attacker's, its name can be changed.
fn swap_work(work: &OwnedFd, random: &mut Random, count: &Count) -> Result<()> {
    while !count.stop.load(Ordering::Relaxed) {
        clear(work, "instead")?;
        match random.below(4) {
            0 => symlinkat("/srv/canary/work", work, "instead")?,
            1 => symlinkat("../../../../canary/work/work", work, "instead")?,
            2 => mkdirat(work, "instead", Mode::RWXU)?,
            _ => {
                mkdirat(work, "instead", Mode::RWXU)?;
                symlinkat("/srv/canary/work/deep", work, "instead/link")?;
                mkdirat(work, "instead/er", Mode::RWXU)?;
            }
        }
        let swapped = match renameat_with(work, "instead", work, "work", RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => renameat_with(work, "instead", work, "work", RenameFlags::NOREPLACE),
            other => other,
        };
        if swapped.is_ok() {
            count.add();
        }
        pause(random, 50_000);
    }
    clear(work, "instead")?;
    clear(work, "work")
}

/// Removes what this thread, or the kernel, has made, as far as the service user can.
fn clear(work: &OwnedFd, name: &str) -> Result<()> {
    for inner in ["link", "er"] {
        for flags in [AtFlags::empty(), AtFlags::REMOVEDIR] {
            let _ = unlinkat(work, format!("{name}/{inner}"), flags);
        }
    }
    for flags in [AtFlags::REMOVEDIR, AtFlags::empty()] {
        match unlinkat(work, name, flags) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(_) => {}
        }
    }
    // The kernel's, with something in it: put out of the way.
    let aside = format!("kept-{}", std::process::id());
    let _ = unlinkat(work, &aside, AtFlags::REMOVEDIR);
    renameat_with(work, name, work, &aside, RenameFlags::empty()).with_context(|| format!("can't clear {name}"))
}

/// Waits for up to so many nanoseconds, in which the kernel may let others run.
pub(super) fn pause(random: &mut Random, limit: u64) {
    let limit = usize::try_from(limit).unwrap_or(1);
    let until = std::time::Instant::now() + std::time::Duration::from_nanos(random.below(limit) as u64);
    while std::time::Instant::now() < until {
        std::thread::yield_now();
    }
}
