//! 1, 10, 100 and 300 servers: what all of them take on disk and in memory, and what one command costs beside them.

use std::fs;

use anyhow::Result;

use super::measure::{ROOT, as_user, for_all, initialize, number, shell, time};
use super::report::{Finding, Line, Row, Target, median};

const COUNTS: [u16; 4] = [1, 10, 100, 300];
const FIRST: u16 = 28000;
const STATUS_ROUNDS: usize = 11;
const START_ROUNDS: usize = 7;

/// From 100 to 300 instances nothing may grow by more, which is linear, and a little.
const LINEAR: Target = Target::AtMost(3.1);

/// One thing that is measured for each count.
struct Growth {
    name: &'static str,
    unit: &'static str,
    /// For each of [`COUNTS`], the values of some rounds.
    values: Vec<Vec<f64>>,
}

pub(super) fn run() -> Result<Vec<Finding>> {
    for n in 0..COUNTS[3] {
        initialize(&name(n), FIRST + n, "")?;
    }
    initialize("more", 27999, "")?;
    let growth = |name, unit| Growth { name, unit, values: Vec::new() };
    let mut memory = growth("memory of embedded supervisors", "MiB");
    for (from, to) in steps() {
        start(from..to, "env LEFT4ME_SUPERVISOR=embedded l4d2ctl start NAME")?;
        memory.values.push(vec![our_memory()?]);
    }
    for_all("env LEFT4ME_SUPERVISOR=embedded l4d2ctl stop NAME", (0..COUNTS[3]).map(name))?;
    let (mut disk, mut status, mut one_more) =
        (growth("disk beside the game", "MiB"), growth("status", "ms"), growth("start of one more", "ms"));
    for (from, to) in steps() {
        start(from..to, "l4d2ctl start NAME")?;
        // The first is cold.
        shell(&as_user("l4d2ctl status --no-query"))?;
        disk.values.push(vec![disk_of(to)?]);
        status.values.push(rounds(STATUS_ROUNDS, "l4d2ctl status --no-query", "true")?);
        one_more.values.push(rounds(START_ROUNDS, "l4d2ctl start more", "l4d2ctl stop more")?);
    }
    let left = our_memory()?;
    let mut findings: Vec<Finding> = [disk, memory, status, one_more].into_iter().flat_map(Growth::findings).collect();
    let name = format!("memory of our processes, {} servers under systemd", COUNTS[3]);
    findings.push(Finding::Row(Row::single(&name, "MiB", Target::AtMost(0.0), left)));
    Ok(findings)
}

fn name(n: u16) -> String {
    format!("n{n}")
}

/// From which instance to which, for each count.
fn steps() -> impl Iterator<Item = (u16, u16)> {
    [0].into_iter().chain(COUNTS).zip(COUNTS)
}

fn start(which: std::ops::Range<u16>, command: &str) -> Result<()> {
    for_all(command, which.map(name))
}

fn rounds(count: usize, command: &str, undo: &str) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(time(|| shell(&as_user(command)))?);
        shell(&as_user(undo))?;
    }
    Ok(values)
}

/// All that there is only because of the first `count` instances, in MiB; `merged` shows the game, which is none of it.
fn disk_of(count: u16) -> Result<f64> {
    let of = |n| format!("{ROOT}/instances/n{n} {ROOT}/runtime/n{n} ");
    let kib = number(&format!("du -skxc {} | tail -n 1", (0..count).map(of).collect::<String>().trim()))?;
    Ok(kib / 1024.0)
}

/// What our programs hold resident, in MiB; pages that several of them share are counted once (PSS).
fn our_memory() -> Result<f64> {
    let mut kib = 0.0;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // A process that has ended since has no memory.
        let Ok(program) = fs::read_link(path.join("exe")) else { continue };
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name != "l4d2ctl" && !name.starts_with("left4me-") {
            continue;
        }
        let rollup = fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next());
        kib += pss.and_then(|pss| pss.parse().ok()).unwrap_or(0.0);
    }
    Ok(kib / 1024.0)
}

impl Growth {
    fn findings(self) -> Vec<Finding> {
        let points = COUNTS.iter().zip(&self.values).map(|(count, values)| (f64::from(*count), median(values)));
        let line = Line { name: self.name.to_owned(), unit: self.unit.to_owned(), points: points.collect() };
        let name = format!("{}, 300 servers / 100", self.name);
        let row = Row::compared(&name, self.unit, Some(LINEAR), &self.values[3], &self.values[2]);
        vec![Finding::Row(row), Finding::Line(line)]
    }
}
