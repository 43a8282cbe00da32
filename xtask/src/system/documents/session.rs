//! Shell sessions in a page: what is typed, and what is to come back.
//!
//! A session is an indented block whose first line begins with `$ `. Such a line is a command; a backslash at its end goes
//! on in the next line, and so does what follows a `<<'WORD'`, up to `WORD`. What comes below is what it prints, on stdout
//! and stderr: `...` in a line stands for any text, and alone for any number of lines; how many spaces there are does not
//! matter, as columns are as wide as what is in them. It succeeds, unless it ends with a comment `# exit code N`.

use anyhow::{Context, Result, bail, ensure};

/// A command, and what it is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Of its first line in the page, from 1.
    pub(super) line: usize,
    /// As it is typed, with all its lines.
    pub(super) command: String,
    pub(super) code: i32,
    pub(super) prints: Vec<String>,
}

impl Step {
    /// The first line, which names it.
    pub(super) fn first_line(&self) -> &str {
        self.command.lines().next().unwrap_or_default()
    }

    /// Whether this is what it was to print.
    pub(super) fn accepts(&self, printed: &str) -> bool {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected: Vec<String> = self.prints.iter().map(|line| words(line)).collect();
        let printed: Vec<String> = printed.trim_end().lines().map(words).collect();
        lines_fit(&expected, &printed)
    }
}

const PROMPT: &str = "$ ";
const INDENT: &str = "    ";
const ANYTHING: &str = "...";
const CODE: &str = "# exit code ";

/// The sessions of a page, from top to bottom.
pub(super) fn parse(page: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (first, block) in blocks(page) {
        if block[0].starts_with(PROMPT) {
            session(first, &block, &mut steps)?;
        } else if let Some(at) = block.iter().position(|line| line.starts_with(PROMPT)) {
            bail!("line {}: a command in a block that does not begin with one would not be run", first + at);
        }
    }
    Ok(steps)
}

/// The indented blocks, each with the number of its first line. An empty line ends none.
pub(super) fn blocks(page: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix(INDENT), inside) {
            (Some(text), true) => blocks.last_mut().into_iter().for_each(|(_, block)| block.push(text)),
            (Some(text), false) => blocks.push((number, vec![text])),
            (None, true) if line.is_empty() => blocks.last_mut().into_iter().for_each(|(_, block)| block.push("")),
            (None, _) => {}
        }
        inside = line.starts_with(INDENT) || (inside && line.is_empty());
    }
    blocks
}

fn session(first: usize, block: &[&str], steps: &mut Vec<Step>) -> Result<()> {
    let mut lines = (first..).zip(block.iter().copied());
    let mut prints: Vec<String> = Vec::new();
    let from = steps.len();
    while let Some((number, line)) = lines.next() {
        let Some(typed) = line.strip_prefix(PROMPT) else {
            prints.push(line.to_owned());
            continue;
        };
        end(steps, from, &mut prints);
        let code = code(typed).with_context(|| format!("line {number}"))?;
        let mut command = typed.to_owned();
        let mut more = || -> Result<&str> {
            let (_, line) = lines.next().with_context(|| format!("line {number}: the command does not end"))?;
            command.push('\n');
            command.push_str(line);
            Ok(line)
        };
        let mut last = typed;
        while last.ends_with('\\') {
            last = more()?;
        }
        if let Some(word) = here_document(typed) {
            while more()? != word {}
        }
        steps.push(Step { line: number, command, code, prints: Vec::new() });
    }
    end(steps, from, &mut prints);
    Ok(())
}

/// Gives what was printed to the command above it, if there is one in this session.
fn end(steps: &mut [Step], from: usize, prints: &mut Vec<String>) {
    while prints.last().is_some_and(String::is_empty) {
        prints.pop();
    }
    if let Some(step) = steps[from..].last_mut() {
        step.prints = std::mem::take(prints);
    }
}

fn code(typed: &str) -> Result<i32> {
    let Some((_, rest)) = typed.split_once(CODE) else { return Ok(0) };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let code = digits.parse().context("no number behind `# exit code`")?;
    ensure!(code != 0, "exit code 0 needs no comment");
    Ok(code)
}

fn here_document(typed: &str) -> Option<&str> {
    typed.split_once("<<'")?.1.split_once('\'').map(|(word, _)| word)
}

fn lines_fit(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((any, rest)) if any == ANYTHING => (0..=printed.len()).any(|from| lines_fit(rest, &printed[from..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| line_fits(line, first) && lines_fit(rest, others))
        }
    }
}

fn line_fits(expected: &str, printed: &str) -> bool {
    let Some((head, rest)) = expected.split_once(ANYTHING) else { return expected == printed };
    let Some(printed) = printed.strip_prefix(head) else { return false };
    let starts = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
    starts.into_iter().any(|at| line_fits(rest, &printed[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(page: &str) -> Step {
        let mut steps = parse(page).unwrap();
        assert_eq!(steps.len(), 1, "{steps:?}");
        steps.remove(0)
    }

    #[test]
    fn what_is_typed_and_what_is_printed() {
        let page = "# Title\n\n    $ one\n    a\n\n    b\n\n    $ two   # exit code 10: yes\n    $ three\n\ntext\n\n    $ four\n    c\n";
        let step = |line, command: &str, code, prints: &[&str]| Step {
            line,
            command: command.to_owned(),
            code,
            prints: prints.iter().map(|&line| line.to_owned()).collect(),
        };
        assert_eq!(
            parse(page).unwrap(),
            [
                step(3, "one", 0, &["a", "", "b"]),
                step(8, "two   # exit code 10: yes", 10, &[]),
                step(9, "three", 0, &[]),
                step(13, "four", 0, &["c"]),
            ]
        );
    }

    #[test]
    fn a_command_of_several_lines() {
        let step = only("    $ cat >f <<'END'\n    $ no command\n    END\n    out\n");
        assert_eq!(
            (step.command.as_str(), step.prints.as_slice()),
            ("cat >f <<'END'\n$ no command\nEND", &["out".to_owned()][..])
        );
        assert_eq!(step.first_line(), "cat >f <<'END'");
        assert_eq!(only("    $ a \\\n        b \\\n        c\n").command, "a \\\n    b \\\n    c");
        assert!(parse("    $ cat <<'END'\n    no end\n\ntext\n").is_err());
        assert!(parse("    $ a \\\n").is_err());
    }

    #[test]
    fn what_is_no_session_is_left_alone_and_what_could_be_one_is_not() {
        assert_eq!(parse("    port: 27015\n\n$ not indented\n").unwrap(), []);
        assert!(parse("    a: b\n    $ c\n").unwrap_err().to_string().contains("line 2"));
        assert!(parse("    $ a # exit code 0\n").is_err());
        assert!(parse("    $ a # exit code one\n").is_err());
    }

    #[test]
    fn dots_stand_for_anything_and_nothing_else_does() {
        let accepts = |expected: &str, printed: &str| {
            let page: String = expected.lines().map(|line| format!("    {line}\n")).collect();
            only(&format!("    $ x\n{page}")).accepts(printed)
        };
        assert!(accepts("", "") && !accepts("", "x") && !accepts("x", ""));
        assert!(accepts("a  b", "  a b\n") && !accepts("a b", "ab"));
        assert!(accepts("a\nb", "a  \nb\n") && !accepts("a\nb", "a\n") && !accepts("a", "a\nb"));
        assert!(accepts("...", "") && accepts("...", "a\nb"));
        assert!(accepts("a\n...\nb", "a\nb") && accepts("a\n...\nb", "a\nb\nx\nb") && !accepts("a\n...\nb", "a\nb\nx"));
        assert!(accepts("in ... s", "in 1.2 s") && !accepts("in ... s", "in 1.2 m") && !accepts("in ... s", "in s"));
        assert!(accepts("...a...", "xax") && accepts("x...é", "xéé") && !accepts("x...", "y"));
    }
}
