//! Any number of servers asked at once, from one socket (two where some have IPv6 addresses).
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use srcds_query::sweep::{Target, ask};
//!
//! let addresses: Vec<SocketAddr> = (27015..27115).map(|port| ([192, 0, 2, 1], port).into()).collect();
//! let targets: Vec<Target> = addresses.iter().map(|&address| Target::new(address).with_players()).collect();
//! for (target, answer) in targets.iter().zip(ask(&targets, Duration::from_secs(1))) {
//!     match answer.info {
//!         Ok(info) => println!("{}: {:?}, {} humans", target.address, info.map, info.humans()),
//!         Err(error) => println!("{}: {error}", target.address),
//!     }
//! }
//! ```
//!
//! - It ends as soon as all have answered, and at the deadline whatever happens.
//! - A packet counts only if it comes from the address and the port that were asked. (Who can send in that name and knows
//!   our port can still lie, as everywhere in A2S.)
//! - A server's questions are asked one after the other, first for the info, the later ones with the first one's challenge,
//!   so that it costs a round trip for each and one more. A challenge does not say what it was asked for, and
//!   neither do the pieces of a long reply.
//! - Lost packets are sent again, after a sixth of the time and at most a second.
//! - At most 256 requests are under way that are less than 20 ms old, so that the answers do not overflow the
//!   socket's buffer, and servers that do not answer hold up none that do.
//! - A server takes at most 128 KiB while its long reply comes in, and what it answers, which is some of
//!   [`MAX_REPLY`](crate::a2s::MAX_REPLY) for each question.

mod run;
mod server;
mod socket;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::a2s::{Error, Info, Player, Rule};

/// A server, and what it is asked besides its info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where it answers. An unspecified address, which servers bind to, is asked on this machine.
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
    /// One round trip, as of [`a2s::info()`](crate::a2s::info()); `None` without an answer.
    pub latency: Option<Duration>,
}

/// Asks all targets, for so long in total; the answers come in the targets' order. Two targets may be the same server,
/// which is asked once.
///
/// [`Error::Refused`] is known of a server that was silent at first and is then asked from a socket of its own: the kernel
/// tells an unconnected socket nothing of ICMP. Where hundreds are silent some may end as [`Error::Timeout`].
pub fn ask(targets: &[Target], deadline: Duration) -> Vec<Answer> {
    let start = Instant::now();
    let (mut servers, of_target) = server::of(targets, start);
    run::Run::new(&mut servers, start, deadline).run();
    let answers = targets.iter().zip(of_target).map(|(target, server)| {
        let answer = servers[server].answer.clone();
        Answer {
            players: answer.players.filter(|_| target.players),
            rules: answer.rules.filter(|_| target.rules),
            ..answer
        }
    });
    answers.collect()
}
