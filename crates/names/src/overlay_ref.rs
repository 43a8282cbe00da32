//! Overlay refs: names of trees below `overlays/`.

use std::fmt;
use std::str::FromStr;

use crate::{NameError, quoted};

/// The longest ref and the longest component of one, in bytes (the file system's own limit for a name is 255).
const MAX_LEN: usize = 512;
const MAX_COMPONENT: usize = 128;

/// The relative name of an overlay below `overlays/`, such as `standard`, `competitive/base` or `users/42/custom`.
///
/// Components are 1 to 128 of `A-Z a-z 0-9 . _ + -`, none beginning with a dot or a dash. That leaves nothing
/// a layers file, a mount option, a message or a shell could take for something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverlayRef(String);

impl OverlayRef {
    /// The ref as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component: the default label of the overlay where only one word fits.
    pub fn last_component(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether one of the two is the other or lies inside it. The kernel refuses such layers in one stack (ELOOP).
    pub fn overlaps(&self, other: &Self) -> bool {
        let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        self == other || inside(&self.0, &other.0) || inside(&other.0, &self.0)
    }
}

fn check_component(component: &str) -> Result<(), &'static str> {
    match component.as_bytes() {
        [] => Err("has an empty component"),
        b".." => Err("has a '..' component"),
        [b'.', ..] => Err("has a component that begins with '.'"),
        [b'-', ..] => Err("has a component that begins with '-'"),
        bytes if bytes.len() > MAX_COMPONENT => Err("has a component of more than 128 characters"),
        bytes if bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(b)) => Ok(()),
        _ => Err("has a character other than A-Z, a-z, 0-9, '.', '_', '+' and '-'"),
    }
}

impl FromStr for OverlayRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why: &str| Err(NameError::new(format!("overlay ref {} {why}", quoted(text.as_bytes()))));
        if text.is_empty() {
            return refuse("is empty");
        }
        if text.starts_with('/') {
            return refuse("is absolute: refs are relative to the overlays directory");
        }
        if text.len() > MAX_LEN {
            return refuse("is longer than 512 characters");
        }
        for component in text.split('/') {
            if let Err(why) = check_component(component) {
                return refuse(why);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OverlayRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<OverlayRef, NameError> {
        text.parse()
    }

    #[test]
    fn refs_that_follow_the_rule() {
        for text in ["standard", "competitive/base", "users/42/custom", "Rework-2.1_b+c", "a/b/c/d/e"] {
            assert_eq!(parsed(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refs_that_do_not_and_why() {
        for (text, why) in [
            ("", "is empty"),
            ("/etc", "is absolute"),
            ("a//b", "empty component"),
            ("a/", "empty component"),
            ("..", "'..'"),
            ("a/../b", "'..'"),
            (".", "begins with '.'"),
            ("./a", "begins with '.'"),
            (".hidden", "begins with '.'"),
            ("-rf", "begins with '-'"),
            ("a b", "character other"),
            ("a,b", "character other"),
            ("a:b", "character other"),
            ("a\\b", "character other"),
            ("a\nb", "character other"),
            ("a\0b", "character other"),
            ("käse", "character other"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        assert!(parsed(&"x/".repeat(300)).is_err());
        assert!(parsed(&"x".repeat(129)).is_err());
    }

    #[test]
    fn overlap_is_by_component() {
        let overlap = |a: &str, b: &str| parsed(a).unwrap().overlaps(&parsed(b).unwrap());
        assert!(overlap("a", "a"));
        assert!(overlap("a", "a/b") && overlap("a/b", "a"));
        assert!(!overlap("a", "ab") && !overlap("a/b", "a/c"));
    }
}
