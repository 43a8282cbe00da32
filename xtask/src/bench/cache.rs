//! What ten servers that read the same game keep of it in memory, beside ten servers each with a copy.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::measure::{ROOT, as_user, first_answer, for_all, initialize, make_copy_unit, shell, sum};
use super::report::{Finding, Row, Target};

const SERVERS: u16 = 10;
const FIRST: u16 = 27200;

/// Reading 200 MiB, ten at once.
const LIMIT: Duration = Duration::from_secs(120);

/// How often: it takes a while to make ten copies, and the figures hardly differ.
const ROUNDS: usize = 3;

/// The simulated server reads and hashes all its files before it answers, and then, with a long pause, once more.
const READS: &str = "arguments: [\"+sim_rehash\", \"3600000\"]\n";

pub(super) fn run() -> Result<Vec<Finding>> {
    make_copy_unit("+sim_rehash 3600000")?;
    for port in ports() {
        initialize(&format!("c{port}"), port, READS)?;
        shell(&format!(
            "cp -a {ROOT}/installation /srv/copy && mkdir -p /srv/bench && mv /srv/copy /srv/bench/copy-{port}"
        ))?;
    }
    shell("sync")?;
    let (mut ours, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(read_by(
            || for_all("l4d2ctl start NAME", ports().map(|port| format!("c{port}"))),
            // Where the pages are: asked through an overlay, the kernel counts none.
            |_| format!("{ROOT}/installation"),
        )?);
        for port in ports() {
            shell(&as_user(&format!("l4d2ctl stop c{port}")))?;
        }
        copies.push(read_by(
            || {
                shell(&format!(
                    "systemctl start {}",
                    ports().map(|port| format!("copy@{port} ")).collect::<String>().trim()
                ))
            },
            |port| format!("/srv/bench/copy-{port}"),
        )?);
        shell("systemctl stop 'copy@*'")?;
    }
    Ok(vec![Finding::Row(Row::compared(
        "page cache of 10 servers that read the same 200 MB / 10 copies",
        "MiB",
        Some(Target::AtMost(0.12)),
        &ours,
        &copies,
    ))])
}

fn ports() -> std::ops::Range<u16> {
    FIRST..FIRST + SERVERS
}

/// By how much the page cache of this machine grows, in MiB, when ten servers start that read their game.
fn read_by(start: impl Fn() -> Result<()>, tree: impl Fn(u16) -> String) -> Result<f64> {
    // Only what is clean can be let go of.
    shell("sync")?;
    evict(&format!("{ROOT}/installation"))?;
    for port in ports() {
        evict(&format!("/srv/bench/copy-{port}"))?;
    }
    let before = cached()?;
    start()?;
    for port in ports() {
        first_answer(port, LIMIT)?;
    }
    let grown = cached()? - before;
    for port in ports() {
        // Or memory ran out, and the figure is too small.
        let (size, resident) = (size(&tree(port))?, resident(&tree(port))?);
        ensure!(resident >= size * 0.99, "of {size} bytes of server {port} only {resident} are in memory");
    }
    Ok(grown)
}

/// The kernel's own figure, of the whole machine, in MiB.
fn cached() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("Cached:")?.split_whitespace().next());
    Ok(kib.context("no Cached in /proc/meminfo")?.parse::<f64>()? / 1024.0)
}

/// Takes a tree's files out of the page cache, and no others: this machine has other work, too.
fn evict(tree: &str) -> Result<()> {
    shell(&format!("find {tree} -type f -exec dd if='{{}}' iflag=nocache count=0 status=none ';'"))?;
    let resident = resident(tree)?;
    ensure!(resident < 4e6, "{resident} bytes of {tree} stay in memory");
    Ok(())
}

fn size(tree: &str) -> Result<f64> {
    sum(&format!("find {tree} -type f -printf '%s\\n'"))
}

/// By cachestat(2) or mincore(2).
fn resident(tree: &str) -> Result<f64> {
    sum(&format!("find {tree} -type f -size +0 -exec fincore --bytes --noheadings --output RES {{}} +"))
}
