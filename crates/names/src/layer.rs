//! The layers file: which directories an instance's stack is made of, highest precedence first.
//!
//! A line is `overlay REF`, `generation ID` or `installation`. The host library writes it and the root helper reads it;
//! the file belongs to the service user, so this parser is the authority on what root will mount.

use std::fmt;
use std::str::FromStr;

use crate::{NameError, OverlayRef, quoted};

/// The kernel's limit (`OVL_MAX_STACK`): 500 lower layers mount, 501 fail with EINVAL.
pub const MAX_LAYERS: usize = 500;

/// The id of a generation, a later build of the game: 1 to 32 of `a-z`, `0-9`, `-`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(String);

impl GenerationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GenerationId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        match text.as_bytes() {
            [head, tail @ ..] if tail.len() < 32 && plain(*head) && tail.iter().all(|&b| plain(b) || b == b'-') => {
                Ok(Self(text.to_owned()))
            }
            bytes => Err(NameError::new(format!("generation id {} is not valid", quoted(bytes)))),
        }
    }
}

/// One directory of a stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A tree below `overlays/`.
    Overlay(OverlayRef),
    /// A later build of the game below `generations/`.
    Generation(GenerationId),
    /// The game as SteamCMD laid it down, the lowest layer of every stack.
    Installation,
}

impl Layer {
    /// Where the layer lies below the root. Never the root of a tree of trees (`overlays` itself).
    pub fn relative_path(&self) -> String {
        match self {
            Self::Overlay(overlay) => format!("overlays/{overlay}"),
            Self::Generation(id) => format!("generations/{}", id.as_str()),
            Self::Installation => "installation".to_owned(),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlay(overlay) => write!(f, "overlay {overlay}"),
            Self::Generation(id) => write!(f, "generation {}", id.as_str()),
            Self::Installation => f.write_str("installation"),
        }
    }
}

impl FromStr for Layer {
    type Err = NameError;
    fn from_str(line: &str) -> Result<Self, NameError> {
        if line == "installation" {
            return Ok(Self::Installation);
        }
        match line.split_once(' ') {
            Some(("overlay", overlay)) => overlay.parse().map(Self::Overlay),
            Some(("generation", id)) => id.parse().map(Self::Generation),
            _ => Err(NameError::new(format!(
                "layer {} is none of 'overlay REF', 'generation ID', 'installation'",
                quoted(line.as_bytes())
            ))),
        }
    }
}

/// Checks what no single line shows: overlays first, then generations, then one `installation`; no layer twice and none
/// inside another; at most [`MAX_LAYERS`].
fn check_stack(layers: &[Layer]) -> Result<(), NameError> {
    if layers.len() > MAX_LAYERS {
        return Err(NameError::new(format!("{} layers: at most {MAX_LAYERS} can be mounted", layers.len())));
    }
    if layers.last() != Some(&Layer::Installation) {
        return Err(NameError::new("the last layer is not 'installation'"));
    }
    let rank = |layer: &Layer| match layer {
        Layer::Overlay(_) => 0,
        Layer::Generation(_) => 1,
        Layer::Installation => 2,
    };
    if layers.windows(2).any(|pair| rank(&pair[0]) > rank(&pair[1])) {
        return Err(NameError::new("layers are not in the order overlays, generations, installation"));
    }
    check_overlap(layers)
}

/// Sorted by their components, a layer that is or contains another stands right before the first that overlaps with it,
/// so 500 layers cost one sort and not 125 000 comparisons in root's time.
fn check_overlap(layers: &[Layer]) -> Result<(), NameError> {
    let mut paths: Vec<String> = layers.iter().map(Layer::relative_path).collect();
    paths.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    for pair in paths.windows(2) {
        let (outer, inner) = (&pair[0], &pair[1]);
        if outer == inner {
            return Err(NameError::new(format!("layer {outer} is named twice")));
        }
        if inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/')) {
            return Err(NameError::new(format!("layer {inner} lies inside layer {outer}")));
        }
    }
    Ok(())
}

/// Reads a layers file, highest precedence first. The error names the line, counted from 1.
pub fn parse_layers(text: &[u8]) -> Result<Vec<Layer>, NameError> {
    let text = std::str::from_utf8(text).map_err(|_| NameError::new("the layers file is not UTF-8"))?;
    let body = text.strip_suffix('\n').ok_or_else(|| NameError::new("the layers file does not end with a newline"))?;
    let mut layers = Vec::new();
    for (index, line) in body.split('\n').enumerate() {
        // Before the line is stored: a file of a million lines is refused at the first one too many.
        if index == MAX_LAYERS {
            return Err(NameError::new(format!("more than {MAX_LAYERS} layers")));
        }
        layers.push(line.parse().map_err(|error| NameError::new(format!("line {}: {error}", index + 1)))?);
    }
    check_stack(&layers)?;
    Ok(layers)
}

/// Writes what [`parse_layers`] reads, or says why `layers` is not a stack.
pub fn print_layers(layers: &[Layer]) -> Result<String, NameError> {
    check_stack(layers)?;
    Ok(layers.iter().map(|layer| format!("{layer}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_layers(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_file_and_back() {
        let text = "overlay users/42/custom\noverlay standard\ngeneration 1234-b\ninstallation\n";
        let layers = parse_layers(text.as_bytes()).unwrap();
        assert_eq!(layers[0].relative_path(), "overlays/users/42/custom");
        assert_eq!(layers[2].relative_path(), "generations/1234-b");
        assert_eq!(print_layers(&layers).unwrap(), text);
    }

    #[test]
    fn files_that_are_refused_and_why() {
        for (text, why) in [
            ("", "newline"),
            ("installation", "newline"),
            ("\n", "line 1"),
            ("installation\n\n", "line 2"),
            ("overlay standard\n", "last layer"),
            ("installation\ninstallation\n", "twice"),
            ("overlay a\noverlay a\ninstallation\n", "overlays/a is named twice"),
            ("overlay a/b\noverlay a.x\noverlay a\ninstallation\n", "overlays/a/b lies inside layer overlays/a"),
            ("generation 1\noverlay a\ninstallation\n", "order"),
            ("overlay ../etc\ninstallation\n", "line 1: overlay ref"),
            ("overlay  a\ninstallation\n", "line 1"),
            ("overlay a\r\ninstallation\n", "line 1"),
            ("overlay\ninstallation\n", "line 1"),
            ("generation ../1\ninstallation\n", "line 1: generation id"),
            ("generation -1\ninstallation\n", "line 1: generation id"),
            ("overlays\ninstallation\n", "line 1"),
        ] {
            assert!(error(text).contains(why), "{text:?}: {}", error(text));
        }
        assert!(parse_layers(b"overlay \xff\ninstallation\n").is_err());
    }

    #[test]
    fn five_hundred_layers_and_no_more() {
        let stack = |overlays: usize| {
            (0..overlays).map(|n| format!("overlay o{n}\n")).chain(["installation\n".to_owned()]).collect::<String>()
        };
        assert_eq!(parse_layers(stack(499).as_bytes()).unwrap().len(), 500);
        assert!(error(&stack(500)).contains("500"));
        assert!(error(&stack(2_000_000)).contains("500"));
    }
}
