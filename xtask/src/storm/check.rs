//! What is to hold before and after a storm, seen with other eyes than `l4d2ctl`'s.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Options;
use super::commands::{is_kept, l4d2ctl, name, spec};
use crate::game::Builds;
use crate::onlooker::{ROOT, entries, held, password, path};

/// A server that keeps crashing comes to rest in a minute (five starts, five seconds apart).
const SETTLE: Duration = Duration::from_secs(120);

/// The passwords of the instances that are never deleted.
pub(super) type Passwords = BTreeMap<String, String>;

/// Makes the overlays and every instance.
pub(super) fn prepare(options: &Options) -> Result<Passwords> {
    for overlay in ["a", "b"] {
        let cfg = format!("{ROOT}/overlays/storm/{overlay}/left4dead2/cfg");
        fs::create_dir_all(&cfg)?;
        fs::write(format!("{cfg}/server.cfg"), format!("sv_from {overlay}\n"))?;
    }
    let mut passwords = Passwords::new();
    for index in 0..options.instances {
        let spec = spec(27_200 + index, "[storm/a]", "  - log on\n");
        ok(options, &["initialize", &name(index), "-f", "-"], &spec)?;
        if is_kept(index) {
            passwords.insert(name(index), password(&name(index))?);
        }
    }
    Ok(passwords)
}

fn ok(options: &Options, args: &[&str], stdin: &str) -> Result<String> {
    let output = l4d2ctl(options, args, stdin, 9_450_001)?;
    ensure!(output.status.success(), "l4d2ctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The end: everything is as `status` says, and then everything is deleted and nothing is left.
///
/// An install that waited for a lock in vain keeps its update for the next, which goes on with it or begins anew.
pub(super) fn end(options: &Options, before: &Passwords, an_install_gave_up: bool) -> Result<()> {
    let statuses = settled(options)?;
    for (name, status) in &statuses {
        compare(options, name, status).with_context(|| format!("the status is {status}"))?;
    }
    if !options.embedded {
        let running: Vec<&String> =
            statuses.iter().filter(|(_, s)| s["state"] == "running").map(|(name, _)| name).collect();
        let enabled: Vec<&String> =
            statuses.iter().filter(|(_, s)| s["enabled"] == true).map(|(name, _)| name).collect();
        let held = held()?;
        let is = |found: &[String], wanted: &[&String]| found.iter().eq(wanted.iter().copied());
        let agree = is(&held.mounts, &running) && is(&held.records, &running) && is(&held.enabled, &enabled);
        ensure!(agree, "the host holds {held:?}, and the statuses are {statuses:?}");
        ensure!(running.iter().all(|name| enabled.contains(name)), "one runs and is not enabled: {statuses:?}");
    }
    let names: Vec<&String> = statuses.keys().collect();
    for dir in ["instances", "runtime"] {
        let there = entries(path(dir));
        ensure!(there.iter().eq(names.iter().copied()), "{dir} has {there:?}, and status {names:?}");
    }
    for (name, password_before) in before {
        ensure!(password(name)? == *password_before, "the password of {name} changed");
    }
    builds_are_whole(options)?;
    if an_install_gave_up {
        ok(options, &["install"], "")?;
    }
    let left = entries(path("tmp"));
    ensure!(left.is_empty(), "in tmp there is {left:?}");
    let states: Vec<String> = statuses.values().map(|status| status["state"].to_string()).collect();
    println!("in the end: {}", states.join(", "));
    for name in names {
        ok(options, &["delete", name], "")?;
    }
    nothing_is_left(options)
}

/// Every build is what was installed. What the last of all prunes leaves is named, or was in use then.
fn builds_are_whole(options: &Options) -> Result<()> {
    ok(options, &["verify"], "")?;
    ok(options, &["prune"], "")?;
    let builds = Builds::read(Path::new(ROOT))?;
    let generations = entries(path("generations"));
    println!("builds: {:?}, generations: {generations:?}", builds.numbers());
    let running = statuses(options)?.values().any(|status| status["state"] != "stopped");
    if running { Ok(()) } else { builds.check_no_garbage(Path::new(ROOT)) }
}

fn nothing_is_left(options: &Options) -> Result<()> {
    for dir in ["instances", "runtime", "tmp"] {
        let left = entries(path(dir));
        ensure!(left.is_empty(), "in {dir} there is {left:?}");
    }
    ensure!(statuses(options)?.is_empty(), "status has instances");
    ok(options, &["prune", "--keep", "0"], "")?;
    let builds = Builds::read(Path::new(ROOT))?;
    builds.check_no_garbage(Path::new(ROOT))?;
    ensure!(builds.all.len() == 1 && builds.all[0].generations.is_empty(), "after the last prune there is {builds:?}");
    for index in 0..options.instances {
        ensure!(supervisors(&name(index))? == 0, "{} is left", name(index));
    }
    let held = held()?;
    ensure!(held.mounts.is_empty() && held.records.is_empty() && held.enabled.is_empty(), "the host holds {held:?}");
    // Under systemd a user can't see other namespaces' processes any better: the game's name is enough.
    let games = processes("", |arguments| arguments.first().is_some_and(|program| program.contains("srcds")))?;
    ensure!(games == 0, "{games} servers are left");
    Ok(())
}

/// All statuses by name, as soon as no instance is between two states.
fn settled(options: &Options) -> Result<BTreeMap<String, Value>> {
    let until = Instant::now() + SETTLE;
    loop {
        let statuses = statuses(options)?;
        let rests = |status: &Value| ["running", "stopped", "failed"].iter().any(|state| status["state"] == *state);
        if statuses.values().all(rests) {
            // A server that is about to crash runs, too.
            std::thread::sleep(Duration::from_secs(4));
            if self::statuses(options)? == statuses {
                return Ok(statuses);
            }
        }
        ensure!(Instant::now() < until, "not settled: {statuses:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn statuses(options: &Options) -> Result<BTreeMap<String, Value>> {
    let document: Value = serde_json::from_str(&ok(options, &["status", "--no-query", "--json"], "")?)?;
    let instances = document["instances"].as_array().context("no instances")?.iter();
    Ok(instances.map(|status| (status["name"].as_str().unwrap_or_default().to_owned(), status.clone())).collect())
}

/// One instance: its files are whole, and it runs, is mounted and enabled just if the status says so.
fn compare(options: &Options, name: &str, status: &Value) -> Result<()> {
    let runs = status["state"] == "running";
    ensure!(!crate::machine::is_damaged(status), "it is damaged");
    password(name)?;
    let instance = format!("{ROOT}/instances/{name}");
    let sum = Command::new("sha256sum").arg(format!("{instance}/spec.yaml")).output()?;
    let revision = String::from_utf8_lossy(&sum.stdout).chars().take(16).collect::<String>();
    ensure!(status["revision"] == *revision, "the spec's revision is {revision}");
    for dir in ["upper", "merged"] {
        ensure!(path(&format!("runtime/{name}/{dir}")).is_dir(), "{dir} is missing");
    }
    if options.embedded {
        let count = supervisors(name)?;
        ensure!(count == usize::from(runs), "{count} supervisors run it");
        return Ok(());
    }
    let active = Command::new("systemctl").args(["is-active", &format!("left4me-server@{name}")]).output()?;
    let active = String::from_utf8_lossy(&active.stdout).trim().to_owned();
    ensure!((active == "active") == runs, "the unit is {active}");
    Ok(())
}

/// How many embedded supervisors an instance has.
fn supervisors(name: &str) -> Result<usize> {
    processes(name, |arguments| arguments.iter().any(|argument| argument == "supervise-init"))
}

/// How many processes with this last argument (or any) have a command line like that.
fn processes(last: &str, is: impl Fn(&[String]) -> bool) -> Result<usize> {
    let commands = fs::read_dir("/proc")?.flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = commands.map(|bytes| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned());
    let arguments = lines.map(|line| line.split('\0').map(str::to_owned).collect::<Vec<_>>());
    Ok(arguments
        .filter(|arguments| (last.is_empty() || arguments.last().is_some_and(|l| l == last)) && is(arguments))
        .count())
}
