//! `cargo xtask crash`: killing every command at every system call that it makes, letting each call fail that can, or
//! leaving it little room on the disk.
//!
//! On a booted Debian 13 in a container, with the programs as they are installed. After each: what is there is the old or
//! the new, whole; a server that was to go on has noticed nothing; the same command, given again, succeeds; and nothing is
//! left. docs/security.md has the figures.

mod attack;
mod errors;
mod forbid;
mod game;
mod inside;
mod scenes;
mod trace;
mod world;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::machine::{Container, Machine, XTASK, install_left4me, make_ready};

use attack::attacks;
use scenes::SCENES;
use world::Supervisor;

pub(crate) use forbid::{WITHOUT_USER_NAMESPACES, without_user_namespaces};
pub(crate) use inside::run as inside;
pub(crate) use trace::{STUB, stub};

const SUPERVISORS: [(&str, Supervisor); 2] = [("systemd", Supervisor::Systemd), ("embedded", Supervisor::Embedded)];

/// What the commands write and sync lies in memory: a kill shows nothing of what is on disk (`cargo xtask power` does), and
/// syncing a disk ten thousand times is what would take the hours.
const IN_MEMORY: &str = "mkdir -p /var/lib/left4me && mount -t tmpfs -o mode=755 none /var/lib/left4me && \
    cp -a /etc/systemd/system /run/units && mount --bind /run/units /etc/systemd/system";

/// What is to be done; empty lists stand for all.
#[derive(Debug, Default)]
struct Options {
    supervisors: Vec<String>,
    commands: Vec<String>,
    attacks: Vec<String>,
    /// Of each command under each attack, so many places at most; 0: all.
    points: usize,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("{arg} needs a value"))?.clone();
            match arg.as_str() {
                "--supervisor" => options.supervisors.push(value),
                "--command" => options.commands.push(value),
                "--attack" => options.attacks.push(value),
                "--points" => options.points = value.parse().context("--points takes a number")?,
                _ => bail!("unknown argument {arg}; `cargo xtask` lists them"),
            }
        }
        let known = |list: &[String], names: &[&str]| list.iter().find(|name| !names.contains(&name.as_str())).cloned();
        let names = SUPERVISORS.map(|(name, _)| name);
        ensure!(known(&options.supervisors, &names).is_none(), "--supervisor is one of {names:?}");
        let names = SCENES.each_ref().map(|scene| scene.name);
        ensure!(known(&options.commands, &names).is_none(), "--command is one of {names:?}");
        let names: Vec<&str> = attacks().map(|(name, _)| name).collect();
        ensure!(known(&options.attacks, &names).is_none(), "--attack is one of {names:?}");
        Ok(options)
    }
}

fn is_chosen(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|chosen| chosen == name)
}

/// What came of one command under one attack.
#[derive(Debug, Default)]
struct Count {
    hit: usize,
    missed: Vec<String>,
    failures: Vec<String>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    make_ready(false)?;
    let mut machine = Container::boot()?;
    machine.ok(IN_MEMORY)?;
    install_left4me(&mut machine)?;
    let failures = attack_all(&mut machine, &options, &mut |line| println!("{line}"))?;
    ensure!(failures == 0, "{failures} places where something did not hold");
    Ok(())
}

/// One place of each command under each attack, on a machine where left4me is installed.
pub(crate) fn sample(machine: &mut dyn Machine) -> Result<()> {
    let mut report = Vec::new();
    // Room is only taken on a file system of its own.
    let attacks = attacks().map(|(name, _)| name.to_owned()).filter(|name| name != "full").collect();
    let options = Options { points: 1, attacks, ..Options::default() };
    let failures = attack_all(machine, &options, &mut |line| report.push(line))?;
    ensure!(failures == 0, "something did not hold:\n{}", report.join("\n"));
    Ok(())
}

/// Every chosen command under every chosen attack; says how often something did not hold.
fn attack_all(machine: &mut dyn Machine, options: &Options, tell: &mut dyn FnMut(String)) -> Result<usize> {
    tell("supervisor command        attack        places     hit  missed  failed".to_owned());
    let (mut all, mut hit, mut missed, mut failed) = (0, 0, 0, 0);
    for (name, supervisor) in SUPERVISORS.into_iter().filter(|(name, _)| is_chosen(&options.supervisors, name)) {
        // PID 1 has no part in the embedded one's.
        let has_part = |attack: &&str| supervisor == Supervisor::Systemd || *attack != "kill-pid1";
        let attacks: Vec<_> = attacks()
            .map(|(name, _)| name)
            .filter(has_part)
            .filter(|attack| is_chosen(&options.attacks, attack))
            .collect();
        for scene in SCENES.iter().filter(|scene| scene.is_of(supervisor) && is_chosen(&options.commands, scene.name)) {
            let counts = attack_one(machine, [name, scene.name, &attacks.join(",")], options.points)?;
            for (attack, count) in counts {
                let places = count.hit + count.missed.len() + count.failures.len();
                let line = [places, count.hit, count.missed.len(), count.failures.len()];
                let numbers: String = line.iter().map(|number| format!(" {number:>7}")).collect();
                tell(format!("{name:10} {:14} {attack:12}{numbers}", scene.name));
                count.missed.iter().for_each(|place| tell(format!("    not reached: {place}")));
                count.failures.iter().for_each(|failure| tell(format!("    FAILED at {failure}")));
                (all, hit) = (all + places, hit + count.hit + count.failures.len());
                (missed, failed) = (missed + count.missed.len(), failed + count.failures.len());
            }
        }
    }
    tell(format!(
        "in all: {all} places, {hit} hit, {missed} not reached in three tries, {failed} where something did not hold"
    ));
    Ok(failed)
}

/// One command under these attacks, by attack.
fn attack_one(machine: &mut dyn Machine, what: [&str; 3], points: usize) -> Result<BTreeMap<String, Count>> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let (mut next, mut told) = (0, 0);
    loop {
        let script = format!("{XTASK} crash-inside {} {points} {next}", what.join(" "));
        let said = machine.ok(&script)?;
        let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let (last, places) = lines.split_last().with_context(|| format!("{script} said nothing"))?;
        for place in places {
            let count = counts.entry(place["attack"].as_str().context("an attack has a name")?.to_owned()).or_default();
            let text = place["text"].as_str().unwrap_or_default().to_owned();
            match place["outcome"].as_str() {
                Some("hit") => count.hit += 1,
                Some("missed") => count.missed.push(text),
                _ => count.failures.push(text),
            }
        }
        next = last["next"].as_u64().with_context(|| format!("{script} said {said}"))?;
        if last["left"] == 0 {
            return Ok(counts);
        }
        // The rest takes a while, up to hours in all.
        let failures: Vec<&String> = counts.values().flat_map(|count| &count.failures).collect();
        eprintln!("{} {}: {next} places tried, {} failed, {} to go", what[0], what[1], failures.len(), last["left"]);
        failures.iter().skip(told).for_each(|failure| eprintln!("    FAILED at {failure}"));
        told = failures.len();
    }
}
