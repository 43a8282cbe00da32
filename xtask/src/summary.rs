//! What came of the tests: counted, and told once at the end.

use std::time::{Duration, Instant};

/// The counts, the failures and what was left out.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    passed: usize,
    failed: usize,
    failures: Vec<String>,
    skipped: Vec<(usize, String)>,
}

impl Summary {
    /// Adds what was counted elsewhere; `what` names the failures, if there are any.
    pub(crate) fn count(&mut self, passed: usize, failed: usize, what: String) {
        self.passed += passed;
        self.failed += failed;
        self.failures.extend(Some(what).filter(|_| failed > 0));
    }

    /// Something that was not run, and the command that runs it.
    pub(crate) fn skip(&mut self, count: usize, what: impl Into<String>) {
        if count > 0 {
            self.skipped.push((count, what.into()));
        }
    }

    /// One failure, with its reason.
    pub(crate) fn fail(&mut self, name: &str, reason: &str) {
        println!("  FAILED  {name}\n{}", indent(reason));
        self.count(0, 1, name.to_owned());
    }

    /// Runs one test and says how it went; whether it passed.
    pub(crate) fn test(&mut self, name: &str, test: impl FnOnce() -> anyhow::Result<()>) -> bool {
        let start = Instant::now();
        let result = test();
        let named = format!("{name} ({})", seconds(start.elapsed()));
        match &result {
            Ok(()) => {
                println!("  ok      {named}");
                self.count(1, 0, String::new());
            }
            Err(error) => self.fail(&named, &format!("{error:#}")),
        }
        result.is_ok()
    }

    /// Whether nothing was run, and nothing left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed == 0 && self.failed == 0 && self.skipped.is_empty()
    }

    /// Prints the end; whether all went well. The last line is for programs, too.
    pub(crate) fn end(&self) -> bool {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        for (count, what) in &self.skipped {
            println!("skipped: {count}: {what}");
        }
        let skipped: usize = self.skipped.iter().map(|(count, _)| count).sum();
        println!("{} passed, {} failed, {skipped} skipped", self.passed, self.failed);
        self.failed == 0
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("          {line}\n")).collect::<String>().trim_end().to_owned()
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
