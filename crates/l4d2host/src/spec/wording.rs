//! What the YAML library found, in the words of a spec. Its own are for programmers: they name its options and types.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter};

use crate::closest::closest;

/// The message, without the place.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::SerdeMissingField { field, .. } => format!("the key {field} is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key} is there twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is there twice".to_owned(),
        Error::MultipleDocuments { .. } => "a second document begins: a spec is one".to_owned(),
        Error::InvalidScalar { ty: "u64", .. } => "this is not a whole number".to_owned(),
        Error::QuotingRequired { value, .. } => {
            format!("text that YAML could take for something else: write '{value}'")
        }
        Error::Unexpected { expected: "sequence start", .. } => "this must be a list".to_owned(),
        Error::Unexpected { expected: "mapping start", .. } => "this must be `key: value` lines".to_owned(),
        Error::Unexpected { expected: "string scalar", .. } => {
            "one value must stand here; text with ': ' in it needs quotes".to_owned()
        }
        Error::NullIntoString { .. } => "a value is missing here".to_owned(),
        Error::MergeKeyNotAllowed { .. } => "merge keys (<<) can't be used in a spec".to_owned(),
        Error::UnknownAnchor { .. }
        | Error::Budget { breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }, .. } => {
            "YAML's anchors and aliases (& and *) can't be used in a spec".to_owned()
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => "this is nested too deeply".to_owned(),
        Error::Budget { breach: BudgetBreach::Events { .. }, .. } => "these are too many values".to_owned(),
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } if msg == "recursion limit exceeded" => {
            "this is nested too deeply".to_owned()
        }
        // Its English is good enough for the rest, which is YAML's own grammar.
        other => DefaultMessageFormatter.format_message(other).lines().next().unwrap_or_default().to_owned(),
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    match closest(key, known.iter().copied()) {
        Some(meant) => format!("unknown key {key:?}: did you mean {meant}?"),
        None => format!("unknown key {key:?}: the keys are {}", known.join(", ")),
    }
}
