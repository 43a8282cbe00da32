//! Tables, the same for every command: headings, columns two spaces apart, numbers at the right, and on a terminal no wider
//! than that, as far as what may be cut allows it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::colour::{self, Tone};
use crate::text::harmless;
use crate::ui::Look;

/// Between two columns.
const GAP: &str = "  ";

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    heading: &'static str,
    right: bool,
    /// How narrow it may become; none: it is never cut.
    least: Option<usize>,
}

impl Column {
    /// Of words, which are never cut.
    pub(crate) const fn new(heading: &'static str) -> Self {
        Self { heading, right: false, least: None }
    }

    /// Of numbers.
    pub(crate) const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Cut where the table is too wide, and to no less than so many columns of the terminal.
    pub(crate) const fn cut_to(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }
}

/// What stands in a row's column.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String, Option<Tone>),
    /// As many as there is room for, and how many more there are.
    List(Vec<String>),
}

impl Cell {
    /// A text, whatever it is, on one line.
    pub(crate) fn new(text: &str, tone: Option<Tone>) -> Self {
        Self::Text(harmless(text.as_bytes(), false).replace('\t', " "), tone)
    }

    /// A dash where there is nothing.
    pub(crate) fn or_dash(text: Option<String>) -> Self {
        text.map_or_else(|| Self::Text("-".to_owned(), None), Self::from)
    }

    fn whole(&self) -> String {
        self.within(usize::MAX, "")
    }

    /// The text in no more columns of the terminal than these; `mark` stands for what was cut.
    fn within(&self, width: usize, mark: &str) -> String {
        match self {
            Self::Text(text, _) => cut(text, width, mark),
            Self::List(texts) if texts.is_empty() => "-".to_owned(),
            Self::List(texts) => {
                let first = |count: usize| match texts.len() - count {
                    0 => texts.join(", "),
                    more => format!("{} +{more}", texts[..count].join(", ")),
                };
                let fitting = (1..=texts.len()).rev().map(first).find(|text| text.width() <= width);
                fitting.unwrap_or_else(|| cut(&first(1), width, mark))
            }
        }
    }

    fn tone(&self) -> Option<Tone> {
        match self {
            Self::Text(_, tone) => *tone,
            Self::List(_) => None,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(&text, None)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, None)
    }
}

/// The table as text; nothing where there are no rows.
pub(crate) fn table<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]], look: Look) -> String {
    if rows.is_empty() { String::new() } else { lines(columns, rows, look).concat() }
}

/// The lines of the table: the headings, and each row.
pub(crate) fn lines<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]], look: Look) -> Vec<String> {
    let widths = widths(columns, rows, look.width);
    let headings = columns.map(|column| (column.heading.to_owned(), Some(Tone::Heading)));
    let cells = rows.iter().map(|row| {
        let cell = |at: usize| (row[at].within(widths[at], look.cut_mark()), row[at].tone());
        std::array::from_fn(cell)
    });
    let line = |cells: [(String, Option<Tone>); N]| {
        let mut line = String::new();
        let mut room = String::new();
        for ((column, width), (text, tone)) in columns.iter().zip(widths).zip(cells) {
            let padding = " ".repeat(width.saturating_sub(text.width()));
            let (before, after) = if column.right { (padding, String::new()) } else { (String::new(), padding) };
            // What is empty ends no line with blanks.
            if text.is_empty() {
                room.push_str(&before);
            } else {
                line.push_str(&room);
                room.clear();
                line.push_str(&before);
                line.push_str(&colour::paint(&text, tone, look.coloured));
            }
            room.push_str(&after);
            room.push_str(GAP);
        }
        line + "\n"
    };
    [headings].into_iter().chain(cells).map(line).collect()
}

/// How wide each column is: as its widest cell, and where that is too much for the terminal, the widest ones less.
fn widths<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]], most: Option<usize>) -> [usize; N] {
    let mut widths: [usize; N] = std::array::from_fn(|at| {
        let cells = rows.iter().map(|row| row[at].whole().width());
        cells.chain([columns[at].heading.len()]).max().unwrap_or(0)
    });
    let gaps = GAP.len() * (N - 1);
    while most.is_some_and(|most| widths.iter().sum::<usize>() + gaps > most) {
        let may_be_cut = |at: &usize| columns[*at].least.is_some_and(|least| widths[*at] > least);
        let Some(widest) = (0..N).filter(may_be_cut).max_by_key(|at| widths[*at]) else { break };
        widths[widest] -= 1;
    }
    widths
}

/// A text in no more columns of the terminal than these; `mark` stands for what was cut.
pub(crate) fn cut(text: &str, width: usize, mark: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(mark.width());
    let fits = |c: &char| match room.checked_sub(c.width().unwrap_or(0)) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain(mark.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("NAME").cut_to(6),
        Column::new("SIZE").right(),
        Column::new("WHO").cut_to(6),
        Column::new("NOTE").cut_to(5),
    ];

    fn printed(rows: &[[&str; 4]], width: Option<usize>) -> String {
        let list = |names: &str| Cell::List(names.split_whitespace().map(str::to_owned).collect());
        let rows: Vec<[Cell; 4]> =
            rows.iter().map(|[a, b, c, d]| [(*a).into(), (*b).into(), list(c), (*d).into()]).collect();
        table(&COLUMNS, &rows, Look { width, coloured: false, utf8: true })
    }

    #[test]
    fn numbers_are_at_the_right_and_no_line_ends_with_blanks() {
        let rows = [["friday", "5", "", "x"], ["league", "1024", "a b", ""]];
        let expected = "NAME    SIZE  WHO   NOTE\n\
                        friday     5  -     x\n\
                        league  1024  a, b\n";
        assert_eq!(printed(&rows, None), expected);
        assert_eq!(printed(&[], Some(80)), "");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [["名前", "5", "", "x"], ["e\u{301}", "1", "", "x"]];
        assert_eq!(printed(&rows, None), "NAME  SIZE  WHO  NOTE\n名前     5  -    x\ne\u{301}        1  -    x\n");
    }

    #[test]
    fn what_is_too_wide_is_cut_where_it_may_be() {
        let rows = [["a-name-that-is-long", "123456", "one two three", "words and words"]];
        for width in 31..64 {
            let table = printed(&rows, Some(width));
            let widest = table.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= width && table.contains("123456"), "{width}:\n{table}");
        }
        assert_eq!(
            printed(&rows, Some(50)).lines().nth(1).unwrap(),
            "a-name-that-…  123456  one, two +1    words and w…"
        );
        // Less than it can be.
        assert_eq!(printed(&rows, Some(1)).lines().nth(1).unwrap(), "a-nam…  123456  one +2  word…");
        assert_eq!(printed(&[["名前名前", "1", "", ""]], Some(1)).lines().nth(1).unwrap(), "名前…      1  -");
    }

    #[test]
    fn no_cell_moves_the_cursor() {
        let rows = [["a\n\u{1b}[2J\tb", "1", "", ""]];
        assert!(printed(&rows, None).ends_with("a\\u{a}\\u{1b}[2J b     1  -\n"), "{}", printed(&rows, None));
    }
}
