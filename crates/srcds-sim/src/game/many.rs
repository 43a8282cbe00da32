//! Many servers in one process that answer A2S and nothing else, for whoever asks many at once.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::ExitCode;

use rustix::event::epoll;

use super::console::Console;
use super::{a2s, challenge, say};

/// How many packets are seen to in one go.
const EVENTS: usize = 256;

const USAGE: &str = "usage: srcds-sim many --count N [--first-port P] [--address A] [--loss FRACTION] [+CVAR VALUE]...";

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Options {
    address: IpAddr,
    first_port: u16,
    count: u16,
    /// Of all packets in either direction.
    loss: f64,
}

/// Serves until it is killed.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let served = match Options::parse(args) {
        Some(options) => options.serve(args),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("srcds-sim many: {error}"));
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(args: &[String]) -> Option<Self> {
        let mut options = Self { address: Ipv4Addr::LOCALHOST.into(), first_port: 27015, count: 0, loss: 0.0 };
        let mut args = args.iter().take_while(|arg| !arg.starts_with('+'));
        while let Some(name) = args.next() {
            let value = args.next()?;
            match name.as_str() {
                "--address" => options.address = value.parse().ok()?,
                "--first-port" => options.first_port = value.parse().ok()?,
                "--count" => options.count = value.parse().ok()?,
                "--loss" => options.loss = value.parse().ok()?,
                _ => return None,
            }
        }
        let fits = options.first_port.checked_add(options.count).is_some();
        (fits && options.count > 0 && (0.0..1.0).contains(&options.loss)).then_some(options)
    }

    fn serve(&self, args: &[String]) -> io::Result<()> {
        let mut console = Console::new();
        console.start(args);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut servers = Vec::new();
        for port in self.first_port..self.first_port + self.count {
            let socket = UdpSocket::bind((self.address, port))?;
            socket.set_nonblocking(true)?;
            epoll::add(&epoll, &socket, epoll::EventData::new_u64(servers.len() as u64), epoll::EventFlags::IN)?;
            servers.push((socket, port));
        }
        say(&format!("SIMULATED Left 4 Dead 2 servers (srcds-sim): no game runs here. {} answer.", servers.len()));
        let (challenges, mut chance) = (RandomState::new(), Chance::new(self.loss));
        let mut events = Vec::with_capacity(EVENTS);
        let mut packet = [0; 1400];
        loop {
            events.clear();
            match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let server = usize::try_from(event.data.u64()).ok().and_then(|at| servers.get(at));
                let Some((socket, port)) = server else { continue };
                let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
                if chance.loses() {
                    continue;
                }
                let challenge = challenge(&challenges, from.ip());
                for reply in a2s::answer(&packet[..length], &console.cvars, *port, challenge) {
                    if !chance.loses() {
                        let _ = socket.send_to(&reply, from);
                    }
                }
            }
        }
    }
}

/// Which packets are lost: SplitMix64.
struct Chance {
    state: u64,
    /// Of 2⁶⁴.
    lost: u64,
}

impl Chance {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of 1 is in range")]
    fn new(loss: f64) -> Self {
        Self { state: RandomState::new().hash_one(0), lost: (loss * 2_f64.powi(64)) as u64 }
    }

    fn loses(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) < self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_served_is_refused() {
        let parse = |args: &str| Options::parse(&args.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let options = parse("--count 10 --first-port 100 --loss 0.01 +sim_players 4").unwrap();
        assert_eq!((options.first_port, options.count, options.loss), (100, 10, 0.01));
        for args in ["", "--count 0", "--count", "--count 10 --first-port 65530", "--count 1 --loss 1", "--what 1"] {
            assert_eq!(parse(args), None, "{args}");
        }
    }

    #[test]
    fn so_many_are_lost() {
        let mut chance = Chance::new(0.25);
        let lost = (0..10_000).filter(|_| chance.loses()).count();
        assert!((2000..3000).contains(&lost), "{lost}");
        let mut chance = Chance::new(0.0);
        assert!(!(0..10_000).any(|_| chance.loses()));
    }
}
