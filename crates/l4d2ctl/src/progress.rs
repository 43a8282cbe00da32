//! The one look of what is drawn again and again, on a terminal that can do that: a line of words, and a bar behind them where
//! it is known how much there is. Whoever has no such terminal gets lines, each once.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::colour;
use crate::figures::size;
use crate::table::cut;
use crate::text::harmless;
use crate::ui::{Look, Ui, can_draw, has_utf8, wants_colour};

/// The line; none for programs, and where none can be drawn.
pub(crate) struct Line(Option<ProgressBar>);

impl Line {
    pub(crate) fn new(ui: Ui) -> Self {
        let wanted = !ui.is_json() && can_draw(&std::io::stderr());
        Self(wanted.then(|| ProgressBar::new_spinner().with_style(style(false))))
    }

    pub(crate) fn is_drawn(&self) -> bool {
        self.0.is_some()
    }

    /// Words alone, as many as the terminal is wide.
    pub(crate) fn say(&self, words: &str) {
        if let Some(bar) = &self.0 {
            let look = Look::of(&std::io::stderr());
            let words = harmless(words.as_bytes(), false);
            bar.set_message(cut(&words, look.width.unwrap_or(usize::MAX), look.cut_mark()));
            if bar.is_finished() {
                bar.reset();
            }
            bar.tick();
        }
    }

    /// Nothing, until something is said again.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Another thing that is counted, with a speed of its own: what was done before it began counts for none.
    pub(crate) fn begin(&self, words: &str, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_style(style(false));
            bar.unset_length();
            bar.set_message(harmless(words.as_bytes(), false));
            bar.reset();
            bar.update(|state| state.set_pos(done));
            bar.reset_eta();
        }
    }

    /// How far it is, in bytes; a total of 0 is one that is not known, which would count as reached.
    pub(crate) fn move_to(&self, done: u64, total: u64) {
        let Some(bar) = &self.0 else { return };
        if bar.length() != Some(total) {
            bar.set_style(style(total > 0));
        }
        // At once, or a picture is drawn of the new length with the old position.
        bar.update(|state| {
            state.set_pos(done);
            state.set_len(total);
        });
    }

    /// A line that stays, above; false where nothing is drawn.
    pub(crate) fn print_above(&self, text: &str) -> bool {
        let Some(bar) = &self.0 else { return false };
        bar.println(colour::labels(&harmless(text.as_bytes(), true), wants_colour(&std::io::stderr())));
        true
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

/// So many columns are needed for the whole line, with some of them left for the bar.
const WITH_A_BAR: usize = 72;

/// All that changes has a place of its own, so that nothing jumps.
fn style(counted: bool) -> ProgressStyle {
    let is_narrow = Look::of(&std::io::stderr()).width.is_some_and(|columns| columns < WITH_A_BAR);
    let template = match (counted, is_narrow) {
        (true, false) => "{msg:26} {percent:>3}% {wide_bar} {done:>8} of {total:8} {speed:>10}",
        (true, true) => "{wide_msg} {percent:>3}%",
        (false, _) => "{wide_msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars(if has_utf8() { "█░" } else { "=> " })
        .with_key("done", |state: &ProgressState, to: &mut dyn Write| write(to, &size(state.pos())))
        .with_key("total", |state: &ProgressState, to: &mut dyn Write| write(to, &size(state.len().unwrap_or(0))))
        .with_key("speed", |state: &ProgressState, to: &mut dyn Write| write(to, &format!("{}/s", size(speed(state)))))
}

fn write(to: &mut dyn Write, text: &str) {
    // Into a string, which fails never.
    let _ = to.write_str(text);
}

/// Bytes a second.
// It is never negative, and what is beyond an integer nobody reads.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn speed(state: &ProgressState) -> u64 {
    state.per_sec() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_counts_for_no_speed() {
        let line = Line(Some(ProgressBar::hidden()));
        let speed = || line.0.as_ref().map(ProgressBar::per_sec);
        for words in ["windows: downloading", "linux: downloading"] {
            line.begin(words, 5 << 30);
            line.move_to(5 << 30, 9 << 30);
            assert_eq!(speed(), Some(0.0), "{words}");
            line.move_to(6 << 30, 9 << 30);
            assert!(speed() > Some(0.0), "{words}");
        }
    }
}
