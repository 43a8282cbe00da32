//! Any number of servers asked at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::a2s::{self, Error, Info, Player, Rule};

/// A server, and what it is asked besides its info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where it answers.
    pub address: SocketAddr,
    /// Whether it is asked who plays.
    pub players: bool,
    /// Whether it is asked for its public cvars.
    pub rules: bool,
}

impl Target {
    /// A server that is asked for its info alone.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, players: false, rules: false }
    }

    /// Asked who plays, too.
    #[must_use]
    pub fn with_players(self) -> Self {
        Self { players: true, ..self }
    }

    /// Asked for its public cvars, too.
    #[must_use]
    pub fn with_rules(self) -> Self {
        Self { rules: true, ..self }
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its info.
    pub info: Result<Info, Error>,
    /// Who plays; `None` where that was not asked, for want of interest or of an answer to the first question.
    pub players: Option<Result<Vec<Player>, Error>>,
    /// The public cvars; `None` as with the players.
    pub rules: Option<Result<Vec<Rule>, Error>>,
    /// One round trip, as of [`a2s::info()`]; `None` without an answer.
    pub latency: Option<Duration>,
}

/// Asks all targets, for so long in total; the answers come in the targets' order. Two targets may be the same server.
pub fn ask(targets: &[Target], deadline: Duration) -> Vec<Answer> {
    let end = Instant::now() + deadline;
    let left = || end.saturating_duration_since(Instant::now());
    let one = |target: &Target| {
        let (info, latency) = match a2s::info(target.address, left()) {
            Ok((info, latency)) => (Ok(info), Some(latency)),
            Err(error) => (Err(error), None),
        };
        let (players, rules) = (target.players && info.is_ok(), target.rules && info.is_ok());
        Answer {
            info,
            players: players.then(|| a2s::players(target.address, left())),
            rules: rules.then(|| a2s::rules(target.address, left())),
            latency,
        }
    };
    targets.iter().map(one).collect()
}
