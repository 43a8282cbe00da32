//! The sweep's loop: sends, receives, sends again, until all is answered or the time is over.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::server::{Server, canonical};
use super::socket::{Sockets, is_refused, probe};
use crate::a2s::{Error, MAX_PACKET, patience};

/// How many requests may be under way that are [young](YOUTH). Their answers wait in the socket's buffer while this program
/// does not run, and the kernel's usual one holds a few more than that.
const WINDOW: usize = 256;

/// So old a request is answered already, or soon no more.
const YOUTH: Duration = Duration::from_millis(20);

/// So many are sent before what has come is read.
const BURST: usize = 32;

/// So many are read before it is seen to the rest: a flood must not keep the loop from its deadline.
const MOST_RECEIVED: usize = 256;

/// So many sockets are used at a time to be told of servers that can't be reached.
const MAX_PROBES: usize = 128;

#[derive(Debug)]
pub(super) struct Run<'a> {
    servers: &'a mut [Server],
    at: HashMap<SocketAddr, usize>,
    sockets: Sockets,
    end: Instant,
    /// After so long a request is sent again.
    patience: Duration,
    /// The first that was not asked yet.
    next: usize,
    /// How many have not answered everything.
    open: usize,
    /// How many have a young request under way.
    young: usize,
    /// The requests in the order in which they were sent, while they are young...
    growing: VecDeque<Sent>,
    /// ...and until they are sent again.
    sent: VecDeque<Sent>,
    /// Sockets connected to silent servers, to be told what ICMP says of them.
    probes: HashMap<usize, UdpSocket>,
}

/// A note of a request. It is of use as long as the server's serial is the same.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    server: usize,
    serial: u32,
}

impl<'a> Run<'a> {
    pub(super) fn new(servers: &'a mut [Server], start: Instant, deadline: Duration) -> Self {
        Self {
            at: servers.iter().enumerate().map(|(at, server)| (server.address, at)).collect(),
            sockets: Sockets::default(),
            end: start + deadline,
            patience: patience(deadline),
            next: 0,
            open: servers.len(),
            young: 0,
            growing: VecDeque::new(),
            sent: VecDeque::new(),
            probes: HashMap::new(),
            servers,
        }
    }

    pub(super) fn run(mut self) {
        let mut packet = [0; MAX_PACKET + 1];
        loop {
            let now = Instant::now();
            if self.open == 0 || now >= self.end {
                break;
            }
            self.age(now);
            let busy = self.send_burst(now) | self.receive(&mut packet);
            if !busy {
                self.sockets.wait(self.until_next(Instant::now()));
            }
        }
        for (server, probe) in self.probes.drain() {
            if is_refused(&probe) {
                self.servers[server].fail(Error::Refused);
            }
        }
        self.servers.iter_mut().for_each(Server::time_out);
    }

    /// Those that are young no more make room for others.
    fn age(&mut self, now: Instant) {
        while let Some(sent) = self.growing.pop_front_if(|sent| sent.at + YOUTH <= now) {
            if self.servers[sent.server].serial == sent.serial {
                self.settle(sent.server);
            }
        }
    }

    /// Sends what is to be sent, as far as there is room; whether it was anything.
    fn send_burst(&mut self, now: Instant) -> bool {
        for number in 0..BURST {
            if self.young >= WINDOW {
                return number > 0;
            }
            let patience = self.patience;
            if let Some(sent) = self.sent.pop_front_if(|sent| sent.at + patience <= now) {
                if self.servers[sent.server].serial == sent.serial {
                    self.send_again(sent.server, now);
                }
            } else if self.next < self.servers.len() {
                self.next += 1;
                self.send_first(self.next - 1, now);
            } else {
                return number > 0;
            }
        }
        true
    }

    /// Reads what has come; whether it was anything.
    fn receive(&mut self, packet: &mut [u8]) -> bool {
        for number in 0..MOST_RECEIVED {
            let Some((length, from)) = self.sockets.receive(packet) else { return number > 0 };
            let Some(&server) = self.at.get(&canonical(from)) else { continue };
            // One that was not asked yet answers nothing.
            if server >= self.next {
                continue;
            }
            self.probes.remove(&server);
            if self.servers[server].receive(&packet[..length]) {
                self.send_first(server, Instant::now());
            }
        }
        true
    }

    /// A request that the server has not had yet; or none, if there is none.
    fn send_first(&mut self, server: usize, now: Instant) {
        self.servers[server].begin(now);
        self.send(server, now);
    }

    fn send_again(&mut self, server: usize, now: Instant) {
        let this = &mut self.servers[server];
        if !this.heard && self.probes.len() < MAX_PROBES && !self.probes.contains_key(&server) {
            let probe = this.request().and_then(|request| probe(request, this.address));
            self.probes.extend(probe.map(|probe| (server, probe)));
        }
        if self.probes.get(&server).is_some_and(is_refused) {
            this.fail(Error::Refused);
        }
        self.send(server, now);
    }

    fn send(&mut self, server: usize, now: Instant) {
        self.settle(server);
        let this = &mut self.servers[server];
        this.serial = this.serial.wrapping_add(1);
        while let Some(request) = this.request() {
            match self.sockets.send(request, this.address) {
                Ok(()) => {
                    this.young = true;
                    self.young += 1;
                    let sent = Sent { at: now, server, serial: this.serial };
                    self.growing.push_back(sent);
                    self.sent.push_back(sent);
                    return;
                }
                Err(error) => this.fail(error),
            }
        }
        self.probes.remove(&server);
        self.open -= 1;
    }

    fn settle(&mut self, server: usize) {
        if std::mem::take(&mut self.servers[server].young) {
            self.young -= 1;
        }
    }

    /// How long nothing is to be done if nothing comes.
    fn until_next(&self, now: Instant) -> Duration {
        let again = self.sent.front().map(|sent| sent.at + self.patience);
        let room = self.growing.front().map(|sent| sent.at + YOUTH);
        // While there is no room that comes first, and it only matters then.
        let next = if self.young >= WINDOW { room } else { again };
        next.map_or(self.end, |next| next.min(self.end)).saturating_duration_since(now)
    }
}
