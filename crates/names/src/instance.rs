//! Instance names, and the aliases that follow the same rule.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use crate::{NameError, quoted};

/// The longest name, in bytes: a unit name, a lock file's and a mount source all hold it with room to spare.
const MAX_LEN: usize = 64;

/// The one rule, on bytes: `[a-z0-9][a-z0-9_-]{0,63}`, the whole string.
fn follows_rule(bytes: &[u8]) -> bool {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match bytes {
        [] => false,
        [head, tail @ ..] => {
            bytes.len() <= MAX_LEN && first(*head) && tail.iter().all(|&b| first(b) || b == b'_' || b == b'-')
        }
    }
}

fn parse(what: &str, bytes: &[u8]) -> Result<String, NameError> {
    if follows_rule(bytes) {
        return Ok(bytes.iter().map(|&b| char::from(b)).collect());
    }
    Err(NameError::new(format!(
        "{what} {} is not valid: 1 to {MAX_LEN} of a-z, 0-9, '_' and '-', the first a letter or digit",
        quoted(bytes)
    )))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                parse($what, text.as_bytes()).map(Self)
            }
        }

        impl TryFrom<&OsStr> for $type {
            type Error = NameError;
            fn try_from(text: &OsStr) -> Result<Self, NameError> {
                parse($what, text.as_bytes()).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of an instance: `[a-z0-9][a-z0-9_-]{0,63}`.
    InstanceName,
    "instance name"
);
name_type!(
    /// The alias of an overlay, under which its `server.cfg` is staged as `server_<alias>.cfg`; the rule of instance names.
    Alias,
    "alias"
);

/// What every unit of ours begins with.
const UNIT_PREFIX: &str = "left4me-server@";
const UNIT_SUFFIX: &str = ".service";

impl InstanceName {
    /// The systemd unit that runs this instance. The rule leaves nothing that systemd would escape but `-`, which in a
    /// template's instance part it takes as it is.
    pub fn unit(&self) -> String {
        format!("{UNIT_PREFIX}{}{UNIT_SUFFIX}", self.0)
    }

    /// The instance whose unit `unit` is; `None` for any other unit.
    pub fn from_unit(unit: &str) -> Option<Self> {
        unit.strip_prefix(UNIT_PREFIX)?.strip_suffix(UNIT_SUFFIX)?.parse().ok()
    }

    /// The `source` that its mount carries in mountinfo, by which root finds it wherever it was moved to.
    pub fn mount_source(&self) -> String {
        format!("left4me-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_follow_the_rule() {
        for name in ["a", "0", "friday-night", "a_b", &"x".repeat(64)] {
            assert_eq!(name.parse::<InstanceName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_do_not() {
        let too_long = "x".repeat(65);
        for name in [
            "", "-a", "_a", "A", "a.b", "a/b", "..", ".", "a b", "a\n", "\na", "a\0", "ä", "а", "a@b", "a:b", "a,b",
            "a\\x2d", &too_long,
        ] {
            assert!(name.parse::<InstanceName>().is_err(), "{name:?} was taken");
            assert!(InstanceName::try_from(OsStr::from_bytes(name.as_bytes())).is_err());
        }
        assert!(InstanceName::try_from(OsStr::from_bytes(b"a\xff")).is_err());
    }

    #[test]
    fn the_error_quotes_and_cuts_what_was_given() {
        let error = format!("bad\n{}", "y".repeat(500)).parse::<InstanceName>().unwrap_err().to_string();
        assert!(error.contains(r#""bad\nyyy"#) && error.len() < 250, "{error}");
    }

    #[test]
    fn a_unit_name_and_back() {
        let name: InstanceName = "friday-night".parse().unwrap();
        assert_eq!(name.unit(), "left4me-server@friday-night.service");
        assert_eq!(InstanceName::from_unit(&name.unit()), Some(name));
        assert_eq!(InstanceName::from_unit("left4me-server@.service"), None);
        assert_eq!(InstanceName::from_unit("left4me-server@A.service"), None);
        assert_eq!(InstanceName::from_unit("ssh.service"), None);
    }
}
