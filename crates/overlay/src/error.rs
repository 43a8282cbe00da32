//! The crate's one error: what could not be done, to what, and the kernel's reason.

use std::fmt;

use rustix::io::Errno;

/// "can't VERB OBJECT: reason". The reason is the kernel's, translated where its own words mislead.
#[derive(Debug)]
pub struct Error {
    message: String,
    errno: Option<Errno>,
}

/// The crate's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of our own finding, such as a check that failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), errno: None }
    }

    /// A system call's error; `what` is "can't VERB OBJECT".
    pub fn kernel(what: impl fmt::Display, errno: Errno) -> Self {
        Self { message: format!("{what}: {}", reason(errno)), errno: Some(errno) }
    }

    /// A system call's error whose reason is already in `message`.
    pub(crate) fn kernel_with(message: impl Into<String>, errno: Errno) -> Self {
        Self { message: message.into(), errno: Some(errno) }
    }

    /// The error number, where a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// Whether the cause is a busy mount, the one error that is worth a retry.
    pub(crate) fn is_busy(&self) -> bool {
        self.errno == Some(Errno::BUSY)
    }
}

/// The kernel's reason in words.
pub(crate) fn reason(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Names the failed step on a result of a system call.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::kernel(what(), errno))
    }
}
