//! What it costs to ask 100 running servers, beside the same status without asking.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{ROOT, initialize, row, shell};

const COUNT: u16 = 100;
const ROUNDS: usize = 15;

/// One round trip to players far away.
const MORE: f64 = 150.0;

/// How long 100 games may take to begin.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn run() -> Result<()> {
    for n in 0..COUNT {
        initialize(&format!("live{n}"), 28000 + n)?;
        shell(&format!("sudo -u left4me l4d2ctl start live{n}"))?;
    }
    let until = Instant::now() + LIMIT;
    while status(None)?.1 < COUNT.into() {
        if Instant::now() >= until {
            bail!("of {COUNT} servers not all answer within {} s", LIMIT.as_secs());
        }
    }
    let (mut asked, mut quiet) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (time, answers) = status(None)?;
        // One that asks fewer is faster.
        ensure!(answers == usize::from(COUNT), "of {COUNT} servers {answers} answered");
        asked.push(time);
        quiet.push(status(Some("--no-query"))?.0);
    }
    let without = median(&quiet);
    let name = format!("l4d2ctl status --json, {COUNT} answering / --no-query");
    let more = row(&name, f64::INFINITY, asked, quiet) - without;
    let verdict = if more <= MORE { "ok" } else { "MISSED" };
    println!("what {COUNT} answers cost: {more:.1} ms  ≤ {MORE} {verdict}");
    for n in 0..COUNT {
        shell(&format!("sudo -u left4me l4d2ctl delete live{n}"))?;
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A status of all: its time in milliseconds, and how many servers answered.
fn status(option: Option<&str>) -> Result<(f64, usize)> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=left4me", "--regid=left4me", "--clear-groups", "env"]).arg(format!("HOME={ROOT}"));
    command.args(["l4d2ctl", "status", "--json"]).args(option);
    let begun = Instant::now();
    let output = command.output().context("can't run l4d2ctl")?;
    let time = begun.elapsed().as_secs_f64() * 1e3;
    ensure!(output.status.success(), "status: {}", String::from_utf8_lossy(&output.stderr));
    Ok((time, String::from_utf8_lossy(&output.stdout).matches("\"answering\":true").count()))
}
