//! Servers for the tests: a thread with a socket, until the test's process ends.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::net::{SocketAddr, UdpSocket};

pub(crate) const CHALLENGE: &[u8; 4] = b"\x01\x02\x03\x04";

/// With port, Steam ID and keywords.
pub(crate) const INFO: &[u8] =
    b"I\x11A server\0c1m1_hotel\0left4dead2\0Left 4 Dead 2\0\x26\x02\x03\x04\x01dl\0\x012.2.4.3\0\
    \xb0\x87\x69\x01\0\0\0\0\0\0\x01coop,empty\0";

/// One with a name that is no UTF-8, and one who has no time.
pub(crate) const PLAYERS: &[u8] = b"D\x02\0na\xffme\0\x02\0\0\0\0\0\x20\x41\0\0\xff\xff\xff\xff\0\0\x80\xbf";

pub(crate) const RULES: &[u8] = b"E\x01\0mp_gamemode\0coop\0";

/// A packet of its own.
pub(crate) fn whole(reply: &[u8]) -> Vec<u8> {
    [b"\xff\xff\xff\xff", reply].concat()
}

/// One packet of several.
pub(crate) fn piece(id: u32, total: u8, number: u8, part: &[u8]) -> Vec<u8> {
    [b"\xfe\xff\xff\xff", &id.to_le_bytes()[..], &[total, number, 0xe0, 0x04], part].concat()
}

/// What an honest server answers.
pub(crate) fn reply(packet: &[u8]) -> Vec<Vec<u8>> {
    let reply = match packet {
        _ if !packet.ends_with(CHALLENGE) => [b"A", &CHALLENGE[..]].concat(),
        [_, _, _, _, b'T', ..] => INFO.to_vec(),
        [_, _, _, _, b'U', ..] => PLAYERS.to_vec(),
        [_, _, _, _, b'V', ..] => RULES.to_vec(),
        _ => return Vec::new(),
    };
    vec![whole(&reply)]
}

/// A server that does what it is told with each packet.
pub(crate) fn server_with(mut act: impl FnMut(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> SocketAddr {
    let (socket, address) = silent();
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            act(&socket, &packet[..length], from);
        }
    });
    address
}

/// A server that answers each packet with these. One that has hung up is no reason to end.
pub(crate) fn server(mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    server_with(move |socket, packet, from| {
        for reply in answer(packet) {
            let _ = socket.send_to(&reply, from);
        }
    })
}

pub(crate) fn honest() -> SocketAddr {
    server(reply)
}

/// A socket that nobody reads from.
pub(crate) fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
