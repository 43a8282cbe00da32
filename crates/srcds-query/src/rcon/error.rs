//! Why there is no reply.

use std::fmt;
use std::io;

/// What went wrong. The text of none holds the password or anything that the server sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command can't be sent as one command, and why; nothing was sent.
    InvalidCommand(&'static str),
    /// The password can't be sent as one; nothing was.
    InvalidPassword,
    /// The server said that the password is wrong. Trying again can only get the address banned.
    WrongPassword,
    /// Nothing listens on the port.
    Closed,
    /// The server hung up before it had answered the password. A server does so to an address that it has banned, for
    /// wrong passwords or by `addip`, and to one that is not on its list; the protocol has no word for it, so that a server
    /// that ended at this moment looks the same.
    Banned,
    /// The server hung up before the reply was whole, as after `quit`.
    HungUp,
    /// The deadline has passed.
    Timeout(Waiting),
    /// What came is not RCON; the connection is of no more use.
    Malformed(Malformed),
    /// The reply is larger than the limit, in bytes.
    TooLarge(usize),
    /// An earlier error ended the connection.
    Unusable,
    /// The operating system refused.
    Io(io::Error),
}

/// What a server was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// That the connection is made.
    Connection,
    /// Its answer to the password.
    Admission,
    /// The rest of its reply to a command.
    Reply,
}

/// How a server's bytes break the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A frame of this size, as it says itself: it must be 10 to [`MAX_FRAME`](super::MAX_FRAME).
    Size(i32),
    /// A frame without the two NULs at its end.
    End,
    /// A frame of a kind or with a number that nobody asked for: id, kind.
    Unasked(i32, i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCommand(why) => write!(f, "the command {why}"),
            Self::InvalidPassword => f.write_str("the RCON password holds a NUL or is too long"),
            Self::WrongPassword => f.write_str("the server refuses the RCON password"),
            Self::Closed => f.write_str("nothing listens on the RCON port"),
            Self::Banned => f.write_str("the server hung up before it had answered the RCON password"),
            Self::HungUp => f.write_str("the server hung up before its reply was whole"),
            Self::Timeout(Waiting::Connection) => f.write_str("no RCON connection in time"),
            Self::Timeout(Waiting::Admission) => f.write_str("no answer to the RCON password in time"),
            Self::Timeout(Waiting::Reply) => f.write_str("no whole reply in time"),
            Self::Malformed(Malformed::Size(size)) => write!(f, "the server sent an RCON frame of {size} bytes"),
            Self::Malformed(Malformed::End) => f.write_str("the server sent an RCON frame without an end"),
            Self::Malformed(Malformed::Unasked(id, kind)) => {
                write!(f, "the server sent an RCON frame that nobody asked for (number {id}, kind {kind})")
            }
            Self::TooLarge(limit) => write!(f, "the server's reply is larger than {limit} bytes"),
            Self::Unusable => f.write_str("the RCON connection ended with an earlier error"),
            Self::Io(_) => f.write_str("can't talk to the RCON port"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
