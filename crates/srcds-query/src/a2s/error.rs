//! Why there is no answer.

use std::fmt;
use std::io;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Nothing came in time: nothing runs there, a firewall drops the packets, or the server hangs.
    Timeout,
    /// Something came in time, but no whole answer: pieces were lost, or the server only ever asks for a challenge.
    Incomplete,
    /// The machine or one on the way says that it can't be reached: most often nothing listens on that port.
    Refused,
    /// What came is no reply, and why.
    Malformed(&'static str),
    /// The reply is compressed, which is not supported: what it would take is decided by who sends it.
    Compressed,
    /// The reply has more packets or bytes than are taken.
    TooLarge,
    /// The server takes none of the challenges that it gives.
    Challenges,
    /// The operating system refuses, with this error number.
    Os(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Incomplete => f.write_str("no whole answer in time"),
            Self::Refused => f.write_str("nothing listens there"),
            Self::Malformed(why) => write!(f, "the answer is malformed: {why}"),
            Self::Compressed => f.write_str("the answer is compressed, which is not supported"),
            Self::TooLarge => f.write_str("the answer is too large"),
            Self::Challenges => f.write_str("the server takes none of its own challenges"),
            Self::Os(number) => write!(f, "can't ask: {}", io::Error::from_raw_os_error(*number)),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // What ICMP told.
            io::ErrorKind::ConnectionRefused => Self::Refused,
            // Calls on sockets fail with numbers alone; std makes an error without one of an address it can't use.
            _ => Self::Os(error.raw_os_error().unwrap_or(rustix::io::Errno::INVAL.raw_os_error())),
        }
    }
}
