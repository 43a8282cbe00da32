//! Showing where in a spec something is wrong: file, line, column, the line itself and a caret.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::{Error, ErrorKind};

/// The spec's text, to quote from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excerpt<'a> {
    pub(super) file_name: &'a str,
    pub(super) text: &'a str,
}

impl Excerpt<'_> {
    /// A refusal at a place, both counted from 1. One behind the last line is shown at the end of that.
    pub(super) fn error(&self, line: usize, column: usize, problem: &str) -> Error {
        let start = self.offset(line, column);
        let (line, column) = self.place(start);
        let end = self.text[start..].chars().next().map_or(start, |c| start + if c == '\n' { 0 } else { c.len_utf8() });
        let snippet =
            Snippet::source(self.text).path(self.file_name).annotation(AnnotationKind::Primary.span(start..end));
        let report = [Level::ERROR.primary_title("").element(snippet)];
        let picture = Renderer::plain().term_width(120).render(&report);
        // The library's first line is its own "error:"; ours is printed by whoever shows the error.
        let picture = picture.split_once('\n').map_or("", |(_, rest)| rest);
        Error::new(ErrorKind::InvalidSpec, format!("spec {}:{line}:{column}: {problem}\n{picture}", self.file_name))
            .hint("`l4d2ctl initialize --help` describes the spec")
    }

    /// The byte at which a line and column begin, within the text whatever they are.
    fn offset(&self, line: usize, column: usize) -> usize {
        let end = self.text.trim_end_matches(['\r', '\n']).len();
        let before: usize = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = &self.text[before..];
        let within: usize = rest.chars().take_while(|&c| c != '\n').take(column - 1).map(char::len_utf8).sum();
        (before + within).min(end)
    }

    /// The line and column of a byte.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}
