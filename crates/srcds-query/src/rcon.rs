//! RCON: commands for a server's console over TCP, and what it prints.
//!
//! A [`Session`] is the protocol alone, bytes in and bytes out. A [`Client`] is one connection; [`sweep()`] asks many servers
//! at once, in one thread. Whatever a server sends, every call ends by its deadline, and the memory for one reply is bounded.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//!
//! use srcds_query::console::Status;
//! use srcds_query::rcon::{Client, Error, Password};
//!
//! fn players(address: std::net::SocketAddr, password: &Password) -> Result<Vec<String>, Error> {
//!     let deadline = Instant::now() + Duration::from_secs(5);
//!     let reply = Client::connect(address, password, deadline)?.run("status", deadline)?;
//!     let players = Status::parse(&reply).map(|status| status.players).unwrap_or_default();
//!     Ok(players.into_iter().map(|player| player.name).collect())
//! }
//! ```
//!
//! Nothing here tries a password a second time: a server bans the address that guesses, 127.0.0.1 included.

mod client;
mod connection;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod session;
mod sweep;

use std::fmt;

pub use client::Client;
pub use error::{Error, Malformed, Waiting};
pub use session::{Event, MAX_COMMAND, MAX_FRAME, MAX_REPLY, Session};
pub use sweep::{MAX_SWEEP_REPLY, Target, sweep};

/// The password of a server's RCON. It can't be printed: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A password: at most [`MAX_COMMAND`] bytes without NUL, which ends it in the protocol; otherwise
    /// [`Error::InvalidPassword`], which does not repeat it.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if text.contains('\0') || text.len() > MAX_COMMAND { Err(Error::InvalidPassword) } else { Ok(Self(text)) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let password = Password::new("secret").unwrap();
        assert_eq!(format!("{password:?} {:#?}", Some(&password)), "Password(***) Some(\n    Password(***),\n)");
        let session = Session::new(&password);
        assert!(!format!("{session:?}").contains("secret"));
        for (text, part) in [("sec\0ret", "sec"), (&"secret".repeat(MAX_COMMAND), "secret")] {
            let error = Password::new(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(part));
        }
    }
}
