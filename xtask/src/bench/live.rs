//! What it costs to ask 100 running servers, beside the same status without asking.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{ROOT, initialize, row, shell};

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
    for n in COUNT..2 * COUNT {
        initialize(&format!("live{n}"), 28000 + n)?;
        shell(&format!("sudo -u left4me l4d2ctl start live{n}"))?;
    }
    top()?;
    for n in 0..2 * COUNT {
        shell(&format!("sudo -u left4me l4d2ctl delete live{n}"))?;
    }
    Ok(())
}

/// What share of one core `top` takes that shows twice as many servers, looking at them every second, with what it asks of
/// others by programs of its own.
fn top() -> Result<()> {
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
    let share = used / WATCHED.as_secs_f64();
    let verdict = if share <= MOST_OF_A_CORE { "ok" } else { "MISSED" };
    println!("l4d2ctl top with {} servers: {share:.1} % of a core  ≤ {MOST_OF_A_CORE} {verdict}", 2 * COUNT);
    Ok(())
}

/// What a process has used so far, its ended children included (proc_pid_stat(5): utime, stime, cutime, cstime).
fn ticks(pid: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("top does not run")?;
    let (_, rest) = stat.rsplit_once(')').context("no stat")?;
    Ok(rest.split_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum())
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
