//! `cargo xtask bench`: the speeds that are promised, each as ours ÷ a reference, interleaved in one run; `docs/figures.md`
//! says what each row is.
//!
//! Each part that needs one runs on a Debian 13 of its own, booted in a container. Absolute times are this machine's; ratios
//! are what counts.

mod cache;
mod create;
mod live;
mod logs;
mod measure;
mod report;
mod scale;
mod start;
mod svg;
mod sweep;
mod table;
mod updates;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::build::project;
use crate::machine::{Container, Machine, RootFs, XTASK, install_left4me, install_programs, make_ready};
use report::{Finding, Part, Report};

/// What measures a part, inside of a machine.
type Measure = fn() -> Result<Vec<Finding>>;

/// A machine's command may take ten minutes, and so may a part.
const PARTS: [(&str, Measure); 8] = [
    (sweep::PART, sweep::run),
    ("start", start::run),
    ("create", create::run),
    ("updates", updates::run),
    ("scale", scale::run),
    ("live", live::run),
    ("cache", cache::run),
    ("logs", logs::run),
];

/// Where the rows of all parts come together.
const JSON: &str = "target/bench.json";

/// Their place in the documents, with `--save`.
const SAVED_JSON: &str = "docs/bench.json";
const SAVED_SVG: &str = "docs/bench.svg";

/// Runs the named parts, or all, prints one table of everything measured so far, and writes it. Fails if a row of these
/// parts misses its target; the figures are written all the same.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let (save, wanted) = wanted(args)?;
    let path = project().join(JSON);
    if save && !path.exists() && project().join(SAVED_JSON).exists() {
        // The parts that are not run this time keep the rows that were saved.
        fs::create_dir_all(project().join("target"))?;
        fs::copy(project().join(SAVED_JSON), &path)?;
    }
    let mut missed = 0;
    for name in &wanted {
        let begun = Instant::now();
        let part = measure(name).with_context(|| format!("part {name}"))?;
        missed += part.rows.iter().filter(|row| row.is_missed()).count();
        // After each, so that a part that fails takes no other's rows with it.
        let mut report = Report::read(&path)?;
        report.parts.insert((*name).to_owned(), part);
        report.write(&path)?;
        eprintln!("part {name} took {} s", begun.elapsed().as_secs());
    }
    let (report, order) = (Report::read(&path)?, order());
    print!("{}", table::table(&report.rows(&order)));
    if save {
        report.write(&project().join(SAVED_JSON))?;
        write(&project().join(SAVED_SVG), &svg::draw(&report, &order))?;
    }
    if missed > 0 {
        eprintln!("{missed} of the rows just measured miss their target");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn order() -> Vec<&'static str> {
    PARTS.iter().map(|(name, _)| *name).collect()
}

/// Whether to save, and the parts in the order in which they are run.
fn wanted(args: &[String]) -> Result<(bool, Vec<&'static str>)> {
    let (options, names): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| arg.starts_with('-'));
    if let Some(other) = options.iter().find(|option| **option != "--save") {
        bail!("bench has no option {other}, only --save");
    }
    if let Some(other) = names.iter().find(|name| !order().contains(&name.as_str())) {
        bail!("bench has no part {other}; its parts are {}", order().join(", "));
    }
    let is_wanted = |part: &&str| names.is_empty() || names.iter().any(|name| name == part);
    Ok((!options.is_empty(), order().into_iter().filter(is_wanted).collect()))
}

fn measure(name: &str) -> Result<Part> {
    let mut part = Part {
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        load: load()?,
        ..Part::default()
    };
    if name == sweep::PART {
        sweep::run()?.into_iter().for_each(|finding| part.take(finding));
        return Ok(part);
    }
    make_ready(false)?;
    let mut machine = Container::boot_with(RootFs::Bench)?;
    if ["create", "cache"].contains(&name) {
        install_programs(&mut machine)?;
        measure::install_large(&mut machine)?;
    } else {
        install_left4me(&mut machine)?;
    }
    for line in machine.ok(&format!("{XTASK} bench-inside {name}"))?.lines() {
        part.take(serde_json::from_str(line).with_context(|| format!("no finding: {line}"))?);
    }
    Ok(part)
}

/// Inside of a machine: measures a part, and prints what it found.
pub(crate) fn inside(args: &[String]) -> Result<()> {
    let measure = PARTS.iter().find(|(name, _)| args == [*name]).map(|(_, measure)| measure).context("no such part")?;
    for finding in measure()? {
        println!("{}", serde_json::to_string(&finding)?);
    }
    Ok(())
}

fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|load| load.parse().ok()).context("no load in /proc/loadavg")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_run_in_their_own_order() {
        let wanted = |args: &[&str]| wanted(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(wanted(&[]).unwrap(), (false, order()));
        assert_eq!(wanted(&["live", "--save", "start"]).unwrap(), (true, vec!["start", "live"]));
        assert!(wanted(&["--svae"]).is_err() && wanted(&["lvie"]).is_err());
    }
}
