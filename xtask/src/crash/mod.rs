//! `cargo xtask crash`: killing every command at every system call that it makes, or letting each call fail that can.
//!
//! On a booted Debian 13 in a container, with the programs as they are installed. After each: what is there is the old or
//! the new, whole; the same command, given again, succeeds; and nothing is left. docs/security.md has the figures.

mod errors;
mod inside;
mod scenes;
mod trace;
mod world;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::build::{cargo, programs_for_install, project, succeed};
use crate::machine::{BIN_DIR, Container, Machine, install_left4me, install_tools};

use errors::ERRORS;
use inside::Attack;
use scenes::SCENES;
use world::Supervisor;

pub(crate) use inside::run as inside;
pub(crate) use trace::{STUB, stub};

const SUPERVISORS: [(&str, Supervisor); 2] = [("systemd", Supervisor::Systemd), ("embedded", Supervisor::Embedded)];

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
        let names: Vec<&str> = attacks().collect();
        ensure!(known(&options.attacks, &names).is_none(), "--attack is one of {names:?}");
        Ok(options)
    }
}

fn attacks() -> impl Iterator<Item = &'static str> {
    Attack::KILLS.into_iter().map(|(name, _)| name).chain(ERRORS.into_iter().map(|(name, _)| name))
}

fn is_chosen(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|chosen| chosen == name)
}

/// What came of one command under one attack.
#[derive(Debug, Default)]
struct Count {
    places: u64,
    hit: u64,
    missed: Vec<String>,
    failures: Vec<String>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    install_tools(false)?;
    programs_for_install(&project().join("target/install"))?;
    succeed(&mut cargo(&["build", "--quiet", "--release", "--package", "srcds-sim"]))?;
    let mut machine = Container::boot()?;
    install_left4me(&mut machine)?;
    let failures = attack_all(&mut machine, &options)?;
    ensure!(failures == 0, "{failures} places where something did not hold");
    Ok(())
}

/// Every chosen command under every chosen attack; says how often something did not hold.
fn attack_all(machine: &mut dyn Machine, options: &Options) -> Result<usize> {
    println!(
        "{:10} {:14} {:12} {:>7} {:>7} {:>7} {:>7}",
        "supervisor", "command", "attack", "places", "hit", "missed", "failed"
    );
    let (mut sum, mut failures) = ([0_u64; 3], 0);
    for (name, supervisor) in SUPERVISORS.into_iter().filter(|(name, _)| is_chosen(&options.supervisors, name)) {
        for scene in SCENES.iter().filter(|scene| scene.is_of(supervisor) && is_chosen(&options.commands, scene.name)) {
            for attack in attacks().filter(|attack| is_chosen(&options.attacks, attack)) {
                // Neither has a part in it.
                if supervisor == Supervisor::Embedded && matches!(attack, "kill-others" | "kill-pid1") {
                    continue;
                }
                let count = attack_one(machine, [name, scene.name, attack], options.points)?;
                let missed = count.missed.len();
                println!(
                    "{name:10} {:14} {attack:12} {:>7} {:>7} {missed:>7} {:>7}",
                    scene.name,
                    count.places,
                    count.hit,
                    count.failures.len()
                );
                count.missed.iter().for_each(|place| println!("    not reached: {place}"));
                count.failures.iter().for_each(|failure| println!("    {failure}"));
                sum = [sum[0] + count.places, sum[1] + count.hit, sum[2] + missed as u64];
                failures += count.failures.len();
            }
        }
    }
    println!(
        "in all: {} places, {} hit, {} not reached in three tries, {failures} where something did not hold",
        sum[0], sum[1], sum[2]
    );
    Ok(failures)
}

fn attack_one(machine: &mut dyn Machine, what: [&str; 3], points: usize) -> Result<Count> {
    let mut count = Count::default();
    let mut next = 0;
    loop {
        let script = format!("{BIN_DIR}/xtask crash-inside {} {next} {points}", what.join(" "));
        let said = machine.ok(&script)?;
        let (lines, last) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        count.failures.extend(lines.lines().map(str::to_owned));
        let json: Value = serde_json::from_str(last).with_context(|| format!("{script} said {said}"))?;
        let number = |key: &str| json[key].as_u64().with_context(|| format!("no {key} in {json}"));
        count.places = number("places")?;
        count.hit += number("hit")?;
        count.missed.extend(
            json["missed"].as_array().into_iter().flatten().map(|place| place.as_str().unwrap_or("?").to_owned()),
        );
        next = number("next")?;
        if number("left")? == 0 {
            return Ok(count);
        }
    }
}
