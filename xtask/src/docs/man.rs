//! Man pages: those of the commands from the description of their arguments, the others from texts in `docs/man`.

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::text::{Block, description, parse};

/// What pages call the whole of them.
const MANUAL: &str = "left4me";

/// The page of `command` (built: it knows its name and the options that all commands share), as of `day`, and `sections` at its
/// end.
pub(super) fn of_command(command: &Command, day: &str, sections: &str) -> Result<String> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let (body, examples) = description(&long);

    let mut roff = head(&name, "1", day, &about);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(synopsis(command));
    roff.control("SH", ["DESCRIPTION"]);
    match body.is_empty() {
        true => blocks(&mut roff, &[Block::Paragraph(format!("{about}."))]),
        false => blocks(&mut roff, &parse(&body)),
    }
    let mut text = roff.to_roff();

    if command.has_subcommands() {
        text += &of_subcommands(command).to_roff();
    }
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    text += &String::from_utf8(options)?;
    let mut end = Roff::new();
    if !examples.is_empty() {
        end.control("SH", ["EXAMPLES"]);
        blocks(&mut end, &[Block::Code(examples)]);
    }
    blocks(&mut end, &parse(sections));
    // clap_mangen asks for two line breaks where a paragraph begins.
    Ok(wrapped(&(text + &end.to_roff()).replace("\n.br\n\n.br\n", "\n.sp\n")))
}

/// A page of its own: the first line of its text is `# NAME(SECTION): what it is`.
pub(super) fn of_text(text: &str, day: &str) -> Result<String> {
    let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).context("a text without a title")?;
    let (name, rest) = title.split_once('(').context("a title without a section")?;
    let (section, about) = rest.split_once("): ").context("a title without a summary")?;
    let mut roff = head(name, section, day, about);
    blocks(&mut roff, &parse(super::text::sections(text)));
    Ok(wrapped(&roff.to_roff()))
}

/// The longest line of a page's source, as `mandoc -T lint` wants it.
const WIDTH: usize = 80;

/// The same page with its filled text in lines that are not too long.
fn wrapped(page: &str) -> String {
    let mut text = String::new();
    let mut as_it_is = false;
    for line in page.lines() {
        as_it_is = (as_it_is || line == ".nf") && line != ".fi";
        let mut width = 0;
        let mut words = line.split(' ').peekable();
        let is_text = !as_it_is && !line.starts_with(['.', '\'']);
        while let Some(word) = words.next() {
            text.push_str(word);
            width += word.len();
            let Some(next) = words.peek() else { break };
            // A line that begins like a request would be one.
            let breaks =
                is_text && width + 1 + next.len() > WIDTH && !next.is_empty() && !next.starts_with(['.', '\'']);
            text.push(if breaks { '\n' } else { ' ' });
            width = if breaks { 0 } else { width + 1 };
        }
        text.push('\n');
    }
    text
}

fn head(name: &str, section: &str, day: &str, about: &str) -> Roff {
    let mut roff = Roff::new();
    let version = format!("left4me {}", env!("CARGO_PKG_VERSION"));
    let title = name.to_uppercase();
    roff.control("TH", [title.as_str(), section, day, &version, MANUAL]);
    // Words whole and spaces single, which a terminal needs more than an even margin.
    roff.control("nh", []);
    roff.control("ad", ["l"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {about}"))]);
    roff
}

/// As `--help` has it, the names that are to be replaced in italics.
fn synopsis(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let usage = command.clone().render_usage().to_string();
    let rest = usage.trim_start_matches("Usage: ").trim_start_matches(&name).to_owned();
    let mut line = vec![bold(name)];
    let mut rest = rest.as_str();
    while let Some(at) = rest.find(['<', '[']) {
        let (plain, argument) = rest.split_at(at);
        let end = argument.find(['>', ']']).map_or(argument.len(), |end| end + 1);
        let (argument, after) = argument.split_at(end);
        line.push(roman(plain));
        line.push(italic(argument));
        rest = after;
    }
    line.push(roman(rest));
    line
}

fn of_subcommands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for of in command.get_subcommands().filter(|of| !of.is_hide_set()) {
        roff.control("TP", []);
        roff.text([bold(format!("{}-{}", command.get_name(), of.get_name())), roman("(1)")]);
        roff.text(inline(&of.get_about().map(ToString::to_string).unwrap_or_default()));
    }
    roff
}

fn blocks(roff: &mut Roff, blocks: &[Block]) {
    // A heading and a term begin a paragraph by themselves.
    let mut open = true;
    for block in blocks {
        match block {
            Block::Heading(title) => {
                roff.control("SH", [title.to_uppercase().as_str()]);
            }
            Block::Paragraph(text) => {
                if !open {
                    roff.control("PP", []);
                }
                roff.text(inline(text));
            }
            Block::Code(lines) => {
                if !open {
                    roff.control("PP", []);
                }
                roff.control("RS", ["4"]);
                roff.control("nf", []);
                for line in lines {
                    roff.text([roman(line.as_str())]);
                }
                roff.control("fi", []);
                roff.control("RE", []);
            }
            Block::Term(term, text) => {
                roff.control("TP", []);
                roff.text(inline(term));
                roff.text(inline(text));
            }
        }
        open = matches!(block, Block::Heading(_));
    }
}

/// Text with what stands in backticks in bold.
fn inline(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { bold(part) } else { roman(part) }).collect()
}
