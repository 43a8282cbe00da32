//! One server, asked from a socket of its own.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Error, Exchange, Info, MAX_PACKET, Player, Question, Reply, Rule, Step};

/// Asks for name, map and counts. Also gives the latency: one round trip, from when the request that was answered
/// was first sent to the answer's last packet, so that lost packets show.
pub fn info(address: SocketAddr, timeout: Duration) -> Result<(Info, Duration), Error> {
    match ask(address, Question::Info, timeout)? {
        (Reply::Info(info), latency) => Ok((*info, latency)),
        _ => Err(Error::Malformed("it answers another question")),
    }
}

/// Asks who plays.
pub fn players(address: SocketAddr, timeout: Duration) -> Result<Vec<Player>, Error> {
    match ask(address, Question::Players, timeout)? {
        (Reply::Players(players), _) => Ok(players),
        _ => Err(Error::Malformed("it answers another question")),
    }
}

/// Asks for the public cvars.
pub fn rules(address: SocketAddr, timeout: Duration) -> Result<Vec<Rule>, Error> {
    match ask(address, Question::Rules, timeout)? {
        (Reply::Rules(rules), _) => Ok(rules),
        _ => Err(Error::Malformed("it answers another question")),
    }
}

/// After so long without an answer a request is taken for lost.
pub(crate) fn patience(timeout: Duration) -> Duration {
    (timeout / 6).clamp(Duration::from_millis(1), Duration::from_secs(1))
}

/// The address to bind to for a server of this address.
pub(crate) fn any(server: SocketAddr) -> SocketAddr {
    let ip = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    (ip, 0).into()
}

fn ask(address: SocketAddr, question: Question, timeout: Duration) -> Result<(Reply, Duration), Error> {
    let deadline = Instant::now() + timeout;
    let socket = UdpSocket::bind(any(address))?;
    // From here on the kernel drops what others send, and tells what ICMP says of this server.
    socket.connect(address)?;
    let mut exchange = Exchange::new(question);
    let mut packet = [0; MAX_PACKET + 1];
    let mut begun = Instant::now();
    let mut sent = begun;
    socket.send(exchange.request())?;
    loop {
        let now = Instant::now();
        if now >= deadline {
            return Err(exchange.timed_out());
        }
        if now >= sent + patience(timeout) {
            sent = now;
            socket.send(exchange.request())?;
        }
        let until = deadline.min(sent + patience(timeout));
        // A timeout of zero would be none at all.
        socket.set_read_timeout(Some((until - now).max(Duration::from_micros(1))))?;
        let length = match socket.recv(&mut packet) {
            Ok(length) => length,
            Err(error) if is_nothing(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        match exchange.receive(&packet[..length])? {
            Step::Send => {
                begun = Instant::now();
                sent = begun;
                socket.send(exchange.request())?;
            }
            Step::Wait => {}
            Step::Done(reply) => return Ok((reply, begun.elapsed())),
        }
    }
}

/// Nothing came, or a signal did.
pub(crate) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
