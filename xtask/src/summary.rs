//! What came of the tests: counted, and told once at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The counts, the failures and what was left out.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    passed: usize,
    failures: Vec<String>,
    skipped: Vec<(usize, String)>,
}

impl Summary {
    /// Adds what a whole stage counted.
    pub(crate) fn count(&mut self, passed: usize, failures: Vec<String>) {
        self.passed += passed;
        self.failures.extend(failures);
    }

    /// Something that was not run, and the command that runs it.
    pub(crate) fn skip(&mut self, count: usize, what: impl Into<String>) {
        self.skipped.push((count, what.into()));
    }

    /// Runs one test and says how it went.
    pub(crate) fn test(&mut self, name: &str, test: impl FnOnce() -> anyhow::Result<()>) {
        let start = Instant::now();
        let result = test();
        let time = seconds(start.elapsed());
        match result {
            Ok(()) => {
                println!("  ok      {name} ({time})");
                self.passed += 1;
            }
            Err(error) => {
                println!("  FAILED  {name} ({time})\n{}", indent(&format!("{error:#}")));
                self.failures.push(name.to_owned());
            }
        }
    }

    /// Prints the end; whether all went well.
    pub(crate) fn end(&self) -> bool {
        let mut text = String::from("\n");
        for failure in &self.failures {
            let _ = writeln!(text, "failed: {failure}");
        }
        for (count, what) in &self.skipped {
            let _ = writeln!(text, "skipped: {count} tests: {what}");
        }
        let skipped: usize = self.skipped.iter().map(|(count, _)| count).sum();
        println!("{text}{} passed, {} failed, {skipped} skipped", self.passed, self.failures.len());
        self.failures.is_empty()
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("          {line}\n")).collect::<String>().trim_end().to_owned()
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
