//! The library's one error: a kind from a closed list, the object, the cause, and the next command.

use std::error::Error as StdError;
use std::fmt;

/// The library's results.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, for programs: the closed list that `--json` prints as `error.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Wrong arguments.
    Usage,
    /// A name, ref, alias or port that breaks its rule.
    InvalidName,
    /// A spec that is refused; the message has file, line and column.
    InvalidSpec,
    /// No such instance, file or root directory.
    NotFound,
    /// Another instance, or another user's program, has the port.
    PortConflict,
    /// The instance is at another revision than the caller expected.
    RevisionMismatch,
    /// Instances run that must not.
    InstanceRunning,
    /// An instance does not run that must.
    NotRunning,
    /// A server does not answer its RCON, or not as it should.
    NoAnswer,
    /// A server refuses the RCON password, or this host.
    RconRefused,
    /// Nobody on the server is meant by what was given.
    NoSuchPlayer,
    /// More than one player is meant by what was given.
    AmbiguousPlayer,
    /// The other supervisor holds the instance, or the chosen one is not to be had here.
    WrongSupervisor,
    /// Run by a user who does not own the root directory, or who may not call the helpers.
    PermissionDenied,
    /// An overlay of the spec is not there.
    OverlayMissing,
    /// The game is not installed.
    InstallationMissing,
    /// No SteamCMD, or one that can't be run.
    SteamcmdMissing,
    /// SteamCMD failed in a way that retrying did not mend.
    SteamcmdFailed,
    /// Steam wants an account that owns the game.
    LicenceRequired,
    /// The disk is full, or will be.
    DiskFull,
    /// The server did not start.
    StartFailed,
    /// An instance did not come up as it should on the build that it was moved to.
    RolloutFailed,
    /// A child process failed; its stderr has been passed through and its exit code is ours.
    ChildFailed,
    /// A file of ours is damaged or from another version.
    Corrupt,
    /// The machine lacks something that is needed.
    Unsupported,
    /// It took too long.
    Timeout,
    /// Ctrl-C or a signal ended it.
    Interrupted,
    /// The operating system refused a file operation.
    Io,
    /// A fault of left4me's own.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 29] = [
        Self::Usage,
        Self::InvalidName,
        Self::InvalidSpec,
        Self::NotFound,
        Self::PortConflict,
        Self::RevisionMismatch,
        Self::InstanceRunning,
        Self::NotRunning,
        Self::NoAnswer,
        Self::RconRefused,
        Self::NoSuchPlayer,
        Self::AmbiguousPlayer,
        Self::WrongSupervisor,
        Self::PermissionDenied,
        Self::OverlayMissing,
        Self::InstallationMissing,
        Self::SteamcmdMissing,
        Self::SteamcmdFailed,
        Self::LicenceRequired,
        Self::DiskFull,
        Self::StartFailed,
        Self::RolloutFailed,
        Self::ChildFailed,
        Self::Corrupt,
        Self::Unsupported,
        Self::Timeout,
        Self::Interrupted,
        Self::Io,
        Self::Internal,
    ];

    /// The kind as `--json` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::InvalidName => "invalid-name",
            Self::InvalidSpec => "invalid-spec",
            Self::NotFound => "not-found",
            Self::PortConflict => "port-conflict",
            Self::RevisionMismatch => "revision-mismatch",
            Self::InstanceRunning => "instance-running",
            Self::NotRunning => "not-running",
            Self::NoAnswer => "no-answer",
            Self::RconRefused => "rcon-refused",
            Self::NoSuchPlayer => "no-such-player",
            Self::AmbiguousPlayer => "ambiguous-player",
            Self::WrongSupervisor => "wrong-supervisor",
            Self::PermissionDenied => "permission-denied",
            Self::OverlayMissing => "overlay-missing",
            Self::InstallationMissing => "installation-missing",
            Self::SteamcmdMissing => "steamcmd-missing",
            Self::SteamcmdFailed => "steamcmd-failed",
            Self::LicenceRequired => "licence-required",
            Self::DiskFull => "disk-full",
            Self::StartFailed => "start-failed",
            Self::RolloutFailed => "rollout-failed",
            Self::ChildFailed => "child-failed",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Io => "io",
            Self::Internal => "internal",
        }
    }
}

/// "can't VERB OBJECT", its cause chain, and where there is one a hint that names the next command.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
    exit_code: Option<u8>,
}

impl Error {
    /// The message and the causes, in one line where they are such.
    pub(crate) fn with_causes(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn StdError), |error| (*error).source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// An error of this kind; `message` names the object, in lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, hint: None, exit_code: None }
    }

    /// A file operation that failed; "no space" and "not permitted" become their own kinds.
    pub fn io(message: impl Into<String>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::DiskFull,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).because(error)
    }

    /// A child that failed: its stderr is already where ours goes, and `code` is our exit code.
    pub fn child(message: impl Into<String>, code: u8) -> Self {
        Self::new(ErrorKind::ChildFailed, message).with_exit_code(code)
    }

    /// Makes `code` the process' exit code, where it is a child's.
    #[must_use]
    pub fn with_exit_code(mut self, code: u8) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// The cause, for another error that says the rest.
    pub(crate) fn into_source(self) -> Option<Box<dyn StdError + Send + Sync>> {
        self.source
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do next, where there is something.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The process' exit code: the child's for [`ErrorKind::ChildFailed`], 2 for usage errors, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        self.exit_code.unwrap_or(if self.kind == ErrorKind::Usage { 2 } else { 1 })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<overlay::Error> for Error {
    fn from(error: overlay::Error) -> Self {
        let kind = match error.errno().map(std::io::Error::from).map(|e| e.kind()) {
            Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => ErrorKind::DiskFull,
            Some(std::io::ErrorKind::PermissionDenied) => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<names::NameError> for Error {
    fn from(error: names::NameError) -> Self {
        Self::new(ErrorKind::InvalidName, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn exit_codes() {
        assert_eq!(Error::new(ErrorKind::Usage, "x").exit_code(), 2);
        assert_eq!(Error::new(ErrorKind::Io, "x").exit_code(), 1);
        assert_eq!(Error::child("x", 69).exit_code(), 69);
    }
}
