//! Output: data on stdout, chatter on stderr, either for people or for programs.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::colour;
use crate::problem::Problem;

/// How to talk, and how long to be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    json: bool,
    lock_timeout: Duration,
}

impl Ui {
    pub(crate) fn new(json: bool, lock_timeout: Duration) -> Self {
        Self { json, lock_timeout }
    }

    /// How long to wait for another command.
    pub(crate) fn lock_timeout(self) -> Duration {
        self.lock_timeout
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Data: a JSON document where that is asked for, otherwise text, as it fits what stdout is.
    pub(crate) fn table(self, value: &impl Serialize, text: impl FnOnce(Look) -> String) -> Result<(), Problem> {
        self.data(value, || text(Look::of(&std::io::stdout())))
    }

    /// Data whose text is the same wherever it goes.
    pub(crate) fn data(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Problem> {
        let text = if self.json { Self::json_line(value)? } else { text() };
        write_stdout(&text)
    }

    /// One JSON value a line.
    pub(crate) fn json_line(value: &impl Serialize) -> Result<String, Problem> {
        let text = serde_json::to_string(value);
        let text = text.map_err(|e| Problem::new(l4d2host::ErrorKind::Internal, format!("can't write JSON: {e}")))?;
        Ok(text + "\n")
    }

    /// Chatter, for people only; at once, a line at a time.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // Nobody to tell is no reason to stop.
            let text = crate::text::harmless(text.as_bytes(), true);
            let _ = writeln!(std::io::stderr(), "{}", colour::labels(&text, wants_colour(&std::io::stderr())));
        }
    }

    /// Tells a problem that ends nothing, in the way of one that does.
    pub(crate) fn complain(self, problem: &Problem) {
        if self.json {
            let _ = writeln!(std::io::stdout(), "{}", problem.for_programs());
        } else {
            let text = colour::labels(&problem.for_people(), wants_colour(&std::io::stderr()));
            let _ = write!(std::io::stderr(), "{text}");
        }
    }

    /// Ends the program: with an error's words, or without any.
    pub(crate) fn end(self, result: Result<ExitCode, Problem>) -> ExitCode {
        let problem = match result {
            Ok(code) => return code,
            Err(problem) => problem,
        };
        if let Problem::Error(_) = problem {
            self.complain(&problem);
        }
        problem.exit_code()
    }
}

/// What a table has to fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// The terminal's columns; none where there is no terminal, and nothing is cut.
    pub(crate) width: Option<usize>,
    pub(crate) coloured: bool,
    /// What is not ASCII can be drawn.
    pub(crate) utf8: bool,
}

impl Look {
    pub(crate) fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let size = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(stream).ok()).flatten();
        // A serial line does not know how wide the terminal behind it is.
        let width = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        Self { width, coloured: wants_colour(stream), utf8: has_utf8() }
    }

    /// What stands for what was cut.
    pub(crate) fn cut_mark(self) -> &'static str {
        if self.utf8 { "…" } else { "..." }
    }
}

/// Writes to stdout, whole.
pub(crate) fn write_stdout(text: &str) -> Result<(), Problem> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Problem::output)
}

/// Writes what a game printed: to a terminal harmless and with a line's end, otherwise as it came.
pub(crate) fn write_game_output(bytes: &[u8]) -> Result<(), Problem> {
    let mut out = std::io::stdout().lock();
    if !out.is_terminal() {
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(Problem::output);
    }
    let text = crate::text::harmless(bytes, true);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(Problem::output)
}

/// Whether a stream is a terminal that obeys escape sequences, so that a line on it can be drawn again.
pub(crate) fn can_draw(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Whether colours are wanted on a stream.
pub(crate) fn wants_colour(stream: &impl IsTerminal) -> bool {
    can_draw(stream) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether what is drawn may have characters other than ASCII's: what tables are cut with, and bars. What others wrote
/// (players, maps) is shown in any case: it is data.
pub(crate) fn has_utf8() -> bool {
    says_utf8(|variable| std::env::var_os(variable))
}

/// As POSIX has it, the first of the three that is not empty counts; its codeset stands behind the dot. Somebody who sets one
/// to `C`, `POSIX` or a name without a codeset means it. Where none is set nobody has said anything: on a Debian without
/// locales, by ssh, sudo, cron and from units, and there the terminal of today takes UTF-8; systemd's tools see it in the
/// same way. A Mac's ssh sends the codeset alone (`LC_CTYPE=UTF-8`).
fn says_utf8(value: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(value).find(|value| !value.is_empty());
    let Some(locale) = set else { return true };
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    let name = locale.split('@').next().unwrap_or_default();
    matches!(name.rsplit('.').next(), Some("utf-8" | "utf8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_which_characters_there_are() {
        let says = |set: &[(&str, &str)]| {
            says_utf8(|name| set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into()))
        };
        for locale in ["C.UTF-8", "de_DE.UTF-8", "de_DE.utf8@euro", "UTF-8"] {
            assert!(says(&[("LANG", locale)]), "{locale}");
        }
        for locale in ["C", "POSIX", "de_DE", "de_DE.ISO-8859-1", "de_DE@euro", "de_DE.ISO-8859-15@utf8", "utf8.de"] {
            assert!(!says(&[("LANG", locale)]), "{locale}");
        }
        // Nobody has said anything.
        assert!(says(&[]) && says(&[("LC_ALL", ""), ("LANG", "")]));
        // The first that is not empty.
        assert!(!says(&[("LC_ALL", "C"), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C.UTF-8")]));
        assert!(says(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")]));
        assert!(!says(&[("LC_ALL", ""), ("LANG", "C")]));
    }
}
