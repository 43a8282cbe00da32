//! The shell sessions in the documents do what they say: each page from top to bottom, on a Debian 13 of its own.

mod session;
mod stand_ins;

use anyhow::{Context, Result, ensure};

use super::Host;
use crate::build::{copy, project};
use crate::deb;
use crate::machine::{Answer, Container, Machine};
use session::{Step, parse};
use stand_ins::{STAND_INS, StandIn, What};

const QUICKSTART: &str = "docs/quickstart.md";

const OVERLAYS: &str = "docs/overlays.md";
const MIGRATING: &str = "docs/migrating.md";
const OPERATING: &str = "docs/operating.md";
const README: &str = "README.md";

/// Pages in which every command is run, or has a stand-in.
#[cfg(test)]
const PAGES: [&str; 3] = [QUICKSTART, OVERLAYS, MIGRATING];

/// The user who types: may use sudo, and is nobody else.
const ADMIN: &str = "admin";

/// Nothing but Debian, somebody who may use sudo, and the package, not installed.
fn bare() -> Result<Container> {
    let mut machine = Container::boot()?;
    let package = deb::package()?;
    let place = machine.tree().join("opt/package");
    std::fs::create_dir_all(&place)?;
    copy(&package, &place.join(package.file_name().context("a package without a name")?))?;
    machine.ok(&format!(
        "useradd --create-home --shell /bin/bash {ADMIN} && echo '{ADMIN} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{ADMIN}"
    ))?;
    Ok(machine)
}

pub(super) fn quickstart(_: &mut Host) -> Result<()> {
    run_all(&[QUICKSTART])
}

pub(super) fn overlays(_: &mut Host) -> Result<()> {
    run_all(&[QUICKSTART, OVERLAYS])
}

pub(super) fn migrating(_: &mut Host) -> Result<()> {
    run_all(&[QUICKSTART, MIGRATING])
}

/// Both of them where it is possible: they also list what there is.
pub(super) fn readme_and_operating(_: &mut Host) -> Result<()> {
    run_all(&[QUICKSTART, README, OPERATING])
}

/// The pages one after the other on one machine: each but the first begins where the first ends.
fn run_all(pages: &[&'static str]) -> Result<()> {
    let mut machine = bare()?;
    let mut different = String::new();
    for page in pages {
        for step in read(page)? {
            let place = || format!("{page}:{}: {}", step.line, step.first_line());
            // What else differs is worth to know; after a command that failed nothing is.
            if let Some(difference) =
                run(&mut machine, page, &step).with_context(|| format!("{different}{}", place()))?
            {
                different.push_str(&format!("{}: {difference}\n", place()));
            }
        }
    }
    ensure!(different.is_empty(), "{different}");
    Ok(())
}

fn read(page: &str) -> Result<Vec<Step>> {
    let text = std::fs::read_to_string(project().join(page)).with_context(|| format!("can't read {page}"))?;
    let steps = parse(&text).with_context(|| page.to_owned())?;
    ensure!(!steps.is_empty(), "{page} has no shell session");
    Ok(steps)
}

/// Runs a command; in what its output differs from the page's. An error where it ends otherwise than it is to.
fn run(machine: &mut Container, page: &str, step: &Step) -> Result<Option<String>> {
    let listed = STAND_INS.iter().find(|stand_in| (stand_in.page, stand_in.line) == (page, step.first_line()));
    if let Some(StandIn { why, what, .. }) = listed {
        let how = if matches!(what, What::Nothing) { "not run" } else { "run with a stand-in" };
        println!("          {page}:{}: {how}, as {why}: {}", step.line, step.first_line());
        match what {
            What::Nothing => return Ok(None),
            What::Instead(script) => return machine.ok(script).map(|_| None),
            What::After(script) => machine.ok(script)?,
        };
    }
    let answer = as_admin(machine, &step.command)?;
    ensure!(answer.code == step.code, "it is to end with {}: {}", step.code, answer.text());
    let differs = !step.accepts(&answer.stdout);
    Ok(differs.then(|| format!("it is to print\n{}\nand printed\n{}", step.prints.join("\n"), answer.stdout)))
}

/// As somebody types it who has just logged in, both streams in the order in which a terminal shows them.
fn as_admin(machine: &mut Container, command: &str) -> Result<Answer> {
    let typed = format!("exec 2>&1\n{command}").replace('\'', "'\\''");
    machine.run(&format!("runuser --login {ADMIN} --command '{typed}'"))
}
