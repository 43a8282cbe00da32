//! What the game printed, on its way to a terminal.

use crate::Target;

// The laws here are not about lists.
#[allow(dead_code)]
#[path = "../../crates/l4d2ctl/src/text.rs"]
mod text;

pub(crate) const TARGETS: &[Target] = &[("terminal", terminal)];

fn terminal(input: &[u8]) {
    for lines in [false, true] {
        let shown = text::harmless(input, lines);
        let obeyed = |c: char| (c.is_control() && c != '\t' && !(lines && c == '\n')) || moves_others(c);
        assert!(!shown.contains(obeyed), "{shown:?}");
        assert_eq!(text::harmless(shown.as_bytes(), lines), shown, "nothing is left to do");
        if let Ok(plain) = std::str::from_utf8(input)
            && !plain.contains(obeyed)
            && plain.is_ascii()
        {
            assert_eq!(shown, plain, "harmless text stays");
        }
    }
}

/// What changes the order of the letters around it (Unicode's bidirectional controls).
fn moves_others(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
