//! What the helper may be asked: a verb of a closed list and an instance's name, never a path.

use std::ffi::{OsStr, OsString};
use std::fmt;

use names::InstanceName;

/// The verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Mount,
    Umount,
}

/// A checked request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    pub(crate) name: InstanceName,
}

impl Request {
    /// Takes exactly a verb and a name; anything more, or else, is refused.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (verb, name) = (args.next(), args.next());
        if args.next().is_some() {
            return Err("too many arguments".to_owned());
        }
        let verb = match verb.as_deref().and_then(OsStr::to_str) {
            Some("mount") => Verb::Mount,
            Some("umount") => Verb::Umount,
            _ => return Err("the first argument is neither mount nor umount".to_owned()),
        };
        let name = name.ok_or("the instance's name is missing")?;
        Ok(Self { verb, name: InstanceName::try_from(name.as_os_str()).map_err(|error| error.to_string())? })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::Mount => "mount",
            Verb::Umount => "umount",
        };
        write!(f, "{verb} {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, String> {
        Request::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn a_verb_and_a_name_and_nothing_else() {
        assert_eq!(parse(&["mount", "one"]).unwrap().verb, Verb::Mount);
        assert_eq!(parse(&["umount", "one"]).unwrap().verb, Verb::Umount);
        for args in [
            &[][..],
            &["mount"],
            &["mount", "one", "two"],
            &["mount", "one", ""],
            &["Mount", "one"],
            &["remount", "one"],
            &["one", "mount"],
            &["--", "mount", "one"],
            &["mount", "--help"],
            &["mount", "../one"],
            &["mount", ""],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
