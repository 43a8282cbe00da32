//! RCON, as Source servers speak it, with its limits: no end mark but the echo of an empty reply, and a ban for those
//! who guess passwords.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use rustix::event::{PollFd, PollFlags};

const AUTH: i32 = 3;
const EXEC_OR_AUTH_REPLY: i32 = 2;
const REPLY: i32 = 0;

/// A longer reply is sent in pieces.
const MAX_BODY: usize = 4000;

/// A client that announces more is no client.
const MAX_FRAME: usize = 64 * 1024;

/// `sv_rcon_minfailures` and its like, as one number.
const MAX_FAILURES: u32 = 5;

struct Client {
    stream: TcpStream,
    address: SocketAddr,
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

    pub(super) fn accept(&mut self, stream: TcpStream, address: SocketAddr) {
        let banned = self.failures.get(&address.ip()).is_some_and(|&failures| failures >= MAX_FAILURES);
        if !banned && stream.set_nonblocking(true).is_ok() {
            self.clients.push(Client { stream, address, received: Vec::new(), admitted: false, gone: false });
        }
    }

    /// Answers whatever has come; `run` runs a command.
    pub(super) fn serve(&mut self, password: &str, run: &mut dyn FnMut(&str, SocketAddr) -> String) {
        for client in &mut self.clients {
            client.receive();
            while let Some((id, kind, body)) = client.take_frame() {
                match kind {
                    AUTH => {
                        client.admitted = !password.is_empty() && body == password.as_bytes();
                        client.send(id, REPLY, b"");
                        client.send(if client.admitted { id } else { -1 }, EXEC_OR_AUTH_REPLY, b"");
                        if !client.admitted {
                            super::say(&format!("rcon from \"{}\": Bad Password", client.address));
                            let failures = self.failures.entry(client.address.ip()).or_default();
                            *failures += 1;
                            client.gone |= *failures >= MAX_FAILURES;
                        }
                    }
                    _ if !client.admitted => client.gone = true,
                    EXEC_OR_AUTH_REPLY => {
                        let reply = run(&String::from_utf8_lossy(&body), client.address);
                        let pieces = reply.as_bytes().chunks(MAX_BODY);
                        let nothing = reply.is_empty().then_some(&b""[..]);
                        pieces.chain(nothing).for_each(|piece| client.send(id, REPLY, piece));
                    }
                    // Whatever is not known is sent back, and these bytes after it: clients find a reply's end by that.
                    _ => {
                        client.send(id, REPLY, &body);
                        client.send(id, REPLY, &[0, 1, 0, 0]);
                    }
                }
                // Who has only hung up is still obeyed.
                if client.gone && !client.admitted {
                    break;
                }
            }
        }
        self.clients.retain(|client| !client.gone);
    }
}

impl Client {
    fn receive(&mut self) {
        let mut chunk = [0_u8; 4096];
        // More than a frame can wait: who sends without end must not keep the others waiting.
        while !self.gone && self.received.len() <= MAX_FRAME {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.gone = true,
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
        }
    }

    /// The next whole frame: id, type, body.
    fn take_frame(&mut self) -> Option<(i32, i32, Vec<u8>)> {
        let number = |at: usize| Some(i32::from_le_bytes(self.received.get(at..at + 4)?.try_into().ok()?));
        let size = usize::try_from(number(0)?).unwrap_or(0);
        if !(10..=MAX_FRAME).contains(&size) {
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
