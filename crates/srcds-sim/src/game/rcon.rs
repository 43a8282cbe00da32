//! RCON, as Source servers speak it, with its limits: no end mark but the echo of an empty reply, and a ban for those
//! who guess passwords.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};

use rustix::event::{PollFd, PollFlags};

use super::cvars::Cvars;

const AUTH: i32 = 3;
const EXEC_OR_AUTH_REPLY: i32 = 2;
const REPLY: i32 = 0;

/// A longer reply is sent in pieces.
const MAX_BODY: usize = 4000;

/// `sv_rcon_minfailures` and its like, as one number.
const MAX_FAILURES: u32 = 5;

struct Client {
    stream: TcpStream,
    address: IpAddr,
    received: Vec<u8>,
    admitted: bool,
    gone: bool,
}

/// All clients.
pub(super) struct Rcon {
    clients: Vec<Client>,
    failures: BTreeMap<IpAddr, u32>,
}

impl Rcon {
    pub(super) fn new() -> Self {
        Self { clients: Vec::new(), failures: BTreeMap::new() }
    }

    pub(super) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.clients.iter().map(|client| PollFd::new(&client.stream, PollFlags::IN))
    }

    pub(super) fn accept(&mut self, stream: TcpStream, address: IpAddr) {
        let banned = self.failures.get(&address).is_some_and(|&failures| failures >= MAX_FAILURES);
        if !banned && stream.set_nonblocking(true).is_ok() {
            self.clients.push(Client { stream, address, received: Vec::new(), admitted: false, gone: false });
        }
    }

    /// Answers whatever has come; `run` runs a command.
    pub(super) fn serve(&mut self, password: &str, run: &mut dyn FnMut(&str) -> String) {
        for client in &mut self.clients {
            client.receive();
            while let Some((id, kind, body)) = client.take_frame() {
                match kind {
                    AUTH => {
                        client.admitted = !password.is_empty() && body == password.as_bytes();
                        if !client.admitted {
                            *self.failures.entry(client.address).or_default() += 1;
                        }
                        client.send(id, REPLY, b"");
                        client.send(if client.admitted { id } else { -1 }, EXEC_OR_AUTH_REPLY, b"");
                    }
                    _ if !client.admitted => client.gone = true,
                    EXEC_OR_AUTH_REPLY => {
                        let reply = run(&String::from_utf8_lossy(&body));
                        let pieces = reply.as_bytes().chunks(MAX_BODY);
                        let nothing = reply.is_empty().then_some(&b""[..]);
                        pieces.chain(nothing).for_each(|piece| client.send(id, REPLY, piece));
                    }
                    // Whatever is not known is sent back: clients use that to find a reply's end.
                    _ => client.send(id, REPLY, &body),
                }
            }
        }
        self.clients.retain(|client| !client.gone);
    }
}

impl Client {
    fn receive(&mut self) {
        let mut chunk = [0_u8; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break self.gone = true,
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => break self.gone = true,
            }
        }
    }

    /// The next whole frame: id, type, body.
    fn take_frame(&mut self) -> Option<(i32, i32, Vec<u8>)> {
        let number = |at: usize| Some(i32::from_le_bytes(self.received.get(at..at + 4)?.try_into().ok()?));
        let size = usize::try_from(number(0)?).unwrap_or(0);
        if !(10..=64 * 1024).contains(&size) {
            self.gone = true;
            return None;
        }
        let (id, kind) = (number(4)?, number(8)?);
        let body = self.received.get(12..4 + size)?;
        let body = body.split(|&b| b == 0).next().unwrap_or_default().to_vec();
        self.received.drain(..4 + size);
        Some((id, kind, body))
    }

    fn send(&mut self, id: i32, kind: i32, body: &[u8]) {
        let size = i32::try_from(body.len() + 10).unwrap_or(i32::MAX);
        let frame = [&size.to_le_bytes()[..], &id.to_le_bytes(), &kind.to_le_bytes(), body, &[0, 0]].concat();
        self.gone |= self.stream.write_all(&frame).is_err();
    }
}

/// The console's `status`, in L4D2's layout.
pub(super) fn status(cvars: &Cvars, port: u16) -> String {
    let humans = cvars.number("sim_players").unwrap_or(0_u32);
    let bots = cvars.number("sim_bots").unwrap_or(0_u32);
    let hibernating = if humans == 0 { "hibernating" } else { "not hibernating" };
    let mut lines = vec![
        format!("hostname: {}", cvars.get("hostname")),
        "version : 2.2.4.3 9450 secure  (unknown)".to_owned(),
        format!("udp/ip  : 0.0.0.0:{port} [ public n/a ]"),
        "os      : Linux Dedicated (SIMULATED)".to_owned(),
        format!("map     : {}", cvars.map()),
        format!("players : {humans} humans, {bots} bots (4 max) ({hibernating}) (unreserved)"),
        String::new(),
        "# userid name uniqueid connected ping loss state rate adr".to_owned(),
    ];
    lines.extend((0..humans).map(|n| {
        format!(
            "# {} {n} \"Player \"{n}\" | #\" STEAM_1:0:{} 28:4{} 66 0 active 30000 192.0.2.{n}:27005",
            n + 2,
            1000 + n,
            n % 10
        )
    }));
    lines.extend((0..bots).map(|n| format!("#{} \"Bot {n}\" BOT active", 90 + n)));
    lines.push("#end\n".to_owned());
    lines.join("\n")
}
