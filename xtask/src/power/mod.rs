//! `cargo xtask power`: the power is cut, without a sync, at many points of each command that writes.
//!
//! A virtual machine is saved before the command, and each point goes on from there: the command begins, and after a part
//! of its time, or right after its end, qemu is killed. What the guest's kernel had not written is lost; what it had, is
//! on the disk. That disk is looked at, and then booted in a container: that takes two seconds, and it is the same
//! systemd and the same left4me.
//!
//! The guest writes nothing of its own accord (no writeback, no commit of the journal by time), which is the worst case
//! for what was acknowledged. Every other point is in *busy weather*: something else has the journal committed over and
//! over, which puts names on disk whose content is not there yet, the worst case for what was not.

mod cases;
mod disk;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::machine::{Container, Machine, make_ready, read_disk};
use cases::{Case, FRESH_SPEC, Moments, cases, initialize};
use disk::{Disk, Look, look};

/// Commits the journal over and over, and nothing else: the file is not one that anybody asks for.
const BUSY: &str = "(while :; do dd if=/dev/zero of=/var/tmp/busy bs=4k count=1 conv=fsync,notrunc; done) \
    </dev/null >/dev/null 2>&1 &";

const MINUTE: Duration = Duration::from_secs(60);

/// `cargo xtask power [--points N] [COMMAND]...`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut points, mut filters) = (20, Vec::new());
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--points" => points = args.next().unwrap_or_default().parse().context("--points wants a number")?,
            arg if arg.starts_with('-') => bail!("unknown argument {arg}; `cargo xtask` lists them"),
            arg => filters.push(arg),
        }
    }
    make_ready(true)?;
    cut_all(points, &filters)
}

/// Cuts the power at this many points of each command whose name has one of `filters` in it (none: of all), and prints what
/// was found.
pub(crate) fn cut_all(points: usize, filters: &[&str]) -> Result<()> {
    let is_chosen = |case: &Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter));
    let cases: Vec<Case> = cases().into_iter().filter(is_chosen).collect();
    ensure!(!cases.is_empty(), "no command has one of {filters:?} in its name");
    let moments = Moments::make(&cases.iter().map(|case| case.when).collect::<Vec<_>>())?;
    println!(
        "{:28} {:>6} {:>7} {:>6} {:>10} {:>10} {:>6}",
        "power cut at", "points", "during", "after", "old found", "new found", "wrong"
    );
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(Run::begin(&moments, case)?.points(points));
    }
    ensure!(wrong.is_empty(), "{} points went wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// One command's points.
struct Run<'a> {
    moments: &'a Moments,
    case: &'a Case,
    before: Look,
    after: Look,
    /// How long it takes, by the weather.
    takes: [Duration; 2],
}

/// What one point came to.
struct Found {
    acknowledged: bool,
    new: bool,
}

impl<'a> Run<'a> {
    /// Runs the command undisturbed, for what is there before and after it, and how long it takes.
    fn begin(moments: &'a Moments, case: &'a Case) -> Result<Self> {
        let moment = moments.of(case.when)?;
        let mut vm = moment.resume()?;
        let before = moment.read_disk(look)?;
        vm.ok(case.prepare)?;
        let start = std::time::Instant::now();
        vm.ok(&case.script)?;
        let takes = start.elapsed();
        vm.run_until_cut("sync", None)?;
        let after = read_disk(&vm.disk(), look)?;
        Ok(Self { moments, case, before, after, takes: [takes; 2] })
    }

    /// Cuts at each; a line for the table, and a line for each that went wrong.
    fn points(mut self, count: usize) -> Vec<String> {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        // What a killed command left is there to be acknowledged by the next, and the weather to be quiet, or it would be on
        // disk by that.
        let plan = if self.case.prepare.is_empty() { plan(count) } else { vec![(false, None)] };
        let count = plan.len();
        for &(busy, at) in &plan {
            let at = at.map(|part| self.takes[usize::from(busy)].mul_f64(part));
            match self.point(busy, at) {
                Ok(point) => found.push(point),
                Err(error) => {
                    let weather = if busy { "busy" } else { "quiet" };
                    let at = at.map_or("after its end".to_owned(), |at| format!("after {} ms", at.as_millis()));
                    wrong.push(format!("{}, {weather}, {at}: {error:#}", self.case.name));
                    println!("  {}", wrong.last().map_or("", String::as_str));
                }
            }
        }
        let of = |is: fn(&Found) -> bool| found.iter().filter(|point| is(point)).count();
        let during = of(|point| !point.acknowledged);
        println!(
            "{:28} {count:6} {during:7} {:6} {:10} {:10} {:6}",
            self.case.name,
            of(|point| point.acknowledged),
            of(|point| !point.new),
            of(|point| point.new),
            wrong.len()
        );
        // A harness whose cuts all come too late shows nothing.
        let wanted = plan.iter().filter(|(_, at)| at.is_some()).count();
        if during + wrong.len() < wanted / 2 {
            wrong.push(format!("{}: only {during} of {wanted} cuts came before its end", self.case.name));
        }
        wrong
    }

    fn point(&mut self, busy: bool, at: Option<Duration>) -> Result<Found> {
        let mut vm = self.moments.of(self.case.when)?.resume()?;
        vm.ok(self.case.prepare)?;
        if busy {
            vm.ok(BUSY)?;
        }
        let (answer, after) = vm.run_until_cut(&self.case.script, at)?;
        let acknowledged = answer.is_some();
        if let Some(answer) = answer {
            ensure!(answer.code == 0, "the command failed before the cut: {}", answer.text());
            self.takes[usize::from(busy)] = after;
        }
        let is = read_disk(&vm.disk(), look)?;
        let disk = Disk { is: &is, before: &self.before, after: &self.after };
        if acknowledged {
            disk.is_new(!self.case.empties)?;
        } else {
            disk.is_old_or_new(self.case.installs)?;
        }
        let mut host = Container::boot_disk(&vm.disk())?;
        self.goes_on(&mut host, acknowledged).context("the host booted again")?;
        Ok(Found { acknowledged, new: disk.has_changed() })
    }

    /// After the boot: nothing is half, the command works, and so does all the rest.
    fn goes_on(&self, host: &mut Container, acknowledged: bool) -> Result<()> {
        whole_status(host)?;
        if acknowledged && self.case.runs {
            host.wait_until("systemctl is-active -q left4me-server@keep", MINUTE)?;
        }
        if acknowledged && !self.case.runs && self.case.name != "initialize" {
            host.ok("! systemctl is-active -q left4me-server@keep")?;
        }
        host.ok(&self.case.script).context("the command again")?;
        let left = host.ok("ls -A /var/lib/left4me/tmp")?;
        ensure!(left.is_empty(), "not swept: {left}");
        let is = look(&host.tree())?;
        let disk = Disk { is: &is, before: &self.before, after: &self.after };
        disk.is_new(!self.case.empties).context("the command again")?;
        if is.contains_key("current") {
            host.ok("l4d2ctl verify").context("a build is not as it was recorded")?;
        }
        whole_status(host)?;
        whole_life(host)
    }
}

/// Where to cut: the weather, and the part of the command's time; none for right after its end. A fifth is of those, and
/// they come first, since they tell how long the command takes in that weather.
fn plan(count: usize) -> Vec<(bool, Option<f64>)> {
    let mut plan = Vec::new();
    for busy in [false, true] {
        let here = if busy { count / 2 } else { count.div_ceil(2) };
        let ends = (here / 5).max(usize::from(!busy)).min(here);
        plan.extend((0..ends).map(|_| (busy, None)));
        let during = here - ends;
        #[allow(clippy::cast_precision_loss)] // There are some twenty.
        plan.extend((0..during).map(|n| (busy, Some((n as f64 + 0.5) / during as f64))));
    }
    plan
}

/// No instance is half.
fn whole_status(host: &mut Container) -> Result<()> {
    let status: Value = serde_json::from_str(&host.ok("l4d2ctl status --no-query --json")?)?;
    for instance in status["instances"].as_array().context("no instances in the status")? {
        ensure!(!crate::machine::is_damaged(instance), "half an instance: {instance}");
        let name = instance["name"].as_str().unwrap_or_default();
        ensure!(["keep", "fresh"].contains(&name), "an instance that nobody made: {instance}");
    }
    Ok(())
}

/// An instance is made where none is left, runs with its password, and goes without a trace.
fn whole_life(host: &mut Container) -> Result<()> {
    host.ok("l4d2ctl delete fresh")?;
    host.ok(&initialize("fresh", FRESH_SPEC)).context("a new instance")?;
    for name in ["keep", "fresh"] {
        if name == "keep" && !host.tree().join(Path::new(disk::ROOT).join("instances/keep")).exists() {
            continue;
        }
        host.ok(&format!("l4d2ctl start {name} && systemctl is-active -q left4me-server@{name}"))?;
        host.ok(&format!(
            "grep -qF \"rcon_password \\\"$(cat /var/lib/left4me/instances/{name}/rcon_password)\\\"\" \
             /var/lib/left4me/runtime/{name}/upper/left4dead2/cfg/server.cfg"
        ))
        .context("the password that was staged is another")?;
        host.ok(&format!("l4d2ctl delete {name}"))?;
    }
    let left = host.ok(
        "ls -A /var/lib/left4me/instances /var/lib/left4me/runtime /var/lib/left4me/tmp /run/left4me | grep -v : | grep . ; \
         grep ' left4me-' /proc/1/mountinfo; ls /etc/systemd/system/multi-user.target.wants | grep left4me-server; true",
    )?;
    let left: Vec<&str> = left.lines().filter(|line| !line.starts_with('.')).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_spread() {
        let plan = plan(20);
        assert_eq!(plan.len(), 20);
        assert_eq!(plan.iter().filter(|(_, at)| at.is_none()).count(), 4);
        assert_eq!(plan.iter().filter(|(busy, _)| *busy).count(), 10);
        assert_eq!(super::plan(2), [(false, None), (true, Some(0.5))]);
        assert_eq!(super::plan(1), [(false, None)]);
    }
}
