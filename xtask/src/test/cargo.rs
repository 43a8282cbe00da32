//! The tests that cargo builds: built once, and run from here, since only so can those that are about having no rights
//! be run without any.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Options, Stage};
use crate::build::{cargo, is_root, project, target_dir};
use crate::summary::{Summary, seconds};

/// A test program that hangs is ended, and has failed.
const LIMIT_SECONDS: &str = "900";

/// A user whom every distribution has, with no right to anything.
const NOBODY: u32 = 65534;

/// A program of tests.
#[derive(Debug)]
struct Suite {
    stage: Stage,
    package: String,
    name: String,
    executable: PathBuf,
    /// Where cargo would run it.
    directory: PathBuf,
}

/// What became of one run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

pub(super) fn stages(options: &Options, summary: &mut Summary) -> Result<()> {
    println!("building");
    let scratch = scratch()?;
    // The tests know the programs they run by their paths. In a checkout in root's home an ordinary user can't reach them.
    let reached = !is_root() || is_in_reach(&target_dir("dev")?)?;
    let suites = build(if reached { None } else { Some(scratch.join("target")) })?;
    for (stage, name) in
        [(Stage::Unit, "unit tests"), (Stage::Cli, "command-line tests"), (Stage::Namespaces, "namespace tests")]
    {
        if !options.wants(stage) {
            continue;
        }
        let chosen: Vec<&Suite> = suites.iter().filter(|suite| suite.stage == stage).collect();
        run_all(summary, name, &chosen, &options.filter, None)?;
        if stage != Stage::Unit && is_root() {
            let tmp = scratch.join(std::process::id().to_string());
            fs::create_dir_all(&tmp).with_context(|| format!("can't make {}", tmp.display()))?;
            chown(&tmp, Some(NOBODY), Some(NOBODY))?;
            let done = run_all(summary, &format!("{name} without root"), &chosen, &options.filter, Some(&tmp));
            fs::remove_dir_all(&tmp).with_context(|| format!("can't remove {}", tmp.display()))?;
            done?;
        }
    }
    Ok(())
}

/// A directory that everybody can go through and we alone can write to.
fn scratch() -> Result<PathBuf> {
    let uid = fs::metadata("/proc/self")?.uid();
    let scratch = std::env::temp_dir().join(format!("left4me-tests-{uid}"));
    fs::create_dir_all(&scratch)?;
    let made = fs::symlink_metadata(&scratch)?;
    ensure!(made.is_dir() && made.uid() == uid, "{} is somebody else's: remove it", scratch.display());
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755))?;
    Ok(scratch)
}

/// Whether a user with no rights can go there.
fn is_in_reach(dir: &Path) -> Result<bool> {
    fs::create_dir_all(dir)?;
    Ok(as_nobody("test").arg("-x").arg(dir).status().context("can't run setpriv")?.success())
}

/// Builds all tests (in another place than usual, if one is named), and lists them in the order of their packages.
fn build(place: Option<PathBuf>) -> Result<Vec<Suite>> {
    let args = ["test", "--quiet", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let mut command = cargo(&args);
    command.envs(place.map(|place| ("CARGO_TARGET_DIR", place)));
    let output = command.stderr(Stdio::inherit()).output().context("can't run cargo")?;
    ensure!(output.status.success(), "the tests don't build");
    let text = String::from_utf8(output.stdout)?;
    let mut suites: Vec<Suite> = text.lines().filter_map(suite).collect();
    suites.sort_by(|a, b| (&a.package, &a.name).cmp(&(&b.package, &b.name)));
    Ok(suites)
}

/// One line of what cargo says it built, if it is tests.
fn suite(line: &str) -> Option<Suite> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let package = directory.file_name()?.to_str()?.to_owned();
    let stage = match (message["target"]["kind"][0].as_str()?, package.as_str()) {
        ("test", "l4d2ctl") => Stage::Cli,
        // Parsers and sockets need no namespaces, and are the same for every user.
        ("test", "fuzz" | "srcds-query") => Stage::Unit,
        ("test", _) => Stage::Namespaces,
        _ => Stage::Unit,
    };
    Some(Suite { stage, package, name: message["target"]["name"].as_str()?.to_owned(), executable, directory })
}

/// Runs programs of tests, as nobody where a directory for that one is given; says how it went, and more where it went
/// wrong.
fn run_all(summary: &mut Summary, name: &str, suites: &[&Suite], filter: &str, nobody: Option<&Path>) -> Result<()> {
    let start = Instant::now();
    let mut sum = Counts::default();
    for suite in suites {
        let output = run(suite, filter, nobody)?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut counts = count(&text);
        if !output.status.success() {
            println!("--- {name}: {} {}: {}\n{text}", suite.package, suite.name, output.status);
            // One that died, or was ended, counted nothing.
            counts.failed = counts.failed.max(1);
        }
        let failed = |n| format!("{n} of the {name}: {} {}", suite.package, suite.name);
        summary.count(counts.passed, counts.failed, failed(counts.failed));
        summary.skip(counts.ignored, format!("{name} that say so: `cargo test -p {} -- --ignored`", suite.package));
        sum = Counts { passed: sum.passed + counts.passed, failed: sum.failed + counts.failed, ..sum };
    }
    println!("{name}: {} passed, {} failed ({})", sum.passed, sum.failed, seconds(start.elapsed()));
    Ok(())
}

fn run(suite: &Suite, filter: &str, nobody: Option<&Path>) -> Result<Output> {
    let mut command = match nobody {
        Some(tmp) => {
            let mut command = as_nobody("timeout");
            command.env("TMPDIR", tmp).env("LEFT4ME_TEST_TMPDIR", tmp).env("HOME", tmp);
            command
        }
        None => Command::new("timeout"),
    };
    command.args(["--foreground", "--kill-after=10", LIMIT_SECONDS]).arg(&suite.executable);
    command.args(Some(filter).filter(|filter| !filter.is_empty()));
    command.env("CARGO_MANIFEST_DIR", &suite.directory);
    // Without it insta asks cargo, whom an ordinary user may not reach.
    command.env("INSTA_WORKSPACE_ROOT", project());
    command.current_dir(&suite.directory).stdin(Stdio::null()).output().context("can't run timeout")
}

fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).args(["--clear-groups", "--", program]);
    command
}

/// Reads the `test result:` line; a program has one, and prints a test's output before it.
fn count(text: &str) -> Counts {
    let line = text.lines().rfind(|line| line.starts_with("test result: ")).unwrap_or_default();
    let number = |what: &str| {
        let before = line.split_once(what).map_or("", |(before, _)| before);
        before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    Counts { passed: number(" passed"), failed: number(" failed"), ignored: number(" ignored") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_test_program_is_read() {
        let text = "test result: ok. 9 passed; 9 failed; 9 ignored; as a test printed it\n\
            test result: FAILED. 41 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s\n\n";
        assert_eq!(count(text), Counts { passed: 41, failed: 2, ignored: 1 });
        assert_eq!(count("Segmentation fault\n"), Counts::default());
    }

    #[test]
    fn only_test_programs_are_suites() {
        let line_of = |package: &str, kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/p/crates/{package}/Cargo.toml","executable":"/p/x",
                "target":{{"kind":["{kind}"],"name":"x"}},"profile":{{"test":{test}}}}}"#
            )
        };
        let line = |kind: &str, test: bool| line_of("l4d2ctl", kind, test);
        assert_eq!(suite(&line("test", true)).unwrap().stage, Stage::Cli);
        assert_eq!(suite(&line_of("fuzz", "test", true)).unwrap().stage, Stage::Unit);
        assert_eq!(suite(&line_of("overlay", "test", true)).unwrap().stage, Stage::Namespaces);
        assert_eq!(suite(&line("bin", true)).unwrap().stage, Stage::Unit);
        assert!(suite(&line("bin", false)).is_none());
        assert!(suite(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
