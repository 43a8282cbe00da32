//! One of the servers: what it is asked, and what it has answered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use super::{Answer, Target};
use crate::a2s::{Error, Exchange, Question, Reply, Step};

#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) answer: Answer,
    question: Question,
    /// What it is asked after that.
    later: Vec<Question>,
    /// None when all is answered that can be.
    exchange: Option<Exchange>,
    /// When the present request was first sent.
    begun: Instant,
    /// Something has come.
    pub(super) heard: bool,
    /// Counts what was sent, so that what is noted about an earlier packet is known to be of no use any more.
    pub(super) serial: u32,
    /// Its last request is young enough for an answer to be on its way.
    pub(super) young: bool,
}

/// The servers of the targets, each once, and which is which target's.
pub(super) fn of(targets: &[Target], now: Instant) -> (Vec<Server>, Vec<usize>) {
    let mut servers: Vec<Server> = Vec::new();
    let mut known = HashMap::new();
    let of_target = targets.iter().map(|target| {
        let address = canonical(target.address);
        let at = match known.entry(address) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                servers.push(Server::new(address, now));
                *new.insert(servers.len() - 1)
            }
        };
        for (wanted, question) in [(target.rules, Question::Rules), (target.players, Question::Players)] {
            if wanted && !servers[at].later.contains(&question) {
                servers[at].later.push(question);
            }
        }
        at
    });
    let of_target = of_target.collect();
    (servers, of_target)
}

/// An address as its packets have it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        // The kernel sends there, too.
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        SocketAddr::V4(_) => address,
        // An interface belongs to a link's own addresses alone.
        SocketAddr::V6(v6) => {
            let scope = if v6.ip().is_unicast_link_local() { v6.scope_id() } else { 0 };
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope).into()
        }
    }
}

impl Server {
    fn new(address: SocketAddr, now: Instant) -> Self {
        Self {
            address,
            answer: Answer { info: Err(Error::Timeout), players: None, rules: None, latency: None },
            question: Question::Info,
            later: Vec::new(),
            exchange: Some(Exchange::new(Question::Info)),
            begun: now,
            heard: false,
            serial: 0,
            young: false,
        }
    }

    /// What to send; `None` when there is nothing more to ask.
    pub(super) fn request(&self) -> Option<&[u8]> {
        self.exchange.as_ref().map(Exchange::request)
    }

    /// The request goes out for the first time.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begun = now;
    }

    /// Takes a packet from it; whether there is another request now, or none any more.
    pub(super) fn receive(&mut self, packet: &[u8]) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        self.heard = true;
        match exchange.receive(packet) {
            Ok(Step::Wait) => return false,
            Ok(Step::Send) => {}
            Ok(Step::Done(reply)) => self.take(reply),
            Err(error) => self.fail(error),
        }
        true
    }

    fn take(&mut self, reply: Reply) {
        match reply {
            Reply::Info(info) => {
                self.answer.info = Ok(*info);
                self.answer.latency = Some(self.begun.elapsed());
            }
            Reply::Players(players) => self.answer.players = Some(Ok(players)),
            Reply::Rules(rules) => self.answer.rules = Some(Ok(rules)),
        }
        self.ask_next();
    }

    /// There is no answer to what it is asked.
    pub(super) fn fail(&mut self, error: Error) {
        match self.question {
            Question::Info => self.answer.info = Err(error),
            Question::Players => self.answer.players = Some(Err(error)),
            Question::Rules => self.answer.rules = Some(Err(error)),
        }
        self.ask_next();
    }

    /// There is no time any more.
    pub(super) fn time_out(&mut self) {
        while let Some(exchange) = &self.exchange {
            self.fail(exchange.timed_out());
        }
    }

    fn ask_next(&mut self) {
        let next = if self.answer.info.is_ok() { self.later.pop() } else { None };
        let challenge = self.exchange.as_ref().and_then(Exchange::challenge);
        self.exchange = next.map(|question| match challenge {
            Some(challenge) => Exchange::with_challenge(question, challenge),
            None => Exchange::new(question),
        });
        self.question = next.unwrap_or(self.question);
    }
}
