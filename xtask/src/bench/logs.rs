//! The log of a server that writes as fast as it can: ours beside journalctl, and that of the embedded supervisor.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::measure::{as_user, initialize, number, shell, word};
use super::report::{Finding, Row, Target};

const ROUNDS: usize = 5;

/// What it writes after each start: some seconds of what journald takes.
const LINES: u64 = 150_000;

/// All of a run's lines.
const LIMIT: Duration = Duration::from_secs(60);

/// The embedded supervisor's log keeps 16 MiB, and this is several times as much.
const EMBEDDED_LINES: u64 = 1_000_000;

/// What a follower may hold resident, in KiB, however much passes through it.
const MOST_MEMORY: f64 = 8.0 * 1024.0;

const EMBEDDED: &str = "env LEFT4ME_SUPERVISOR=embedded ";

const NAME: &str = "flood";

/// What a follower saw.
struct Seen {
    lines_a_second: f64,
    /// The most that was ever resident, in KiB.
    memory: f64,
}

pub(super) fn run() -> Result<Vec<Finding>> {
    set_lines(1)?;
    for supervisor in ["", EMBEDDED] {
        // A follower says that it is there by showing the last line of a run before.
        shell(&as_user(&format!("{supervisor}l4d2ctl start {NAME}")))?;
        shell(&as_user(&format!("{supervisor}l4d2ctl stop {NAME}")))?;
    }
    set_lines(LINES)?;
    let (mut ours, mut memory, mut reference) = (Vec::new(), 0.0, Vec::new());
    let reference_command = format!("journalctl --unit left4me-server@{NAME} -o cat -f -n 1");
    for _ in 0..ROUNDS {
        let seen = follow(&as_user(&format!("l4d2ctl logs {NAME} --lines 1")), LINES, "")?;
        ours.push(seen.lines_a_second);
        memory = f64::max(memory, seen.memory);
        reference.push(follow(&reference_command, LINES, "")?.lines_a_second);
    }
    set_lines(EMBEDDED_LINES)?;
    let command = as_user(&format!("{EMBEDDED}l4d2ctl logs {NAME} --lines 1"));
    // It fails if a line is missing.
    let seen = follow(&command, EMBEDDED_LINES, EMBEDDED)?;
    let whole = 1e3 * 1e3;
    Ok([
        Row::compared("logs / journalctl -o cat -f", "lines/s", Some(Target::AtLeast(0.9)), &ours, &reference),
        Row::single("most resident memory of logs, journal", "KiB", Target::AtMost(MOST_MEMORY), memory),
        Row::single(
            "logs of an embedded server, no line lost",
            "lines/s",
            Target::AtLeast(whole / 10.0),
            seen.lines_a_second,
        ),
        Row::single("most resident memory of logs, embedded", "KiB", Target::AtMost(MOST_MEMORY), seen.memory),
    ]
    .map(Finding::Row)
    .into())
}

fn set_lines(lines: u64) -> Result<()> {
    initialize(NAME, 27300, &format!("arguments: [\"+sim_flood\", \"{lines}\"]\n"))
}

/// Follows the log, starts the server, and reads until its last line; every line must come. What stops the server
/// again is not measured.
fn follow(command: &str, lines: u64, supervisor: &str) -> Result<Seen> {
    let mut words = command.split(' ');
    let mut follower = Command::new(words.next().unwrap_or_default());
    let mut follower = follower.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let (done, is_done) = channel::<()>();
    let pid = Pid::from_child(&follower);
    // A line that never comes would be waited for for ever.
    let watch = std::thread::spawn(move || match is_done.recv_timeout(LIMIT) {
        Err(RecvTimeoutError::Timeout) => Ok(kill_process(pid, Signal::KILL)?),
        _ => anyhow::Ok(()),
    });
    let seen = read(&mut follower, lines, supervisor);
    drop(done);
    let Ok(watched) = watch.join() else { bail!("the watch panicked") };
    watched?;
    follower.kill()?;
    follower.wait()?;
    shell(&as_user(&format!("{supervisor}l4d2ctl stop {NAME}")))?;
    seen
}

fn read(follower: &mut Child, lines: u64, supervisor: &str) -> Result<Seen> {
    let pid = follower.id();
    let mut output = BufReader::with_capacity(1 << 20, follower.stdout.take().context("no output")?);
    let (mut line, mut next, mut repeated, mut begun) = (String::new(), 0, Vec::new(), Instant::now());
    ensure!(output.read_line(&mut line)? > 0, "the log ended at once");
    let start = as_user(&format!("{supervisor}l4d2ctl start {NAME}"));
    let start = std::thread::spawn(move || shell(&start));
    while next < lines {
        line.clear();
        ensure!(output.read_line(&mut line)? > 0, "the log ended before line {next}");
        let Some(number) = line.trim_end().strip_prefix("flood line ") else { continue };
        if next == 0 {
            begun = Instant::now();
        }
        let number: u64 = number.parse().with_context(|| format!("line {number}"))?;
        if number + 1 == next {
            repeated.push(number);
            continue;
        }
        ensure!(number == next, "line {number} came in place of line {next}");
        next += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let memory = peak(pid)?;
    let Ok(started) = start.join() else { bail!("the start panicked") };
    started?;
    for line in repeated {
        ensure!(supervisor.is_empty() && is_twice_in_journal(line)?, "line {line} came twice");
    }
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    let lines = lines as f64;
    Ok(Seen { lines_a_second: lines / seconds, memory })
}

/// When journald's file is full it may write one entry to the old file and to the new one (systemd's issue 29016): a follower
/// that shows it twice is right. It is looked up as the followers do, by the unit: the old file's may lack other fields' index.
fn is_twice_in_journal(line: u64) -> Result<bool> {
    let unit = format!("left4me-server@{NAME}");
    let run = word(&format!("systemctl show --property InvocationID --value {unit}"))?;
    let all = format!("journalctl --unit {unit} -g '^flood line {line}$' -o export");
    Ok((number(&format!("{all} | grep -c '^_SYSTEMD_INVOCATION_ID={run}$'"))? - 2.0).abs() < 0.5)
}

/// Of a process, its own alone: VmHWM, in KiB.
fn peak(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    peak.context("no VmHWM")?.parse().context("VmHWM")
}
