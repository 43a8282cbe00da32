//! What must hold of whatever is handed to the parsers of this crate. A function breaks where a law does; `fuzz/` calls
//! them, by chance and by libFuzzer.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::str::FromStr;

use crate::{Alias, GenerationId, InstanceName, Layer, MAX_LAYERS, NameError, OverlayRef, Port, RECORD_DIR};
use crate::{parse_layers, print_layers};

/// The name of something to try, and the function that tries it.
pub type Target = (&'static str, fn(&[u8]));

/// The parsers of this crate.
pub const TARGETS: &[Target] =
    &[("names", names), ("overlay_refs", overlay_refs), ("numbers", numbers), ("layers", layers)];

/// A refusal is one line that a terminal can show, however long and odd the name is.
fn told<T>(parsed: Result<T, NameError>) -> Option<T> {
    let error = match parsed {
        Ok(value) => return Some(value),
        Err(error) => error.to_string(),
    };
    assert!(error.len() < 1500 && !error.chars().any(char::is_control), "{error:?}");
    None
}

fn names(input: &[u8]) {
    let by_bytes = told(InstanceName::try_from(OsStr::from_bytes(input)));
    let Ok(text) = std::str::from_utf8(input) else { return assert_eq!(by_bytes, None) };
    let name = told(InstanceName::from_str(text));
    assert_eq!(name, by_bytes);
    assert_eq!(name.is_some(), told(Alias::from_str(text)).is_some(), "one rule for both");
    if let Some(name) = name {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= 64 && !text.starts_with(['_', '-']), "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'), "{text}");
        assert_eq!(Path::new(RECORD_DIR).join(text).parent(), Some(Path::new(RECORD_DIR)));
        assert_eq!(InstanceName::from_unit(&name.unit()), Some(name));
    }
    if let Some(name) = InstanceName::from_unit(text) {
        assert_eq!(name.unit(), text);
    }
}

/// Two refs, a line each.
fn overlay_refs(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let refs: Vec<OverlayRef> = text.splitn(2, '\n').filter_map(|text| told(text.parse())).collect();
    for overlay in &refs {
        assert!(text.contains(overlay.as_str()) && overlay.overlaps(overlay));
        check_beneath(overlay.as_str());
    }
    if let [a, b] = refs.as_slice() {
        let (path_a, path_b) = (Path::new(a.as_str()), Path::new(b.as_str()));
        assert_eq!(a.overlaps(b), path_a.starts_with(path_b) || path_b.starts_with(path_a));
        assert_eq!(a.overlaps(b), b.overlaps(a));
    }
}

/// A path that stays below whatever it is joined to, and is written in the one way there is.
fn check_beneath(path: &str) {
    assert!(Path::new(path).components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '-'])), "{path:?}");
    assert!(path.bytes().all(|b| b.is_ascii_graphic() && !b"\\,:\"'$`*?".contains(&b)), "{path:?}");
}

/// Ports and the ids of generations.
fn numbers(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(port) = told(Port::from_str(text)) {
        assert!(port.get() >= 1024 && port.to_string().parse() == Ok(port));
    }
    if let Some(id) = told(GenerationId::from_str(text)) {
        assert_eq!(id.as_str(), text);
        check_beneath(text);
    }
}

fn layers(input: &[u8]) {
    let Some(layers) = told(parse_layers(input)) else { return };
    assert_eq!(print_layers(&layers).expect("what was read can be written").as_bytes(), input);
    assert!(layers.len() <= MAX_LAYERS && layers.last() == Some(&Layer::Installation));
    let paths: BTreeSet<String> = layers.iter().map(Layer::relative_path).collect();
    assert_eq!(paths.len(), layers.len(), "a layer twice");
    for path in &paths {
        check_beneath(path);
        // Neither the tree of all overlays nor anything inside another layer.
        assert!(path == "installation" || path.contains('/'), "{path}");
        assert!(!Path::new(path).ancestors().skip(1).any(|outer| paths.contains(outer.to_str().unwrap_or_default())));
    }
}
