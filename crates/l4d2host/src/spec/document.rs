//! The spec as YAML: its shape, and the parser that refuses everything else. The one place that knows the YAML library.

use serde::Deserialize;
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Options, Spanned};

use super::excerpt::Excerpt;
use super::wording;
use crate::Error;

/// A value and where it stands, counted from 1.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl<T> Located<T> {
    /// Something else at the same place.
    pub(super) fn with<U>(&self, value: U) -> Located<U> {
        Located { value, line: self.line, column: self.column }
    }

    /// What `f` makes of the value; its refusal gets the place.
    pub(super) fn try_map<U, E>(&self, f: impl FnOnce(&T) -> Result<U, E>) -> Result<U, Located<E>> {
        f(&self.value).map_err(|error| self.with(error))
    }
}

impl<T> From<Spanned<T>> for Located<T> {
    fn from(spanned: Spanned<T>) -> Self {
        let place = spanned.referenced;
        let number = |n: u64| usize::try_from(n).unwrap_or(1).max(1);
        Self { value: spanned.value, line: number(place.line()), column: number(place.column()) }
    }
}

/// An overlay, as one word or with an alias.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "an overlay is `REF` or `{path: REF, alias: NAME}`")]
pub(super) enum RawOverlay {
    Ref(String),
    Aliased(AliasedOverlay),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AliasedOverlay {
    path: String,
    alias: Option<String>,
}

impl RawOverlay {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Ref(path) => path,
            Self::Aliased(overlay) => &overlay.path,
        }
    }

    pub(super) fn alias(&self) -> Option<&str> {
        match self {
            Self::Ref(_) => None,
            Self::Aliased(overlay) => overlay.alias.as_deref(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    port: Spanned<u64>,
    #[serde(default)]
    overlays: Vec<Spanned<RawOverlay>>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
    #[serde(default)]
    config: Vec<Spanned<String>>,
}

/// A spec whose shape is right; its values are still to be checked.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) port: Located<u64>,
    pub(super) overlays: Vec<Located<RawOverlay>>,
    pub(super) arguments: Vec<Located<String>>,
    pub(super) config: Vec<Located<String>>,
}

impl Document {
    pub(super) fn parse(excerpt: &Excerpt) -> Result<Self, Error> {
        if is_blank(excerpt.text) {
            // The library's place would be behind the end.
            return Err(excerpt.error(1, 1, "the spec is empty"));
        }
        let raw: Raw = serde_saphyr::from_str_with_options(excerpt.text, options()).map_err(|error| {
            let place = error.location();
            let number = |n: u64| usize::try_from(n).unwrap_or(1).max(1);
            let (line, column) = place.map_or((1, 1), |place| (number(place.line()), number(place.column())));
            excerpt.error(line, column, &wording::message(error.without_snippet()))
        })?;
        let located = |lines: Vec<Spanned<String>>| lines.into_iter().map(Located::from).collect();
        Ok(Self {
            port: raw.port.into(),
            overlays: raw.overlays.into_iter().map(Located::from).collect(),
            arguments: located(raw.arguments),
            config: located(raw.config),
        })
    }
}

/// YAML without its surprises: `no` is no boolean and `42` no string, nothing merges, nothing refers to anything, and
/// little nests. The limits are far above a real spec and far below what costs anybody a second.
fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        no_schema: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 8,
            max_anchors: 0,
            max_aliases: 0,
            max_events: 20_000,
        },
    }
}

/// Nothing but comments and blank lines.
fn is_blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
}
