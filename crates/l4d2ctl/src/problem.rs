//! Whatever ends a command before its end, and how it is told: to a person on stderr, to a program on stdout.

use std::error::Error as _;
use std::process::ExitCode;

use l4d2host::ErrorKind;
use serde_json::json;

/// An error of the library, or one of our own.
#[derive(Debug)]
pub(crate) enum Problem {
    Error(l4d2host::Error),
    /// Whoever read our output has gone: a normal end (`l4d2ctl logs x | head`).
    ClosedPipe,
}

impl Problem {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Error(l4d2host::Error::new(kind, message))
    }

    /// clap's own error: its first paragraph, which may name what is missing on lines of its own, and its advice.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let paragraph = text.lines().map(str::trim).take_while(|line| !line.is_empty());
        let message = paragraph.collect::<Vec<_>>().join(" ");
        let after = |label: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(label));
        let hint = match (after("tip: "), after("Usage: ")) {
            (Some(tip), _) => tip.to_owned(),
            (None, Some(usage)) => format!("usage: {usage}"),
            (None, None) => "`l4d2ctl --help`".to_owned(),
        };
        Self::Error(l4d2host::Error::new(ErrorKind::Usage, message.trim_start_matches("error: ")).hint(hint))
    }

    /// Writing to stdout failed.
    pub(crate) fn output(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Error(l4d2host::Error::io("can't write to standard output", error))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Error(error) => ExitCode::from(error.exit_code()),
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }

    /// The `error:` line, the chain of causes, and the hint.
    pub(crate) fn for_people(&self) -> String {
        let Self::Error(error) = self else { return String::new() };
        let mut text = format!("error: {error}\n");
        for cause in causes(error) {
            text.push_str(&format!("  caused by: {}\n", cause.replace('\n', "\n    ")));
        }
        if let Some(hint) = error.hint_text() {
            text.push_str(&format!("hint: {hint}\n"));
        }
        crate::text::harmless(text.as_bytes(), true)
    }

    /// `{"error": {"kind", "message", "hint"}}`; the causes are part of the message.
    pub(crate) fn for_programs(&self) -> serde_json::Value {
        let Self::Error(error) = self else { return serde_json::Value::Null };
        let message = [vec![error.to_string()], causes(error)].concat().join(": ");
        json!({ "error": { "kind": error.kind().as_str(), "message": message, "hint": error.hint_text() } })
    }
}

fn causes(error: &l4d2host::Error) -> Vec<String> {
    std::iter::successors(error.source(), |cause: &&dyn std::error::Error| (*cause).source())
        .map(ToString::to_string)
        .collect()
}

impl From<l4d2host::Error> for Problem {
    fn from(error: l4d2host::Error) -> Self {
        Self::Error(error)
    }
}
