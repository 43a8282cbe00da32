//! `cargo xtask fuzz`: libFuzzer on every target of `fuzz/`, for so long each.
//!
//! Coverage comes from LLVM's own pass, which the stable compiler can be told to run; a sanitizer, which it can't, would
//! find little in code without `unsafe`. Overflows and debug assertions are checked (`[profile.fuzz]`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::build::{cargo, project, succeed, target_dir};
use crate::machine::install_cxx_compiler;

/// Has the compiler count which branches are taken, and tell what is compared with what.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// What one input may take: seconds, and MiB of memory for the whole process.
const LIMITS: [&str; 4] = ["-timeout=10", "-rss_limit_mb=512", "-malloc_limit_mb=128", "-max_len=16384"];

#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u64,
    /// None named: all.
    targets: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { seconds: 60, targets: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("{arg} is not known, or lacks its value"))?;
            match arg.as_str() {
                "--seconds" => options.seconds = value.parse().with_context(|| format!("{value:?} is no number"))?,
                "--target" => options.targets.push(value.clone()),
                _ => bail!("unknown argument {arg}; `cargo xtask` lists them"),
            }
        }
        ensure!(options.seconds > 0, "libFuzzer takes 0 seconds for no limit");
        Ok(options)
    }
}

/// What one target's run came to.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    executions: u64,
    /// How many branches were seen taken.
    coverage: u64,
}

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    let targets = choose(&options.targets)?;
    let program = build()?;
    prove(&program)?;
    println!("{} targets, {} s each", targets.len(), options.seconds);
    let (mut total, mut broken) = (0, Vec::new());
    for target in &targets {
        let place = place_of(target);
        let output = fuzz(&program, target, &place, options.seconds)?;
        let text = String::from_utf8_lossy(&output.stderr);
        let counts = count(&text).filter(|_| output.status.success());
        if let Some(Counts { executions, coverage }) = counts {
            println!("  ok      {target:18} {executions:>12} executions, {coverage} branches");
            total += executions;
        } else {
            println!("  BROKEN  {target:18} {}\n{}", output.status, tail(&text));
            broken.push((target, place));
        }
    }
    println!("{total} executions, {} of {} targets broken", broken.len(), targets.len());
    for (target, place) in &broken {
        println!("broken: {target}: the input is in {} (crash-…, timeout-… or oom-…)", place.display());
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The named targets, or all: each has its directory of samples.
fn choose(named: &[String]) -> Result<Vec<String>> {
    let corpus = project().join("fuzz/corpus");
    let mut known = Vec::new();
    for entry in fs::read_dir(&corpus).with_context(|| format!("can't list {}", corpus.display()))? {
        known.extend(entry?.file_name().into_string());
    }
    known.sort_unstable();
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown:?}; there are {}", known.join(", "));
    }
    Ok(if named.is_empty() { known } else { named.to_vec() })
}

/// Builds the program that holds all targets, with libFuzzer, which is C++.
fn build() -> Result<PathBuf> {
    install_cxx_compiler()?;
    let args = ["build", "--quiet", "--profile", "fuzz", "--package", "fuzz", "--features", "libfuzzer"];
    succeed(cargo(&args).args(["--bin", "libfuzzer"]).env("RUSTFLAGS", FLAGS))?;
    Ok(target_dir("fuzz")?.join("libfuzzer"))
}

/// Sees that what is there to be found is found, and that it is told: guided by coverage it takes a second.
fn prove(program: &Path) -> Result<()> {
    const SECONDS: u64 = 30;
    let place = place_of("find_me");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("can't remove {}", place.display()))?;
    }
    let output = fuzz(program, "find_me", &place, SECONDS)?;
    let mut found = false;
    for entry in fs::read_dir(&place).with_context(|| format!("can't list {}", place.display()))? {
        let path = entry?.path();
        found |= path.is_file() && fs::read(path)?.starts_with(b"l4d2");
    }
    ensure!(found && !output.status.success(), "what is there to be found was not found: is there no coverage?");
    Ok(())
}

/// Where a target's finds are, and what is kept for its next run.
fn place_of(target: &str) -> PathBuf {
    project().join("target/fuzzing").join(target)
}

/// Runs a target. What is worth keeping is kept for the next run; the samples of the corpus are only read.
fn fuzz(program: &Path, target: &str, place: &Path, seconds: u64) -> Result<Output> {
    let kept = place.join("corpus");
    fs::create_dir_all(&kept).with_context(|| format!("can't make {}", kept.display()))?;
    let mut command = Command::new(program);
    command.args(LIMITS).arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    command.arg(format!("-artifact_prefix={}/", place.display()));
    let samples = project().join("fuzz/corpus").join(target);
    command.arg(&kept).args(Some(samples).filter(|samples| samples.is_dir()));
    command.env("LEFT4ME_FUZZ_TARGET", target).stdin(Stdio::null());
    command.output().with_context(|| format!("can't run {}", program.display()))
}

/// What libFuzzer says at its end: `#123 DONE cov: 45 ft: …` and `stat::number_of_executed_units: 123`.
fn count(text: &str) -> Option<Counts> {
    let after = |line: &str, what: &str| line.split_once(what)?.1.split_whitespace().next()?.parse().ok();
    let find = |what: &str| text.lines().rev().find_map(|line| after(line, what));
    Some(Counts { executions: find("stat::number_of_executed_units:")?, coverage: find(" cov: ")? })
}

/// The last lines that tell something.
fn tail(text: &str) -> String {
    let noise = ["#", "INFO:", "WARNING:", "stat::", "NEW_FUNC"];
    let lines: Vec<&str> = text.lines().filter(|line| !noise.iter().any(|noise| line.starts_with(noise))).collect();
    lines[lines.len().saturating_sub(40)..].iter().map(|line| format!("          {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_and_what_is_chosen() {
        let parse = |args: &str| Options::parse(&args.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let options = parse("--seconds 5 --target spec --target names").unwrap();
        assert_eq!(options, Options { seconds: 5, targets: vec!["spec".to_owned(), "names".to_owned()] });
        assert_eq!(parse("").unwrap().seconds, 60);
        for args in ["--seconds", "--seconds x", "--seconds 0", "--only spec"] {
            assert!(parse(args).is_err(), "{args}");
        }
        assert!(choose(&["moon".to_owned()]).unwrap_err().to_string().contains("spec"));
    }

    #[test]
    fn what_libfuzzer_says_at_its_end() {
        let text = "#2\tINITED cov: 8 ft: 8\n#99\tDONE   cov: 12 ft: 12 corp: 5/25b\n\
            Done 99 runs in 2 second(s)\nstat::number_of_executed_units: 99\nstat::peak_rss_mb: 27\n";
        assert_eq!(count(text), Some(Counts { executions: 99, coverage: 12 }));
        assert_eq!(count("==1== ERROR: libFuzzer: deadly signal\n"), None);
    }
}
