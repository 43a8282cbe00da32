//! The crate's one error: what could not be done, to what, and why.

use std::fmt;
use std::path::Path;

/// "can't VERB OBJECT: reason", in one line.
#[derive(Debug)]
pub struct Error(String);

/// The crate's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error in these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An operation on a file that failed: "can't VERB PATH: reason".
    pub(crate) fn on(verb: &str, path: &Path, reason: impl fmt::Display) -> Self {
        Self(format!("can't {verb} {}: {reason}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
