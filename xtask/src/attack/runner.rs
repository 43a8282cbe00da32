//! Root's side: the helper's runs, one after the other for each instance, and what becomes of each.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::canary::Snapshot;
use super::inspect::{Seen, directories_below, inspect};
use super::{ATTACKER, INSTANCES, ROOT, ground, in_root};

/// Longer than this, root hangs. A busy mount is tried for 5 s, and an emulated machine beside others is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    mounted: u64,
    not_mounted: u64,
    unmounted: u64,
    not_unmounted: u64,
    looked: u64,
    gone: u64,
    longest: Duration,
    /// The helper's reasons, as far as they are the kernel's or its own words.
    reasons: BTreeMap<String, u64>,
}

/// An attacking process.
struct Attacker {
    process: Child,
    count: File,
}

impl Attacker {
    fn start(command: &str, seed: u64) -> Result<Self> {
        let count = File::options().read(true).write(true).create_new(true).open(format!("/run/{command}"))?;
        count.set_len(9)?;
        let mut process = Command::new("/xtask")
            .args([command, &seed.to_string()])
            .uid(ATTACKER)
            .gid(ATTACKER)
            .stdin(count.try_clone()?)
            .stdout(Stdio::piped())
            .spawn()?;
        if command == "attack-older" {
            let mut ready = [0; 6];
            process.stdout.as_mut().context("no stdout")?.read_exact(&mut ready).context("no older namespace")?;
        }
        Ok(Self { process, count })
    }

    fn swaps(&self) -> Result<u64> {
        let mut number = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&self.count, &mut number, 0)?;
        Ok(u64::from_le_bytes(number))
    }

    fn alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("an attacker has ended: {status}"),
            None => Ok(()),
        }
    }

    fn stop(&mut self) -> Result<u64> {
        std::os::unix::fs::FileExt::write_all_at(&self.count, &[1], 8)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "an attacker failed: {status}");
        self.swaps()
    }
}

/// The attack, in namespaces of its own.
pub(crate) fn inside(args: &[String]) -> Result<()> {
    let [place, helper, swaps, runs, seed] = args else { bail!("wrong arguments") };
    let (swaps, runs, seed): (u64, u64, u64) = (swaps.parse()?, runs.parse()?, seed.parse()?);
    println!("attack: seed {seed}, at least {swaps} swaps and {runs} runs of the helper");
    ground::enter(Path::new(place), Path::new(helper))?;
    ground::fill()?;
    let before = Snapshot::take()?;
    let ours = directories_below(Path::new(ROOT))?;
    ensure!(ours.iter().all(|&(device, inode)| !before.has(device, inode)), "a canary lies in the root directory");

    let attackers = [Attacker::start("attack-older", seed)?, Attacker::start("attack-swaps", seed)?];
    let started = Instant::now();
    let tally = Mutex::new(Tally::default());
    let done = AtomicU64::new(0);
    let attackers = Mutex::new(attackers);
    let enough = || -> Result<bool> {
        let mut attackers = attackers.lock().expect("no thread has panicked");
        attackers.iter_mut().try_for_each(Attacker::alive)?;
        let swapped = attackers[0].swaps()? + attackers[1].swaps()?;
        Ok(done.load(Ordering::Relaxed) >= runs && swapped >= swaps)
    };
    let enough = &enough;
    std::thread::scope(|scope| -> Result<()> {
        let threads = INSTANCES.map(|name| {
            let (tally, done, ours) = (&tally, &done, &ours);
            scope.spawn(move || -> Result<()> {
                while !enough()? {
                    cycle(name, ours, tally)?;
                    done.fetch_add(2, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread does not panic"))
    })?;
    let took = started.elapsed();
    let mut attackers = attackers.into_inner().expect("no thread has panicked");
    let swapped = attackers[0].stop()? + attackers[1].stop()?;
    let tally = tally.into_inner().expect("no thread has panicked");
    print(&tally, swapped, took);

    peace()?;
    let changes = before.differences(&Snapshot::take()?);
    ensure!(changes.is_empty(), "canaries have changed:\n{}", changes.join("\n"));
    println!("all {} canaries are as they were; umount, mount and umount are in order again", before.len());
    judge(&tally, swapped, swaps)
}

/// A mount, a look at it, and an umount.
fn cycle(name: &str, ours: &HashSet<(u64, u64)>, tally: &Mutex<Tally>) -> Result<()> {
    let mounted = helper("mount", name, tally)?;
    let seen = if mounted { Some(inspect(name, ours).with_context(|| format!("after mount {name}"))?) } else { None };
    let unmounted = helper("umount", name, tally)?;
    let mut tally = tally.lock().expect("no thread has panicked");
    *(if mounted { &mut tally.mounted } else { &mut tally.not_mounted }) += 1;
    *(if unmounted { &mut tally.unmounted } else { &mut tally.not_unmounted }) += 1;
    match seen {
        Some(Seen::Clean) => tally.looked += 1,
        Some(Seen::Gone) => tally.gone += 1,
        None => {}
    }
    Ok(())
}

/// One run of the helper: done, or refused with a reason. Anything else is a finding.
fn helper(verb: &str, name: &str, tally: &Mutex<Tally>) -> Result<bool> {
    let start = Instant::now();
    let output = Command::new("/helper").args([verb, name]).stdin(Stdio::null()).output().context("can't run it")?;
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    let what = || format!("{verb} {name}: {} after {took:?}: {said}", output.status);
    ensure!(took < LIMIT, "it hung: {}", what());
    ensure!(matches!(output.status.code(), Some(0 | 1)) && !said.contains("panicked"), "{}", what());
    // Nothing is said of what was done, and one line of what was not, whatever the attacker calls its directories.
    ensure!(said.lines().count() == usize::from(!output.status.success()) && !said.contains('\x1b'), "{}", what());
    let mut tally = tally.lock().expect("no thread has panicked");
    tally.longest = tally.longest.max(took);
    if !output.status.success() {
        let reason = said.trim_end().rsplit(": ").next().unwrap_or_default();
        let reason: String = reason.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
        *tally.reasons.entry(format!("{verb}: {reason}")).or_default() += 1;
    }
    Ok(output.status.success())
}

fn print(tally: &Tally, swapped: u64, took: Duration) {
    let runs = tally.mounted + tally.not_mounted + tally.unmounted + tally.not_unmounted;
    println!(
        "{swapped} swaps, {runs} runs in {:.0} s, the longest {} ms",
        took.as_secs_f64(),
        tally.longest.as_millis()
    );
    println!(
        "mount: {} done, {} refused; umount: {} done, {} refused",
        tally.mounted, tally.not_mounted, tally.unmounted, tally.not_unmounted
    );
    println!("mounts looked into: {}; moved or gone before the look: {}", tally.looked, tally.gone);
    let mut reasons: Vec<_> = tally.reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (reason, count) in reasons {
        println!("{count:>8}  {reason}");
    }
}

/// With the attackers gone everything can be undone and done again.
fn peace() -> Result<()> {
    let tally = Mutex::new(Tally::default());
    for name in INSTANCES {
        let must = |verb: &str| -> Result<()> {
            ensure!(
                helper(verb, name, &tally)?,
                "{verb} {name} in peace: {:?}",
                tally.lock().map(|t| format!("{t:?}"))
            );
            Ok(())
        };
        must("umount")?;
        let left =
            || fs::read_to_string("/proc/self/mountinfo").map(|text| text.contains(&format!(" left4me-{name} ")));
        ensure!(!left()? && !Path::new("/run/left4me").join(name).exists(), "a mount or record of {name} is left");
        ensure!(!Path::new("/run/left4me/.locks").join(name).exists(), "a lock of {name} is left");
        ensure!(!in_root(&format!("runtime/{name}/work")).exists(), "the kernel's work directory of {name} is left");
        must("mount")?;
        let merged = fs::read_to_string(in_root(&format!("runtime/{name}/merged/file")))?;
        ensure!(left()? && merged == "ours\n", "{name} is not mounted as it should be: {merged}");
        must("umount")?;
        ensure!(!left()?, "{name} is still mounted");
    }
    Ok(())
}

/// An attack in which nothing met is none.
fn judge(tally: &Tally, swapped: u64, wanted: u64) -> Result<()> {
    let mounts = tally.mounted + tally.not_mounted;
    ensure!(swapped >= wanted, "only {swapped} swaps");
    ensure!(tally.mounted * 50 > mounts && tally.not_mounted * 50 > mounts, "mounts hardly raced with swaps");
    ensure!(tally.looked * 100 > mounts, "hardly any mount was looked into");
    Ok(())
}
