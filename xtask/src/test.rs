//! `cargo xtask test`: everything that can be tested here, in one order, with one summary.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::build::{cargo, programs_for_install, project, succeed, target_dir};
use crate::machine::{Container, Vm, install_left4me, install_tools};
use crate::summary::{Summary, seconds};
use crate::system;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let vm = if has("--vm") {
        Scope::All
    } else if has("--no-vm") {
        Scope::None
    } else {
        Scope::Some
    };
    let filter: Vec<&str> =
        args.iter().map(String::as_str).filter(|arg| !["--vm", "--no-vm", "--system"].contains(arg)).collect();
    if let Some(unknown) = filter.iter().find(|arg| arg.starts_with('-')) {
        bail!("unknown argument {unknown}; `cargo xtask` lists them");
    }
    let filter = filter.first().copied().unwrap_or("");
    let root = fs::metadata("/proc/self")?.uid() == 0;
    let mut summary = Summary::default();

    // A filter names system tests; cargo itself takes one for the rest.
    if filter.is_empty() && !has("--system") {
        cargo_stage(&mut summary, "unit tests", &["--workspace", "--lib", "--bins"], false)?;
        cargo_stage(&mut summary, "command-line tests", &["--package", "l4d2ctl", "--tests"], false)?;
        cargo_stage(&mut summary, "namespace tests", &["--package", "left4me-overlay", "--test", "helper"], root)?;
        if root {
            cargo_stage(&mut summary, "command-line tests without root", &["--package", "l4d2ctl", "--tests"], true)?;
        }
    }
    if root {
        system_stage(&mut summary, vm, filter)?;
    } else {
        let count = system::TESTS.len();
        summary.skip(count, "system tests on a booted Debian 13 need root: `sudo cargo xtask test`");
    }
    if summary.end() { Ok(()) } else { bail!("tests failed") }
}

/// How much runs in the virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    None,
    Some,
    All,
}

/// Builds tests with cargo, and runs them; as an ordinary user if `drop_root`.
fn cargo_stage(summary: &mut Summary, name: &str, what: &[&str], drop_root: bool) -> Result<()> {
    let start = Instant::now();
    let mut command = cargo(&[&["test", "--quiet"][..], what].concat());
    if drop_root {
        as_nobody(&mut command)?;
    }
    let output = command.output().context("can't run cargo test")?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (passed, failed, ignored) = count(&text);
    println!("{name}: {passed} passed, {failed} failed ({})", seconds(start.elapsed()));
    let broken = !output.status.success();
    if broken {
        println!("{text}");
    }
    let failures = (0..failed.max(usize::from(broken))).map(|_| format!("one of the {name}")).collect();
    summary.count(passed, failures);
    if ignored > 0 {
        summary.skip(ignored, format!("ignored {name}: `cargo test -- --ignored`"));
    }
    Ok(())
}

/// Has cargo, which builds as root, run the test programs as somebody who may do little. Where he can't even see them (a
/// checkout in root's home), they are built once more in a place where he can.
fn as_nobody(command: &mut Command) -> Result<()> {
    const NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let scratch = std::env::temp_dir().join("left4me-test-nobody");
    fs::create_dir_all(scratch.join("tmp"))?;
    std::os::unix::fs::chown(scratch.join("tmp"), Some(65534), Some(65534))?;
    let built = target_dir("dev")?;
    let visible = Command::new(NOBODY[0]).args(&NOBODY[1..]).args(["test", "-x"]).arg(&built).status()?.success();
    if !visible {
        command.env("CARGO_TARGET_DIR", scratch.join("target"));
    }
    let host =
        built.parent().and_then(|dir| dir.file_name()).context("no target directory")?.to_string_lossy().to_uppercase();
    command
        .env(format!("CARGO_TARGET_{}_RUNNER", host.replace('-', "_")), NOBODY.join(" "))
        .env("TMPDIR", scratch.join("tmp"))
        .env("LEFT4ME_TEST_TMPDIR", scratch.join("tmp"))
        .env("CARGO_TERM_COLOR", "never");
    Ok(())
}

/// Sums the `test result:` lines.
fn count(text: &str) -> (usize, usize, usize) {
    let mut sums = (0, 0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let number = |what: &str| {
            let mut words =
                line.split([' ', ';']).filter(|word| !word.is_empty()).collect::<Vec<_>>().into_iter().rev();
            words.find(|word| word.trim_end_matches(',') == what);
            words.next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(0)
        };
        sums = (sums.0 + number("passed"), sums.1 + number("failed"), sums.2 + number("ignored"));
    }
    sums
}

fn system_stage(summary: &mut Summary, vm: Scope, filter: &str) -> Result<()> {
    install_tools(true)?;
    programs_for_install(&project().join("target/install"))?;
    succeed(&mut cargo(&["build", "--quiet", "--release", "--package", "srcds-sim"]))?;
    let _ = target_dir("release")?;

    println!("system tests in a container");
    let wanted = |test: &&system::Test| test.name.contains(filter);
    let mut container = None;
    summary.test("Debian 13 boots, and left4me installs", || {
        let mut booted = Container::boot()?;
        install_left4me(&mut booted)?;
        container = Some(booted);
        Ok(())
    });
    if let Some(container) = &mut container {
        for test in system::TESTS.iter().filter(wanted).filter(|test| test.place != system::Place::Vm) {
            summary.test(test.name, || system::run(test, container));
        }
    }
    drop(container);

    let here = |test: &&system::Test| {
        test.place != system::Place::Container && (vm == Scope::All || vm == Scope::Some && test.always)
    };
    let left_out = system::TESTS
        .iter()
        .filter(wanted)
        .filter(|test| test.place != system::Place::Container && !here(test))
        .count();
    if left_out > 0 {
        summary.skip(left_out, "in the virtual machine: `cargo xtask test --vm`");
    }
    if !system::TESTS.iter().filter(wanted).any(|test| here(&test)) {
        return Ok(());
    }
    println!("system tests in a virtual machine");
    let mut machine = None;
    summary.test("Debian 13's own kernel boots, and left4me installs", || {
        let mut booted = Vm::boot()?;
        install_left4me(&mut booted)?;
        machine = Some(booted);
        Ok(())
    });
    if let Some(machine) = &mut machine {
        for test in system::TESTS.iter().filter(wanted).filter(here) {
            summary.test(test.name, || system::run(test, machine));
        }
    }
    Ok(())
}

/// Runs a program; its stdout.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_s_own_lines_are_summed() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n\
            x\ntest result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(count(text), (7, 2, 1));
    }
}
