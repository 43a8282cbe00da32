//! The laws of specs, for `fuzz/`.

use std::path::Path;

use names::{Layer, MAX_LAYERS, OverlayRef, Port, print_layers};

use super::{MAX_SIZE, RESERVED_ARGUMENTS, Spec, SpecOverlay, SpecSource};
use crate::instance::Instance;
use crate::{ErrorKind, Version};

/// The game without a later build.
fn installation_alone() -> Version {
    Version { id: "1".parse().expect("is an id"), build_id: 1, installed_at: None, chain: Vec::new() }
}

fn source(bytes: &[u8]) -> SpecSource {
    SpecSource { file_name: "s.yaml".to_owned(), bytes: bytes.to_vec() }
}

pub(crate) fn spec(input: &[u8]) {
    let source = source(input);
    match source.parse() {
        Ok(spec) => {
            check(&spec);
            check_plan(&Instance { revision: source.revision(), spec });
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidSpec);
            check_refusal(input, &error.to_string());
        }
    }
}

/// Says where: a line and a column that are there.
fn check_refusal(input: &[u8], message: &str) {
    let place = message.strip_prefix("spec s.yaml").expect("names the file");
    let Some(numbers) = place.strip_prefix(':') else { return assert!(input.len() > MAX_SIZE, "{message}") };
    let mut numbers = numbers.splitn(3, ':').map(|number| number.split(' ').next().and_then(|n| n.parse().ok()));
    let line: usize = numbers.next().flatten().expect("names the line");
    assert!((1..=input.split(|&b| b == b'\n').count()).contains(&line), "{message}");
    if std::str::from_utf8(input).is_ok() {
        let column: usize = numbers.next().flatten().expect("names the column");
        assert!((1..=input.len() + 1).contains(&column), "{message}");
        assert!(message.contains('^') || input.iter().all(u8::is_ascii_whitespace), "has a caret: {message}");
    }
}

/// What a spec that was taken never holds, and that it can be printed and read again.
fn check(spec: &Spec) {
    assert!(spec.port.get() >= 1024 && spec.overlays.len() < MAX_LAYERS);
    for text in spec.arguments.iter().chain(&spec.config) {
        assert!(!text.contains(['\n', '\r', '\0', '\u{1b}']), "{text:?}");
    }
    let words = spec.arguments.iter().flat_map(|argument| argument.split_whitespace());
    for word in words.map(|word| word.replace('"', "")) {
        assert!(!RESERVED_ARGUMENTS.iter().any(|(reserved, _)| word.eq_ignore_ascii_case(reserved)), "{word}");
    }
    assert_eq!(source(print(spec).as_bytes()).parse().expect("what was taken is taken again"), *spec);
}

/// A text in YAML's double quotes. What YAML does not take as it is (any control character, for one) is escaped.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() => c.to_string(),
        c => format!("\\U{:08x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// A spec in YAML, as nobody would write it.
fn print(spec: &Spec) -> String {
    let list = |lines: &[String]| lines.iter().map(|line| quoted(line)).collect::<Vec<_>>().join(", ");
    let overlay = |entry: &SpecOverlay| match &entry.alias {
        None => format!("\"{}\"", entry.overlay),
        Some(alias) => format!("{{path: \"{}\", alias: \"{alias}\"}}", entry.overlay),
    };
    let overlays: Vec<String> = spec.overlays.iter().map(overlay).collect();
    let (overlays, arguments, config) = (overlays.join(", "), list(&spec.arguments), list(&spec.config));
    format!("port: {}\noverlays: [{overlays}]\narguments: [{arguments}]\nconfig: [{config}]\n", spec.port)
}

/// Whatever was taken can be started: the plan is the spec's, the whole of it, and nothing else.
fn check_plan(instance: &Instance) {
    let layers = instance.layers(&installation_alone());
    let (lowest, overlays) = layers.split_last().expect("at least the installation");
    let wanted = instance.spec.overlays.iter().map(|entry| Layer::Overlay(entry.overlay.clone()));
    assert!(*lowest == Layer::Installation && overlays.iter().cloned().eq(wanted));
    print_layers(&layers).expect("the layers can be staged");
    let launch = instance.launch();
    assert!(launch.ends_with(&instance.spec.arguments));
    left4me_launch::print_launch(&launch).expect("the arguments can be staged");
    let printed = instance.print().expect("instance.json can be written");
    assert_eq!(Instance::parse(&printed).as_ref(), Ok(instance));
}

/// The other way round: values first (the input, a line each: its first letter says what it is), then the YAML.
pub(crate) fn spec_from_values(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let port = Port::try_from(27015).expect("a port");
    let mut spec = Spec { port, overlays: Vec::new(), arguments: Vec::new(), config: Vec::new() };
    for line in text.split('\n') {
        let mut chars = line.chars();
        match chars.next() {
            Some('p') => spec.port = chars.as_str().parse().unwrap_or(spec.port),
            Some('o') => spec.overlays.extend(overlay(chars.as_str())),
            Some('a') => spec.arguments.push(chars.as_str().to_owned()),
            Some('c') => spec.config.push(chars.as_str().to_owned()),
            _ => {}
        }
    }
    // Taken as it was meant, or refused for what it says; never for how that had to be written, nor otherwise understood.
    match source(print(&spec).as_bytes()).parse() {
        Ok(parsed) => assert_eq!(parsed, spec),
        Err(error) => {
            let error = error.to_string();
            let known = ["control character", "more than", "argument", "overlay", "alias", "at most", "larger than"];
            assert!(known.iter().any(|reason| error.contains(reason)), "{error}");
        }
    }
}

fn overlay(text: &str) -> Option<SpecOverlay> {
    let (overlay, alias) = text.split_once(' ').map_or((text, None), |(overlay, alias)| (overlay, Some(alias)));
    let overlay: OverlayRef = overlay.parse().ok()?;
    assert!(Path::new(overlay.as_str()).is_relative());
    Some(SpecOverlay { overlay, alias: alias.map(str::parse).transpose().ok()? })
}

pub(crate) fn instance_json(input: &[u8]) {
    match Instance::parse(input) {
        Ok(instance) => {
            let printed = instance.print().expect("what was read can be written");
            assert_eq!(Instance::parse(&printed), Ok(instance.clone()));
            let there: serde_json::Value = serde_json::from_slice(input).expect("JSON, as it was read");
            let now: serde_json::Value = serde_json::from_slice(&printed).expect("JSON");
            let keys = ["revision", "port", "arguments", "config"];
            assert!(keys.iter().all(|key| there[key] == now[key]), "something else than is there");
            for (there, now) in there["overlays"].as_array().into_iter().zip(now["overlays"].as_array()) {
                assert!(
                    there.iter().map(|o| (&o["ref"], &o["alias"])).eq(now.iter().map(|o| (&o["ref"], &o["alias"])))
                );
            }
            // The file is not the spec: what it holds may be refused here, and is not passed on.
            if let Ok(text) = left4me_launch::print_launch(&instance.launch()) {
                assert_eq!(text.lines().count(), instance.launch().len());
            }
            drop(print_layers(&instance.layers(&installation_alone())));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
