//! The spec: what an instance should run, as a person writes it.
//!
//! Read whole and checked whole before anything is written. Every refusal names file, line and column and shows the
//! line with a caret.

mod document;
mod excerpt;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
mod wording;

use std::collections::BTreeSet;

use names::{Alias, OverlayRef, Port};
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result, Revision};
use document::{Document, Located};
use excerpt::Excerpt;

/// The largest spec, in bytes: some thousand times a usual one.
const MAX_SIZE: usize = 256 * 1024;

/// The longest argument and the longest line of config, in bytes.
const MAX_LINE: usize = 4096;

/// The most arguments and lines of config together that a spec may hold.
const MAX_LINES: usize = 4096;

/// The longest arguments together, each with a byte more: with what left4me adds, as much as the launcher reads.
const MAX_ARGUMENTS: usize = 60 * 1024;

/// Arguments that are not the spec's to give, each with the reason.
const RESERVED_ARGUMENTS: [(&str, &str); 12] = [
    ("+hostport", "`port:` sets the port"),
    ("-port", "`port:` sets the port"),
    ("+port", "`port:` sets the port"),
    ("+ip", "servers bind 0.0.0.0, so that RCON answers on this host"),
    ("-ip", "servers bind 0.0.0.0, so that RCON answers on this host"),
    ("-game", "it is always left4dead2"),
    ("-norestart", "it is always given: the supervisor restarts the server"),
    ("-debug", "srcds_run would stay between the supervisor and the game"),
    ("-ignoresigint", "the supervisor ends a server with SIGINT"),
    ("-fork", "an instance is one server"),
    ("-autoupdate", "`l4d2ctl install` updates the game"),
    ("+rcon_password", "arguments are visible to every user of the host; a password is made for each instance"),
];

/// A spec's bytes, and what messages call them.
#[derive(Debug, Clone)]
pub struct SpecSource {
    /// The file's name as the user gave it; `<stdin>` for standard input.
    pub file_name: String,
    /// The bytes as they are.
    pub bytes: Vec<u8>,
}

/// One overlay of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecOverlay {
    /// Which tree below `overlays/`.
    pub overlay: OverlayRef,
    /// Under which name its `server.cfg` is staged, if it is to be.
    pub alias: Option<Alias>,
}

/// A checked spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The game's port.
    pub port: Port,
    /// Highest precedence first.
    pub overlays: Vec<SpecOverlay>,
    /// Further arguments of the game.
    pub arguments: Vec<String>,
    /// Lines of `server.cfg`, in order; Source is last-wins.
    pub config: Vec<String>,
}

impl SpecSource {
    /// The revision that these bytes are.
    pub fn revision(&self) -> Revision {
        let digest = Sha256::digest(&self.bytes);
        Revision(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads and checks the spec.
    pub fn parse(&self) -> Result<Spec> {
        let refuse = |message: String| Err(Error::new(ErrorKind::InvalidSpec, message));
        if self.bytes.len() > MAX_SIZE {
            return refuse(format!("spec {} is larger than {MAX_SIZE} bytes", self.file_name));
        }
        let text = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = self.bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
                return refuse(format!("spec {}:{line} is not UTF-8", self.file_name));
            }
        };
        let excerpt = Excerpt { file_name: &self.file_name, text };
        check(&Document::parse(&excerpt)?)
            .map_err(|problem| excerpt.error(problem.line, problem.column, &problem.value))
    }
}

/// A check's refusal, with its place.
type Checked<T> = std::result::Result<T, Located<String>>;

fn check(document: &Document) -> Checked<Spec> {
    let port = document.port.try_map(|&port| Port::try_from(port).map_err(|error| error.to_string()))?;
    // Before they are compared with each other.
    if let Some(first) = document.overlays.get(names::MAX_LAYERS - 1) {
        return Err(first.with(format!("at most {} overlays can be mounted", names::MAX_LAYERS - 1)));
    }
    let mut overlays: Vec<SpecOverlay> = Vec::new();
    let mut aliases = BTreeSet::new();
    for entry in &document.overlays {
        let overlay: OverlayRef =
            entry.try_map(|raw| raw.path().parse().map_err(|e: names::NameError| e.to_string()))?;
        if let Some(other) = overlays.iter().find(|other| other.overlay.overlaps(&overlay)) {
            return Err(entry.with(format!(
                "overlay {overlay} and overlay {} can't be in one stack: one is or contains the other",
                other.overlay
            )));
        }
        let alias = entry.try_map(|raw| match raw.alias() {
            None => Ok(None),
            Some(alias) => alias.parse::<Alias>().map(Some).map_err(|error| error.to_string()),
        })?;
        if let Some(alias) = &alias
            && !aliases.insert(alias.clone())
        {
            return Err(entry.with(format!("alias {alias} is used twice")));
        }
        overlays.push(SpecOverlay { overlay, alias });
    }
    let arguments =
        document.arguments.iter().map(|line| line.try_map(|text| check_argument(text))).collect::<Checked<_>>()?;
    let config = document.config.iter().map(|line| line.try_map(|text| check_line(text))).collect::<Checked<_>>()?;
    if let Some(first) = document.arguments.iter().chain(&document.config).nth(MAX_LINES) {
        return Err(first.with(format!("more than {MAX_LINES} arguments and lines of config")));
    }
    let mut size = 0;
    for argument in &document.arguments {
        size += argument.value.len() + 1;
        if size > MAX_ARGUMENTS {
            return Err(argument.with(format!("the arguments are longer than {MAX_ARGUMENTS} bytes")));
        }
    }
    Ok(Spec { port, overlays, arguments, config })
}

/// An argument becomes a line of the launch file and one of the game's. `srcds_run` (as of 2004) splits it into words again,
/// and the game takes quotes away: so `"+hostport 1"` is two arguments to them.
fn check_argument(text: &str) -> std::result::Result<String, String> {
    if text.is_empty() {
        return Err("an argument is empty".to_owned());
    }
    // A line of config may have one.
    if text.contains('\t') {
        return Err(format!("{text:?} holds the control character '\\t'"));
    }
    let unquoted = text.replace('"', "");
    let is_in = |word: &str| unquoted.split_whitespace().any(|part| part.eq_ignore_ascii_case(word));
    match RESERVED_ARGUMENTS.iter().find(|(word, _)| is_in(word)) {
        Some((word, why)) => Err(format!("argument {word} can't be given: {why}")),
        None => check_line(text),
    }
}

fn check_line(text: &str) -> std::result::Result<String, String> {
    if text.len() > MAX_LINE {
        return Err(format!("a line of more than {MAX_LINE} bytes"));
    }
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        Some(control) => Err(format!("{text:?} holds the control character {control:?}")),
        None => Ok(text.to_owned()),
    }
}
