//! Making what somebody else wrote harmless on a terminal, and no longer than anybody reads.

/// Text in which nothing can move a cursor, change a colour or the order of letters, or ring: such characters are shown
/// as escapes. Bytes that are not UTF-8 are shown as `\xNN`. Newlines stay only where `lines` says so.
pub(crate) fn harmless(bytes: &[u8], lines: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => text.push(c),
                '\n' if lines => text.push(c),
                c if c.is_control() || is_invisible(c) => text.extend(c.escape_unicode()),
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Text made harmless, of one line, and of no more characters than are given: what a server says may be megabytes.
pub(crate) fn short(text: &str, most: usize) -> String {
    // Made harmless, no text is shorter than before.
    let begin: String = text.chars().take(most + 1).collect();
    let harmless = harmless(begin.as_bytes(), false);
    match harmless.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &harmless[..end]),
        None => harmless,
    }
}

/// Of a player's name: Source's have 31 bytes, each of which may be shown as an escape.
pub(crate) const LONGEST_NAME: usize = 64;

/// The first ten with commas between them, and how many more there are.
pub(crate) fn first_of(texts: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 10;
    let more = texts.len().saturating_sub(MOST);
    let mut first: Vec<String> = texts.take(MOST).collect();
    first.extend((more > 0).then(|| format!("and {more} more")));
    first.join(", ")
}

/// Characters that reorder what stands around them, or are not seen at all.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let hostile = b"\x1b[31mred\x07 \xff \x7f \xc2\x9b31m a\tb \xe2\x80\xaex\r\n";
        let text = harmless(hostile, false);
        assert!(text.chars().all(|c| c == '\t' || (!c.is_control() && !is_invisible(c))), "{text:?}");
        assert!(text.contains("\\u{1b}[31mred") && text.contains("\\xff") && text.contains("a\tb"), "{text}");
        assert_eq!(harmless("a\u{61c}b\u{e0041}".as_bytes(), false), "a\\u{61c}b\\u{e0041}");
        assert_eq!(harmless("schön 名前".as_bytes(), false), "schön 名前");
        assert_eq!(harmless(b"a\nb", true), "a\nb");
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!([short("abc", 3), short("abcd", 3), short("", 3)], ["abc", "abc...", ""]);
        assert_eq!(short("\u{1b}[2J\n", 8), "\\u{1b}[2...");
    }
}
