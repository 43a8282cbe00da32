//! What it costs to ask 100 running servers, beside the same status without asking.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::measure::{ROOT, for_all, initialize, shell};
use super::report::{Finding, Row, Target, median};

const COUNT: u16 = 100;
const ROUNDS: usize = 15;

/// One round trip to players far away.
const MORE: f64 = 150.0;

/// What `top` may take, in percent of one core.
const MOST_OF_A_CORE: f64 = 5.0;

/// How long it is left alone first, as it asks more at its beginning, and how long it is watched.
const SETTLES: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(30);

/// How long 100 games may take to begin.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn run() -> Result<Vec<Finding>> {
    start(0..COUNT)?;
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
    let name = format!("status --json, {COUNT} answering / --no-query");
    let more = median(&asked) - median(&quiet);
    start(COUNT..2 * COUNT)?;
    Ok([
        Row::compared(&name, "ms", None, &asked, &quiet),
        Row::single(&format!("what {COUNT} answers cost"), "ms", Target::AtMost(MORE), more),
        Row::single(&format!("top with {} servers", 2 * COUNT), "% of a core", Target::AtMost(MOST_OF_A_CORE), top()?),
    ]
    .map(Finding::Row)
    .into())
}

fn start(which: std::ops::Range<u16>) -> Result<()> {
    for n in which.clone() {
        initialize(&format!("live{n}"), 28000 + n, "")?;
    }
    for_all("l4d2ctl start NAME", which.map(|n| format!("live{n}")))
}

/// What share of one core `top` takes that shows twice as many servers, looking at them every second, with what it asks of
/// others by programs of its own.
fn top() -> Result<f64> {
    // A terminal whose keyboard is there, and silent.
    let screen = format!(
        "sleep {} | SHELL=/bin/sh script -qec \
         'stty rows 50 cols 120; exec sudo -u left4me env TERM=xterm l4d2ctl top' /dev/null >/dev/null",
        (SETTLES + WATCHED).as_secs() + 5
    );
    let mut shown = Command::new("/bin/sh").args(["-c", &screen]).spawn().context("can't run script(1)")?;
    // What is measured is time that passes, here and below.
    std::thread::sleep(SETTLES);
    let output = Command::new("pgrep").args(["-x", "-n", "l4d2ctl"]).output()?;
    let pid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let before = ticks(&pid)?;
    std::thread::sleep(WATCHED);
    let used = ticks(&pid)? - before;
    shell(&format!("kill {pid}"))?;
    shown.wait()?;
    // USER_HZ: hundredths of a second.
    Ok(used / WATCHED.as_secs_f64())
}

/// What a process has used so far, its ended children included (proc_pid_stat(5): utime, stime, cutime, cstime).
fn ticks(pid: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("top does not run")?;
    let (_, rest) = stat.rsplit_once(')').context("no stat")?;
    Ok(rest.split_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum())
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
