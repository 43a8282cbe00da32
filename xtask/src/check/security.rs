//! `docs/security.md` names a test for each of its claims: each must be there, and each row of its table must have one or a
//! reason. Without this a table of tests rots with the first renaming.
//!
//! In that file a name in backticks with three underscores or more is a test of cargo's, a text in double quotes is a
//! system test, and `cargo xtask NAME` is a command.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::build::project;
use crate::system::TESTS;

const FILE: &str = "docs/security.md";

/// The heading that the table of cases stands below.
const TABLE: &str = "## Mistakes of others";

/// How a row begins its last column where there is nothing to test.
const REASON: &str = "no such surface:";

pub(super) fn check() -> Result<()> {
    let text = fs::read_to_string(project().join(FILE)).with_context(|| format!("can't read {FILE}"))?;
    let mut sources = String::new();
    for directory in ["crates", "xtask"] {
        read_sources(&project().join(directory), &mut sources)?;
    }
    for name in cargo_tests(&text) {
        ensure!(sources.contains(&format!("fn {name}(")), "{FILE} names the test {name}, which is not there");
    }
    for name in system_tests(&text) {
        ensure!(
            TESTS.iter().any(|test| test.name == name),
            "{FILE} names the system test {name:?}, which is not there"
        );
    }
    for name in commands(&text) {
        ensure!(
            crate::USAGE.contains(&format!("\n  {name} ")),
            "{FILE} names `cargo xtask {name}`, which is not there"
        );
    }
    let rows: Vec<&str> = rows(&text).collect();
    ensure!(rows.len() > 20, "{FILE} has {} rows below {TABLE:?}", rows.len());
    for row in rows {
        ensure!(has_test_or_reason(row), "{FILE}: no test and no reason (\"{REASON}\") in: {row}");
    }
    Ok(())
}

fn read_sources(directory: &Path, into: &mut String) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("can't list {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?);
        }
    }
    Ok(())
}

/// What stands between pairs of `mark`, on one line or over a line's end.
fn between(text: &str, mark: char) -> impl Iterator<Item = String> + '_ {
    text.split(mark).skip(1).step_by(2).map(|inner| inner.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn cargo_tests(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_name = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    between(text, '`').filter(move |name| is_name(name) && name.matches('_').count() >= 3)
}

fn system_tests(text: &str) -> impl Iterator<Item = String> + '_ {
    between(text, '"')
}

fn commands(text: &str) -> impl Iterator<Item = String> + '_ {
    between(text, '`').filter_map(|code| {
        let rest = code.strip_prefix("cargo xtask ").or_else(|| code.strip_prefix("sudo cargo xtask "))?;
        rest.split_whitespace().next().map(str::to_owned)
    })
}

fn rows(text: &str) -> impl Iterator<Item = &str> {
    let below = text.lines().skip_while(|line| *line != TABLE).skip(1);
    let section = below.take_while(|line| !line.starts_with("## "));
    // The two lines of the head aside.
    section.filter(|line| line.starts_with('|')).skip(2)
}

fn has_test_or_reason(row: &str) -> bool {
    let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
    last.starts_with(REASON) || cargo_tests(last).chain(system_tests(last)).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_commands_are_found_in_prose() {
        let text = "`a_test_of_cargo`, `two_only_here` and \"a system\n test\"; `sudo cargo xtask attack --runs 1`";
        assert_eq!(cargo_tests(text).collect::<Vec<_>>(), ["a_test_of_cargo"]);
        assert_eq!(system_tests(text).collect::<Vec<_>>(), ["a system test"]);
        assert_eq!(commands(text).collect::<Vec<_>>(), ["attack"]);
    }

    #[test]
    fn a_row_without_a_test_or_a_reason_is_found() {
        let text = format!(
            "{TABLE}\n\nwords\n\n| a | b | c |\n| - | - | - |\n| x | y | `one_two_three_four` |\n\n## Next\n| z | |"
        );
        assert_eq!(rows(&text).collect::<Vec<_>>(), ["| x | y | `one_two_three_four` |"]);
        for (row, is_good) in [
            ("| x | y | \"a system test\" |", true),
            ("| x | y | no such surface: nothing listens |", true),
            ("| x | `one_two_three_four` | later |", false),
            ("| x | y |  |", false),
        ] {
            assert_eq!(has_test_or_reason(row), is_good, "{row}");
        }
    }
}
