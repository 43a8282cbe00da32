//! The little Markdown that the texts behind man pages are written in: headings, paragraphs, indented code, and lists of
//! terms (`- TERM: what it is`). Descriptions of commands are the same without headings.

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    Heading(String),
    Paragraph(String),
    /// Lines as they are, without their indentation.
    Code(Vec<String>),
    /// What is explained, and the explanation.
    Term(String, String),
}

/// Reads a text. Its title (`# …`) and what stands before the first `##` of a page is for readers of the Markdown: a caller
/// that wants the sections alone takes what [`sections`] leaves.
pub(super) fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if let Some(title) = line.strip_prefix("## ") {
            blocks.push(Block::Heading(title.to_owned()));
            continue;
        }
        if line.starts_with("    ") {
            let mut code = vec![line.to_owned()];
            // Blank lines are part of it if more of it follows.
            let mut blank = 0;
            while let Some(next) = lines.next_if(|next| next.is_empty() || next.starts_with("    ")) {
                match next.is_empty() {
                    true => blank += 1,
                    false => {
                        code.extend(std::iter::repeat_n(String::new(), blank));
                        blank = 0;
                        code.push(next.to_owned());
                    }
                }
            }
            blocks.push(Block::Code(unindented(&code)));
            continue;
        }
        let begins = |line: &str| line.trim().is_empty() || line.starts_with("- ") || line.starts_with("    ");
        let mut paragraph = line.trim().to_owned();
        while let Some(next) = lines.next_if(|next| !begins(next)) {
            paragraph.push(' ');
            paragraph.push_str(next.trim());
        }
        blocks.push(match paragraph.strip_prefix("- ").and_then(|item| item.split_once(": ")) {
            Some((term, body)) => Block::Term(term.to_owned(), body.to_owned()),
            None => Block::Paragraph(paragraph),
        });
    }
    blocks
}

/// What stands from the first `##` on.
pub(super) fn sections(text: &str) -> &str {
    text.find("\n## ").map_or("", |at| text.split_at(at + 1).1)
}

fn unindented(lines: &[String]) -> Vec<String> {
    let indentation = |line: &String| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|line| !line.is_empty()).map(indentation).min().unwrap_or(0);
    lines.iter().map(|line| line.get(least..).unwrap_or_default().to_owned()).collect()
}

/// A command's description without its first line, which is its summary, and without its examples; and these.
pub(super) fn description(long: &str) -> (String, Vec<String>) {
    const LABEL: &str = "Example: ";
    let body = long.split_once("\n\n").map_or("", |(_, body)| body);
    let (before, examples) = match body.find(LABEL) {
        Some(at) => body.split_at(at),
        None => (body, ""),
    };
    let examples = examples.trim_start_matches(LABEL).lines().map(|line| line.trim().to_owned()).collect();
    (before.trim_end().to_owned(), examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_every_kind() {
        let text =
            "# T\n\n## One\n\nwords\nmore: words\n\n    code\n\n      deeper\n\n- `a`: is\n  that\n- `b`: this\n";
        let own = |text: &str| text.to_owned();
        assert_eq!(
            parse(sections(text)),
            [
                Block::Heading(own("One")),
                Block::Paragraph(own("words more: words")),
                Block::Code(vec![own("code"), String::new(), own("  deeper")]),
                Block::Term(own("`a`"), own("is that")),
                Block::Term(own("`b`"), own("this")),
            ]
        );
    }

    #[test]
    fn a_description_and_its_examples() {
        let (body, examples) = description("Sums\n\nIt does.\n\nExample: l4d2ctl a\n         l4d2ctl b");
        assert_eq!((body.as_str(), examples), ("It does.", vec!["l4d2ctl a".to_owned(), "l4d2ctl b".to_owned()]));
        assert_eq!(description("Sums"), (String::new(), Vec::new()));
    }
}
