//! What the caller asks for, checked whole.

use std::ffi::OsString;
use std::fmt;

use names::{InstanceName, NameError};

/// More lines than this is a copy of the journal.
const MAX_LINES: u32 = 1_000_000;
/// journald's own cursors are about 120 characters.
const MAX_CURSOR: usize = 256;

/// How lines are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The messages alone.
    Cat,
    /// One JSON object a line.
    Json,
}

/// Whose journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One instance's.
    Instance(InstanceName),
    /// What the servers of all instances print.
    All,
}

/// Whose journal, and how much of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) whose: Whose,
    pub(crate) lines: u32,
    pub(crate) follow: bool,
    pub(crate) output: Output,
    pub(crate) after_cursor: Option<String>,
}

/// Why a call was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    Usage,
    Lines,
    Cursor,
    Name(NameError),
}

impl Request {
    /// Reads the arguments after the program's name: in this order and no other, so that there is one way to call it.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let args: Vec<OsString> = args.collect();
        let args: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
        let args = args.ok_or(UsageError::Usage)?;
        let [whose, "--lines", lines, follow @ ("--follow" | "--no-follow"), options @ ..] = args.as_slice() else {
            return Err(UsageError::Usage);
        };
        let (output, options) = match options {
            ["--output", "json", rest @ ..] => (Output::Json, rest),
            ["--output", "cat", rest @ ..] | rest => (Output::Cat, rest),
        };
        let after_cursor = match options {
            [] => None,
            ["--after-cursor", cursor] => Some(check_cursor(cursor)?),
            _ => return Err(UsageError::Usage),
        };
        let whose = match *whose {
            "--all" => Whose::All,
            name => Whose::Instance(name.parse().map_err(UsageError::Name)?),
        };
        Ok(Self { whose, lines: check_lines(lines)?, follow: *follow == "--follow", output, after_cursor })
    }
}

/// Digits alone: `+5`, which a Rust number may begin with, means something else to journalctl.
fn check_lines(text: &str) -> Result<u32, UsageError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&lines| digits && lines <= MAX_LINES).ok_or(UsageError::Lines)
}

fn check_cursor(text: &str) -> Result<String, UsageError> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"=;_-".contains(&b));
    if plain && (1..=MAX_CURSOR).contains(&text.len()) { Ok(text.to_owned()) } else { Err(UsageError::Cursor) }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str(
                "usage: left4me-journalctl NAME|--all --lines N --follow|--no-follow [--output cat|json] [--after-cursor CURSOR]",
            ),
            Self::Lines => write!(f, "the number of lines is not one of 0 to {MAX_LINES}"),
            Self::Cursor => write!(f, "the cursor is not 1 to {MAX_CURSOR} of A-Z, a-z, 0-9, '=', ';', '_' and '-'"),
            Self::Name(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, UsageError> {
        Request::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn the_forms_that_are_taken() {
        let request = parse(&["a", "--lines", "200", "--follow"]).unwrap();
        assert_eq!((request.lines, request.follow, request.output), (200, true, Output::Cat));
        let request = parse(&["a", "--lines", "0", "--no-follow", "--output", "json"]).unwrap();
        assert_eq!((request.lines, request.follow, request.output), (0, false, Output::Json));
        let request = parse(&["a", "--lines", "1", "--no-follow", "--after-cursor", "s=0;i=1_-"]).unwrap();
        assert_eq!(request.after_cursor.as_deref(), Some("s=0;i=1_-"));
        assert_eq!(parse(&["--all", "--lines", "1", "--no-follow"]).unwrap().whose, Whose::All);
    }

    #[test]
    fn the_forms_that_are_not() {
        for args in [
            &[][..],
            &["a"],
            &["a", "--lines", "1"],
            &["--all", "a", "--lines", "1", "--follow"],
            &["a", "--all", "--lines", "1", "--follow"],
            &["a", "--follow", "--lines", "1"],
            &["a", "--lines=1", "--follow"],
            &["a", "--lines", "1", "--follow", "--no-follow"],
            &["a", "--lines", "1", "--follow", "--output", "export"],
            &["a", "--lines", "1", "--follow", "--after-cursor"],
            &["a", "--lines", "1", "--follow", "--after-cursor", "x", "--output", "json"],
            &["a", "--lines", "1", "--follow", "--directory=/tmp"],
        ] {
            assert_eq!(parse(args), Err(UsageError::Usage), "{args:?}");
        }
    }

    #[test]
    fn names_numbers_and_cursors_are_checked() {
        for lines in ["", "-1", "+1", "1000001", "all", "1 ", "99999999999", "0x1"] {
            assert_eq!(parse(&["a", "--lines", lines, "--follow"]), Err(UsageError::Lines), "{lines:?}");
        }
        for cursor in ["", "a b", "a\n", "a/b", "ä", &"x".repeat(257)] {
            let args = ["a", "--lines", "1", "--follow", "--after-cursor", cursor];
            assert_eq!(parse(&args), Err(UsageError::Cursor), "{cursor:?}");
        }
        for name in ["", "-a", "--All", "--all=", "*", "A", "a.service", "../a"] {
            assert!(matches!(parse(&[name, "--lines", "1", "--follow"]), Err(UsageError::Name(_))), "{name:?}");
        }
    }
}
