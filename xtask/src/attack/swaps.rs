//! The attacker's threads: each has a few directories, and swaps what lies in them for something of its own and back.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, symlinkat, unlinkat};
use rustix::io::{Errno, pread, pwrite};

use super::{ATTIC, INSTANCES, Random, in_root};

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
    &[("runtime", "one"), ("runtime/one", "upper")],
    &[("runtime", "two"), ("runtime/two", "upper")],
];

/// Where `work` lies, which root makes and removes: one thread for each swaps it, one reaches into it.
const RUNTIMES: [&str; 2] = ["runtime/one", "runtime/two"];

/// Where root moves what stood in the place of `work`, and under which names.
const TMP: &str = "tmp";
const ASIDE: [&str; 2] = ["one.work", "two.work"];

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
    let runtimes: Vec<_> = RUNTIMES.iter().map(|path| open(&in_root(path))).collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        let swapping = targets.iter().enumerate().map(|(number, targets)| {
            scope.spawn(move || swap(targets, number, &mut Random::new(seed + number as u64), count))
        });
        let working = runtimes.iter().enumerate().map(|(number, runtime)| {
            scope.spawn(move || swap_work(runtime, ASIDE[number], &mut Random::new(seed + 100 + number as u64), count))
        });
        let reaching = runtimes.iter().enumerate().map(|(number, runtime)| {
            scope.spawn(move || {
                reach_into_work(runtime, INSTANCES[number], &mut Random::new(seed + 200 + number as u64), count)
            })
        });
        let threads: Vec<_> = swapping.chain(working).chain(reaching).collect();
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

/// Puts something in the place of `work`, or beside root's under its name.
fn swap_work(runtime: &OwnedFd, aside: &str, random: &mut Random, count: &Count) -> Result<()> {
    let (tmp, mut kept) = (open(&in_root(TMP))?, 0);
    while !count.stop.load(Ordering::Relaxed) {
        match random.below(4) {
            0 => symlinkat("/srv/canary/work", runtime, "instead")?,
            1 => mkdirat(runtime, "instead", Mode::RWXU)?,
            2 => {
                mkdirat(runtime, "instead", Mode::RWXU)?;
                symlinkat("../../../../canary/work/work", runtime, "instead/work")?;
            }
            _ => {
                for path in ["instead", "instead/work", "instead/work/er"] {
                    mkdirat(runtime, path, Mode::RWXU)?;
                }
                symlinkat("/srv/canary/work/deep", runtime, "instead/work/link")?;
            }
        }
        let swapped = match renameat_with(runtime, "instead", runtime, "work", RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => renameat_with(runtime, "instead", runtime, "work", RenameFlags::NOREPLACE),
            other => other,
        };
        if swapped.is_ok() {
            count.add();
        }
        pause(random, 50_000);
        clear(runtime, "instead", &mut kept)?;
        // As the next command of the instance would.
        clear(&tmp, aside, &mut kept)?;
        // A mount takes a millisecond, and in an emulated machine a few hundred: some are to succeed in either.
        let limit = [400_000, 10_000_000, 1_000_000_000][random.below(3)];
        pause(random, limit);
    }
    clear(&tmp, aside, &mut kept)?;
    clear(runtime, "work", &mut kept)
}

/// What can crash Linux 6.12 where it works: a `work` is made, moved and removed while the kernel empties it; in `work` itself,
/// and in the mount's own directory there.
fn reach_into_work(runtime: &OwnedFd, name: &str, random: &mut Random, count: &Count) -> Result<()> {
    let (attic, taken, mut kept) = (open(Path::new(ATTIC))?, format!("taken-{name}"), 0);
    let places = ["work".to_owned(), format!("work/left4me-{name}")];
    while !count.stop.load(Ordering::Relaxed) {
        let place = &places[random.below(places.len())];
        let [inner, er, other] = ["work", "work/er", "other"].map(|path| format!("{place}/{path}"));
        for path in [&places[1], &inner, &er] {
            let _ = mkdirat(runtime, path, Mode::RWXU);
        }
        pause(random, 20_000);
        let moved = match random.below(3) {
            0 => renameat_with(runtime, &inner, runtime, &other, RenameFlags::empty()),
            1 => renameat_with(runtime, &inner, &attic, &taken, RenameFlags::empty()),
            _ => {
                unlinkat(runtime, &er, AtFlags::REMOVEDIR).and_then(|()| unlinkat(runtime, &inner, AtFlags::REMOVEDIR))
            }
        };
        if moved.is_ok() {
            count.add();
        }
        clear(&attic, &taken, &mut kept)?;
        pause(random, 5_000_000);
    }
    Ok(())
}

/// Removes what these threads have made, as far as the service user can. What is root's is put out of the way.
fn clear(parent: &OwnedFd, name: &str, kept: &mut u32) -> Result<()> {
    let inner = ["link", "er", "work/link", "work/er", "other/link", "other/er", "work", "other"]
        .map(|path| format!("{name}/{path}"));
    for path in inner.iter().map(String::as_str).chain([name]) {
        for flags in [AtFlags::empty(), AtFlags::REMOVEDIR] {
            let _ = unlinkat(parent, path, flags);
        }
    }
    *kept += 1;
    match renameat_with(parent, name, parent, format!("kept-{kept}-{name}"), RenameFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).with_context(|| format!("can't clear {name}")),
    }
}

/// Waits for up to so many nanoseconds, in which the kernel may let others run.
pub(super) fn pause(random: &mut Random, limit: u64) {
    const LONG: Duration = Duration::from_millis(1);
    let limit = usize::try_from(limit).unwrap_or(1);
    let pause = Duration::from_nanos(random.below(limit) as u64);
    if pause > LONG {
        // For no event: it is the attacker's pace. Nine busy threads on two processors leave who is attacked hardly a mount.
        return std::thread::sleep(pause);
    }
    let until = Instant::now() + pause;
    while Instant::now() < until {
        std::thread::yield_now();
    }
}
