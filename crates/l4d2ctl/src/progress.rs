//! The one look of what is drawn again and again, on a terminal that can do that: a line of words, and a bar behind them where
//! it is known how much there is. Whoever has no such terminal gets lines, each once.

use indicatif::{ProgressBar, ProgressStyle};

use crate::colour;
use crate::text::harmless;
use crate::ui::{Ui, can_draw, wants_colour};

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

    /// Words alone.
    pub(crate) fn say(&self, words: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(harmless(words.as_bytes(), false));
            bar.tick();
        }
    }

    /// Another thing that is counted, with a speed of its own.
    pub(crate) fn begin(&self, words: &str) {
        if let Some(bar) = &self.0 {
            bar.reset();
            bar.set_message(harmless(words.as_bytes(), false));
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
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(counted: bool) -> ProgressStyle {
    let known = "{msg:30} {wide_bar} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}";
    let template = if counted { known } else { "{wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
