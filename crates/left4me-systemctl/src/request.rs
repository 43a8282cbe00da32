//! What the caller asks for, checked whole before anything happens.

use std::ffi::OsString;
use std::fmt;

use names::{InstanceName, NameError};

/// The exit code of a call that has not the form of the usage line.
pub(crate) const EXIT_USAGE: u8 = 2;

/// More instances than a host has. Each name is a unit that PID 1 loads, and each one enabled a link in `/etc`.
pub(crate) const MAX_INSTANCES: usize = 1000;

/// The three things that can be asked. A closed set: there is no verb for a path, a property or an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Enable,
    Disable,
    Show,
}

/// A verb and the instances it is for: at least one, every name valid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    pub(crate) names: Vec<InstanceName>,
}

/// Why a call was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    Usage,
    TooMany,
    Name(NameError),
}

impl Request {
    /// Reads the arguments after the program's name. One bad name refuses all of them.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let verb = match args.next().as_ref().and_then(|verb| verb.to_str()) {
            Some("enable") => Verb::Enable,
            Some("disable") => Verb::Disable,
            Some("show") => Verb::Show,
            _ => return Err(UsageError::Usage),
        };
        let names: Result<Vec<_>, _> = args.map(|name| InstanceName::try_from(name.as_os_str())).collect();
        match names.map_err(UsageError::Name)? {
            names if names.is_empty() => Err(UsageError::Usage),
            names if names.len() > MAX_INSTANCES => Err(UsageError::TooMany),
            names => Ok(Self { verb, names }),
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str("usage: left4me-systemctl enable|disable|show NAME..."),
            Self::TooMany => write!(f, "more than {MAX_INSTANCES} names"),
            Self::Name(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, UsageError> {
        Request::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn a_verb_and_names() {
        let request = parse(&["show", "a", "friday-night"]).unwrap();
        assert_eq!(request.verb, Verb::Show);
        assert_eq!(request.names.iter().map(InstanceName::as_str).collect::<Vec<_>>(), ["a", "friday-night"]);
        assert_eq!(parse(&["enable", "a"]).unwrap().verb, Verb::Enable);
        assert_eq!(parse(&["disable", "a"]).unwrap().verb, Verb::Disable);
    }

    #[test]
    fn anything_else_is_a_usage_error() {
        for args in [&[][..], &["show"], &["start", "a"], &["Enable", "a"], &["--help"], &["", "a"], &["enable\0", "a"]]
        {
            assert_eq!(parse(args), Err(UsageError::Usage), "{args:?}");
        }
    }

    #[test]
    fn at_most_a_thousand_names() {
        let names: Vec<String> = (0..=MAX_INSTANCES).map(|number| format!("n{number}")).collect();
        let args: Vec<&str> = ["show"].into_iter().chain(names.iter().map(String::as_str)).collect();
        assert_eq!(parse(&args), Err(UsageError::TooMany));
        assert!(parse(&args[..=MAX_INSTANCES]).is_ok());
    }

    #[test]
    fn one_bad_name_refuses_the_call() {
        for bad in ["", "-a", "--now", "a.service", "../a", "a b", "*", "a\n", "A", &"x".repeat(65)] {
            assert!(matches!(parse(&["enable", "good", bad]), Err(UsageError::Name(_))), "{bad:?} was taken");
        }
    }
}
