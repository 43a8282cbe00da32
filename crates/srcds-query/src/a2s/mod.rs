//! A2S, the protocol of server browsers: name and map, players, rules.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! let address = "192.0.2.1:27015".parse().unwrap();
//! let (info, latency) = srcds_query::a2s::info(address, Duration::from_secs(1))?;
//! println!("{:?} on {:?}: {} of {}, {latency:?}", info.name, info.map, info.humans(), info.max_players);
//! for player in srcds_query::a2s::players(address, Duration::from_secs(1))? {
//!     println!("{:?}: {} for {:?}", player.name, player.score, player.duration);
//! }
//! # Ok::<(), srcds_query::a2s::Error>(())
//! ```
//!
//! [`info()`], [`players`] and [`rules`] ask one server from a socket of their own. For more than one there is
//! [`sweep`](crate::sweep). Below them is [`Exchange`], the protocol as a state machine: it says what to send and is told
//! what came, and knows no sockets and no time. [`Info::parse`] and its like read a whole reply.
//!
//! # Limits
//!
//! A reply has at most [`MAX_PIECES`] packets and [`MAX_REPLY`] bytes. Compressed ones, which engines from before 2007
//! send, are refused. Texts are decoded as UTF-8, and what is none of it is replaced by U+FFFD.
//!
//! # Left 4 Dead 2
//!
//! - It answers nothing without a challenge since June 2021, info included.
//! - There are no Steam IDs and nothing says whether the server hibernates: the console's `status` does.
//! - The number of players includes bots, as in other games of the engine; hence [`Info::humans`]. (Inferred, as is that a
//!   hibernating server names no map. Measure before you rely on it.)

mod bytes;
mod client;
mod error;
mod exchange;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod info;
mod lists;
mod pieces;

pub(crate) use client::{any, is_nothing, patience};
pub use client::{info, players, rules};
pub use error::Error;
pub use exchange::{Exchange, Step};
pub use info::{Environment, Info, ServerType, Tv};
pub use lists::{Player, Rule};
pub use pieces::{MAX_PIECES, MAX_REPLY};

/// The largest packet that is taken, in bytes. Source servers send at most 1400.
pub const MAX_PACKET: usize = 2048;

/// What a server can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// Name, map, counts.
    Info,
    /// Who plays.
    Players,
    /// The public cvars.
    Rules,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Question::Info`].
    Info(Box<Info>),
    /// To [`Question::Players`].
    Players(Vec<Player>),
    /// To [`Question::Rules`].
    Rules(Vec<Rule>),
}

impl Question {
    /// The byte that begins its reply.
    fn reply_kind(self) -> u8 {
        match self {
            Self::Info => b'I',
            Self::Players => b'D',
            Self::Rules => b'E',
        }
    }

    /// Reads a whole reply, from its kind on.
    fn parse(self, reply: &[u8]) -> Result<Reply, Error> {
        Ok(match self {
            Self::Info => Reply::Info(Box::new(Info::parse(reply)?)),
            Self::Players => Reply::Players(Player::parse_all(reply)?),
            Self::Rules => Reply::Rules(Rule::parse_all(reply)?),
        })
    }
}
