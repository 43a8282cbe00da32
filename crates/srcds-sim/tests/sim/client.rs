//! Small clients for A2S and RCON, written from the protocols' descriptions and not from the simulation.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

/// Long enough for a busy machine; what does not answer by then does not.
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn socket(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

pub(crate) fn send(socket: &UdpSocket, request: &[u8], challenge: &[u8]) {
    socket.send(&[&[0xff; 4], request, challenge].concat()).unwrap();
}

/// A packet, whatever it is.
pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut packet = vec![0; 2048];
    let length = socket.recv(&mut packet).unwrap();
    packet.truncate(length);
    packet
}

/// A question with the challenge round trip; the answer begins with its kind, and came in so many packets.
pub(crate) fn ask(port: u16, request: &[u8]) -> (Vec<u8>, usize) {
    let socket = socket(port);
    send(&socket, request, &[0xff; 4]);
    let challenge = receive(&socket);
    assert_eq!((challenge.len(), &challenge[..5]), (9, &b"\xff\xff\xff\xffA"[..]));
    send(&socket, request, &challenge[5..]);
    let first = receive(&socket);
    if first[..4] == [0xff; 4] {
        return (first[4..].to_vec(), 1);
    }
    let total = usize::from(first[8]);
    let mut pieces = vec![first];
    while pieces.len() < total {
        pieces.push(receive(&socket));
    }
    pieces.sort_by_key(|piece| piece[9]);
    let same_head = pieces.iter().all(|piece| piece[..9] == pieces[0][..9] && piece[..4] == [0xfe, 0xff, 0xff, 0xff]);
    assert!(same_head && pieces.iter().all(|piece| piece.len() <= 1260));
    let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece[12..].to_vec()).collect();
    assert_eq!(whole[..4], [0xff; 4]);
    (whole[4..].to_vec(), total)
}

/// Takes an answer apart, from its beginning.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *bytes
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    pub(crate) fn text(&mut self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap();
        let text = String::from_utf8(self.0[..end].to_vec()).unwrap();
        self.0 = &self.0[end + 1..];
        text
    }
}

/// All rules that a server tells.
pub(crate) fn rules(port: u16) -> (Vec<(String, String)>, usize) {
    let (answer, packets) = ask(port, b"V");
    let mut cursor = Cursor(&answer[1..]);
    let count = u16::from_le_bytes(cursor.bytes());
    let rules = (0..count).map(|_| (cursor.text(), cursor.text())).collect();
    assert!(answer[0] == b'E' && cursor.0.is_empty());
    (rules, packets)
}

pub(crate) struct Rcon(TcpStream);

/// A frame: id, type, body.
pub(crate) type Frame = (i32, i32, Vec<u8>);

impl Rcon {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(stream)
    }

    pub(crate) fn admitted(port: u16, password: &str) -> Self {
        let mut rcon = Self::connect(port);
        assert_eq!(rcon.authenticate(password), Some(7));
        rcon
    }

    /// The id of the answer: our own, -1, or none where the server hung up.
    pub(crate) fn authenticate(&mut self, password: &str) -> Option<i32> {
        self.send(7, 3, password);
        assert_eq!(self.receive()?, (7, 0, Vec::new()), "an empty reply comes first");
        let (id, kind, _) = self.receive()?;
        assert_eq!(kind, 2);
        Some(id)
    }

    pub(crate) fn send(&mut self, id: i32, kind: i32, body: &str) {
        let size = i32::try_from(body.len() + 10).unwrap();
        let frame = [&size.to_le_bytes()[..], &id.to_le_bytes(), &kind.to_le_bytes(), body.as_bytes(), &[0, 0]];
        // A server that hung up shows when the answer is read.
        let _ = self.0.write_all(&frame.concat());
    }

    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let mut size = [0; 4];
        match self.0.read_exact(&mut size) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in {LIMIT:?}"),
            result => result.ok()?,
        }
        let mut frame = vec![0; usize::try_from(i32::from_le_bytes(size)).unwrap()];
        self.0.read_exact(&mut frame).unwrap();
        let mut cursor = Cursor(&frame);
        let (id, kind) = (i32::from_le_bytes(cursor.bytes()), i32::from_le_bytes(cursor.bytes()));
        let body = cursor.0.strip_suffix(&[0, 0]).expect("two NULs at the end");
        Some((id, kind, body.to_vec()))
    }

    /// A command and its whole reply, and in how many pieces that came: an empty reply sent after it comes back behind
    /// its last piece.
    pub(crate) fn run(&mut self, command: &str) -> (String, usize) {
        self.send(1, 2, command);
        self.send(2, 0, "");
        let mut reply = Vec::new();
        for pieces in 0.. {
            let (id, kind, body) = self.receive().expect("the server hung up");
            assert_eq!(kind, 0);
            if id == 2 {
                assert_eq!(self.receive(), Some((2, 0, vec![0, 1, 0, 0])));
                return (String::from_utf8(reply).unwrap(), pieces);
            }
            reply.extend(body);
        }
        unreachable!("a count has no end")
    }

    /// A command without the echo, for one that ends the server.
    pub(crate) fn hung_up(&mut self) -> bool {
        self.receive().is_none()
    }
}
