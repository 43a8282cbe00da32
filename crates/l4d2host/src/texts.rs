//! Writing what has a text of its own, as names have, into JSON.

use std::fmt::Display;

use serde::Serializer;

/// For `#[serde(serialize_with)]`.
pub(crate) fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The same of a list.
pub(crate) fn as_texts<S: Serializer>(values: &[impl ToString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}
