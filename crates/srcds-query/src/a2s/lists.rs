//! The replies that are lists: players and rules.

use std::time::Duration;

use super::Error;
use super::bytes::Bytes;

/// One who plays, a bot or not: nothing here tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Player {
    /// The name that the player chose; empty for one who is still connecting.
    pub name: String,
    /// Points, in whatever way the game counts them.
    pub score: i32,
    /// For how long already. Zero where the server says what is no time: below zero, infinite, not a number.
    pub duration: Duration,
}

/// A cvar that the server tells everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The cvar's name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Player {
    /// Reads a whole reply, from its kind `D` on: at most 255 players, in the server's order. What follows is ignored.
    pub fn parse_all(reply: &[u8]) -> Result<Vec<Self>, Error> {
        let mut bytes = Bytes::new(reply);
        if bytes.byte()? != b'D' {
            return Err(Error::Malformed("it is no reply to a question for players"));
        }
        (0..bytes.byte()?).map(|_| Self::parse(&mut bytes)).collect()
    }

    fn parse(bytes: &mut Bytes<'_>) -> Result<Self, Error> {
        // A number of the player which is always 0.
        bytes.byte()?;
        let (name, score) = (bytes.text()?, i32::from_le_bytes(bytes.array()?));
        let duration = Duration::try_from_secs_f32(f32::from_le_bytes(bytes.array()?)).unwrap_or_default();
        Ok(Self { name, score, duration })
    }
}

impl Rule {
    /// Reads a whole reply, from its kind `E` on, in the server's order. What follows is ignored.
    pub fn parse_all(reply: &[u8]) -> Result<Vec<Self>, Error> {
        let mut bytes = Bytes::new(reply);
        if bytes.byte()? != b'E' {
            return Err(Error::Malformed("it is no reply to a question for rules"));
        }
        (0..bytes.u16()?).map(|_| Ok(Self { name: bytes.text()?, value: bytes.text()? })).collect()
    }
}
