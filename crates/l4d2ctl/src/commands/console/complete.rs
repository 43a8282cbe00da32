//! Completing the names that the server itself knows.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// The names, sorted.
pub(super) struct Names(pub(super) Vec<String>);

impl Names {
    /// Where the word before the cursor begins, and the names that begin with it, in any case, as Source takes them.
    fn matching(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = line.get(..cursor).unwrap_or_default();
        let start = before.rfind([' ', '\t', ';', '"']).map_or(0, |at| at + 1);
        let word = &before[start..];
        let begins = |name: &&String| name.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        (start, self.0.iter().filter(begins).cloned().collect())
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.matching(line, cursor))
    }
}

// No hints, no colours, and every line is one.
impl Hinter for Names {
    type Hint = String;
}
impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_cursor() {
        let names = Names(["changelevel", "sv_Alltalk", "sv_cheats"].map(str::to_owned).into());
        let all = |line: &str| names.matching(line, line.len());
        assert_eq!(all("sv_").1, ["sv_Alltalk", "sv_cheats"]);
        assert_eq!(all("SV_a"), (0, vec!["sv_Alltalk".to_owned()]));
        assert_eq!(all("say x; chan"), (7, vec!["changelevel".to_owned()]));
        assert_eq!(all("help sv_c"), (5, vec!["sv_cheats".to_owned()]));
        assert_eq!(all("").1.len(), 3);
        assert!(all("x").1.is_empty() && all("ä").1.is_empty());
        assert_eq!(names.matching("sv_c x", 4), (0, vec!["sv_cheats".to_owned()]));
    }
}
