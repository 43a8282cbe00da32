//! `cargo xtask bench`: the speeds that are promised, each as ours ÷ a reference, interleaved in one run.
//!
//! It runs on a booted Debian 13 in a container, but for what needs none. Absolute times are this machine's; ratios are what counts.

mod live;
mod sweep;
mod updates;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::{BIN_DIR, Container, Machine, install_left4me, make_ready};

const ROOT: &str = "/var/lib/left4me";

/// The same program as a unit with nothing around it.
const BARE: &str =
    "[Service]\nType=exec\nUser=left4me\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

/// All of it, or with `sweep` what needs no machine of its own, and no root, with `live` what running servers cost, with
/// `updates` what updates of the game do.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let only = match args {
        [] => "",
        [what] if ["sweep", "live", "updates"].contains(&what.as_str()) => what,
        _ => bail!("bench takes `sweep`, `live`, `updates` or nothing; `cargo xtask` lists it"),
    };
    head();
    if ["", "sweep"].contains(&only) {
        sweep::run()?;
    }
    if only == "sweep" {
        return Ok(());
    }
    make_ready(false)?;
    let mut machine = Container::boot()?;
    install_left4me(&mut machine)?;
    for part in ["live", "updates", ""] {
        if only.is_empty() || only == part {
            print!("{}", machine.ok(&format!("{BIN_DIR}/xtask bench-inside {part}"))?);
        }
    }
    Ok(())
}

/// The measurements, inside the machine: those with running servers, or the others.
pub(crate) fn inside(args: &[String]) -> Result<()> {
    match args {
        [part] if part == "live" => return live::run(),
        [_] => return updates::run(),
        _ => {}
    }
    prepare()?;
    starts("")?;
    mounts()?;
    let mut of_100 = 1.0;
    for n in 0..300_u16 {
        initialize(&format!("n{n}"), 28000 + n)?;
        if n == 99 {
            of_100 = status(100, 2.0)?;
        }
    }
    // Not a promise by itself; that it grows no faster than the number of instances is.
    let ratio = status(300, f64::INFINITY)? / of_100;
    println!("status of 300 instances / of 100: {ratio:.2}  ≤ 3 {}", if ratio <= 3.0 { "ok" } else { "MISSED" });
    enable_all()?;
    starts(", 300 enabled instances")?;
    sizes()
}

fn head() {
    println!(
        "{:58} {:>9} {:>9} {:>6} {:>13}  target",
        "ours / reference (medians)", "ours", "reference", "ratio", "spread"
    );
}

/// Runs a script: directly where it is one command of plain words, as a shell's own start would blur what is measured.
fn shell(script: &str) -> Result<()> {
    let mut words = script.split(' ');
    let mut command = if script.contains(|c: char| "|&;<>()$`\\\"'*?[#~".contains(c)) {
        let mut sh = Command::new("/bin/sh");
        sh.args(["-c", script]);
        sh
    } else {
        let mut direct = Command::new(words.next().unwrap_or_default());
        direct.args(words);
        direct
    };
    // mount(8) would otherwise use the new API with strings of at most 255 characters, and refuse ten ordinary layers.
    command.env("LIBMOUNT_FORCE_MOUNT2", "always").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("can't run {script}"))?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn time(script: &str) -> Result<Duration> {
    let start = Instant::now();
    shell(script)?;
    Ok(start.elapsed())
}

/// Ten overlays, the units to compare with, and an instance of ten overlays.
fn prepare() -> Result<()> {
    let overlays: Vec<String> = (0..10).map(|n| format!("o{n}")).collect();
    for overlay in &overlays {
        shell(&format!("sudo -u left4me mkdir -p {ROOT}/overlays/{overlay}/left4dead2"))?;
    }
    shell(&format!(
        "printf 'port: 27500\\noverlays: [{}]\\n' | sudo -u left4me l4d2ctl initialize bench -f -",
        overlays.join(", ")
    ))?;
    fs::write("/etc/systemd/system/bare.service", BARE)?;
    // The same unit without its mount: the lines that make it, and what would need it, are taken away.
    let drop_in = "/run/systemd/system/left4me-server@nomount.service.d";
    fs::create_dir_all(drop_in)?;
    fs::write(
        format!("{drop_in}/nomount.conf"),
        "[Service]\nExecStartPre=\nExecStopPost=\nExecStop=\nExecStart=\nExecStart=/usr/bin/sleep infinity\n",
    )?;
    initialize("nomount", 27501)?;
    fs::write("/etc/sudoers.d/bench", "left4me ALL=(root) NOPASSWD: /usr/bin/systemctl\n")?;
    shell("systemctl daemon-reload")
}

fn initialize(name: &str, port: u16) -> Result<()> {
    shell(&format!("printf 'port: {port}\\n' | sudo -u left4me l4d2ctl initialize {name} -f -"))
}

/// As after a start of each: a link, which is what makes the manager's reload slow.
fn enable_all() -> Result<()> {
    shell(
        "for i in $(seq 0 299); do ln -s /usr/local/lib/systemd/system/left4me-server@.service \
         /etc/systemd/system/multi-user.target.wants/left4me-server@n$i.service; done; systemctl daemon-reload",
    )
}

fn starts(more: &str) -> Result<()> {
    let as_user =
        |script: &str| format!("setpriv --reuid=left4me --regid=left4me --clear-groups env HOME={ROOT} {script}");
    let (start, stop) = (as_user("l4d2ctl start bench"), as_user("l4d2ctl stop bench"));
    let bare = (
        as_user("sudo -n systemctl enable --now bare"),
        "systemctl disable --now bare; systemctl reset-failed bare; true",
    );
    compare(
        &format!("l4d2ctl start, 10 overlays / enable --now of a bare unit{more}"),
        1.25,
        15,
        (&start, &stop),
        (&bare.0, bare.1),
    )?;
    let (bare_start, bare_stop) = (as_user("l4d2ctl start nomount"), as_user("l4d2ctl stop nomount"));
    compare(
        &format!("l4d2ctl start / the same unit without its mount lines{more}"),
        1.2,
        15,
        (&start, &stop),
        (&bare_start, &bare_stop),
    )?;
    Ok(())
}

fn mounts() -> Result<()> {
    let lower: Vec<String> =
        (0..10).map(|n| format!("{ROOT}/overlays/o{n}")).chain([format!("{ROOT}/installation")]).collect();
    shell("mkdir -p /srv/bench/upper /srv/bench/work /srv/bench/merged")?;
    let reference = format!(
        "nsenter --mount=/proc/1/ns/mnt -- mount -t overlay bench \
         -o lowerdir={},upperdir=/srv/bench/upper,workdir=/srv/bench/work /srv/bench/merged",
        lower.join(":")
    );
    let helper = "/usr/local/libexec/left4me/left4me-overlay";
    let ours = (format!("{helper} mount bench"), format!("{helper} umount bench"));
    compare(
        "left4me-overlay mount, 11 layers / nsenter … mount -t overlay",
        0.6,
        50,
        (&ours.0, &ours.1),
        (&reference, "umount /srv/bench/merged"),
    )?;
    Ok(())
}

fn status(count: usize, target: f64) -> Result<f64> {
    let ours = format!(
        "setpriv --reuid=left4me --regid=left4me --clear-groups env HOME={ROOT} l4d2ctl status --no-query --json >/dev/null"
    );
    let reference = "setpriv --reuid=left4me --regid=left4me --clear-groups systemctl list-units --all -o json 'left4me-server@*' >/dev/null";
    compare(
        &format!("l4d2ctl status --no-query --json of {count} / systemctl list-units"),
        target,
        21,
        (&ours, "true"),
        (reference, "true"),
    )
}

/// Times both in turn, undoing each, and prints a [row]. Our median, in milliseconds.
fn compare(name: &str, target: f64, rounds: usize, ours: (&str, &str), reference: (&str, &str)) -> Result<f64> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.push(time(ours.0)?.as_secs_f64() * 1e3);
        shell(ours.1)?;
        b.push(time(reference.0)?.as_secs_f64() * 1e3);
        shell(reference.1)?;
    }
    Ok(row(name, target, a, b))
}

/// Prints the medians of times in milliseconds that were taken in turn, their ratio, and the ratio's spread. Our median.
fn row(name: &str, target: f64, mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    let rounds = a.len();
    let mut ratios: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a / b).collect();
    for values in [&mut a, &mut b, &mut ratios] {
        values.sort_by(f64::total_cmp);
    }
    let (ours, reference) = (a[rounds / 2], b[rounds / 2]);
    let (low, high) = (ratios[rounds / 10], ratios[rounds - 1 - rounds / 10]);
    let ratio = ours / reference;
    let verdict = if ratio <= target { "ok" } else { "MISSED" };
    // Two digits that count, also of a ratio like 1/20.
    let digits = if target < 0.5 { 3 } else { 2 };
    println!(
        "{name:58} {ours:6.1} ms {reference:6.1} ms {ratio:6.digits$} {low:5.digits$} – {high:5.digits$}  ≤ {target} {verdict}"
    );
    ours
}

/// What an instance costs on disk, and a running embedded supervisor in memory.
fn sizes() -> Result<()> {
    let used = |path: &str| -> Result<u64> {
        let output = Command::new("du").args(["-sk", path]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0))
    };
    let disk = used(&format!("{ROOT}/instances/n7"))? + used(&format!("{ROOT}/runtime/n7"))?;
    println!("disk of a fresh instance: {disk} KiB  ≤ 64 {}", if disk <= 64 { "ok" } else { "MISSED" });
    shell("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl start n7")?;
    let output = Command::new("pgrep").args(["-f", "supervise-init .* n7"]).output()?;
    let pid = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the supervisor does not run")?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().trim().to_owned();
    let kib: u64 = rss.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(u64::MAX);
    shell("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl stop n7")?;
    println!("resident memory of an embedded supervisor: {rss}  ≤ 3 MiB {}", if kib <= 3072 { "ok" } else { "MISSED" });
    Ok(())
}
