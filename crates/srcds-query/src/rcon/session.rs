//! The protocol without a connection: what to send, and what comes of the bytes that arrive.
//!
//! A frame is, little-endian: its size (of what follows), a number, a kind, a body, two NULs. A long reply comes in several
//! frames, and nothing marks the last one; so an empty frame of the replies' own kind is sent after each command, which
//! servers send back, behind the reply.

use super::{Error, Malformed, Password};

const AUTH: i32 = 3;
/// From us a command, from the server the answer to a password.
const COMMAND_OR_ADMISSION: i32 = 2;
const REPLY: i32 = 0;

/// The number of the answer to a wrong password.
const REFUSED: i32 = -1;

/// What a frame's size counts besides the body: number, kind, two NULs.
const OVERHEAD: usize = 10;

/// The largest frame that is taken, in bytes, as it says itself. Servers split at about 4 KiB.
pub const MAX_FRAME: usize = 64 * 1024;

/// The longest command or password that is sent, in bytes: what servers take as one frame.
pub const MAX_COMMAND: usize = 4096 - OVERHEAD;

/// The longest reply that is taken unless [`Session::limit_replies`] says otherwise, in bytes, its frames' heads included.
pub const MAX_REPLY: usize = 4 * 1024 * 1024;

/// What bytes came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The password is right: a command may be sent.
    Admitted,
    /// A command's whole reply, as the server sent it; the next command may be sent.
    Reply(Vec<u8>),
}

/// What the server is to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Admission,
    Nothing,
    /// A reply with this number; the next number after it marks its end.
    Reply(i32),
}

/// One side of a connection: authenticates first, then has one command at a time.
///
/// The driver sends what [`Session::to_send`] has, hands what arrives to [`Session::receive`] and asks
/// [`Session::next_event`] until that has none. After an error the connection must be closed.
pub struct Session {
    expected: Expected,
    /// The number of the last frame that was sent.
    number: i32,
    outgoing: Vec<u8>,
    /// Bytes that make no whole frame yet.
    incoming: Vec<u8>,
    reply: Vec<u8>,
    /// How many bytes have come since something was asked.
    received: usize,
    limit: usize,
}

impl std::fmt::Debug for Session {
    /// Without the bytes: the first ones to send hold the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl Session {
    /// One that begins with the password.
    pub fn new(password: &Password) -> Self {
        let mut session = Self {
            expected: Expected::Admission,
            number: 1,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            reply: Vec::new(),
            received: 0,
            limit: MAX_REPLY,
        };
        session.send(1, AUTH, password.as_bytes());
        session
    }

    /// Takes replies of at most so many bytes, instead of [`MAX_REPLY`].
    #[must_use]
    pub fn limit_replies(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Asks a command. Refused with [`Error::InvalidCommand`] is one with a NUL or a line's end, which the server would
    /// cut or run as several, one longer than [`MAX_COMMAND`], and any before the reply to the last one.
    pub fn command(&mut self, command: &str) -> Result<(), Error> {
        if command.contains('\0') {
            return Err(Error::InvalidCommand("holds a NUL"));
        }
        if command.contains(['\n', '\r']) {
            return Err(Error::InvalidCommand("holds a line's end"));
        }
        if command.len() > MAX_COMMAND {
            return Err(Error::InvalidCommand("is too long"));
        }
        if self.expected != Expected::Nothing {
            return Err(Error::InvalidCommand("comes before the reply to the last one"));
        }
        // Never -1, which means a refusal, nor 0.
        let number = if self.number > i32::MAX - 4 { 1 } else { self.number + 1 };
        self.number = number + 1;
        self.send(number, COMMAND_OR_ADMISSION, command.as_bytes());
        self.send(number + 1, REPLY, b"");
        self.expected = Expected::Reply(number);
        self.received = self.incoming.len();
        Ok(())
    }

    /// What is to be sent.
    pub fn to_send(&self) -> &[u8] {
        &self.outgoing
    }

    /// The first `length` bytes of that are sent.
    pub fn sent(&mut self, length: usize) {
        self.outgoing.drain(..length.min(self.outgoing.len()));
    }

    /// Bytes have come. At most a frame is kept of what [`Session::next_event`] leaves.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received = self.received.saturating_add(bytes.len());
        self.incoming.extend_from_slice(bytes);
    }

    /// What they came to; none where more must come.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        let mut at = 0;
        let event = loop {
            match self.frame(at) {
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
                Ok(Some(frame)) => {
                    at += frame.length;
                    match self.take(&frame) {
                        Ok(None) => {}
                        event => break event,
                    }
                }
            }
        };
        self.incoming.drain(..at);
        // Also what is no part of the reply counts: nobody may send for ever.
        if event.is_ok() && self.received > self.limit {
            return Err(Error::TooLarge(self.limit));
        }
        event
    }

    /// How many bytes it keeps of what has come.
    #[cfg(feature = "fuzzing")]
    pub(super) fn kept(&self) -> usize {
        self.incoming.len() + self.reply.len()
    }

    /// The next whole frame of what has come.
    fn frame(&self, at: usize) -> Result<Option<Frame>, Error> {
        let number = |at: usize| Some(i32::from_le_bytes(self.incoming.get(at..at + 4)?.try_into().ok()?));
        let Some(announced) = number(at) else { return Ok(None) };
        let size = usize::try_from(announced).unwrap_or(0);
        if !(OVERHEAD..=MAX_FRAME).contains(&size) {
            return Err(Error::Malformed(Malformed::Size(announced)));
        }
        let end = at + 4 + size;
        let (Some(id), Some(kind)) = (number(at + 4), number(at + 8)) else { return Ok(None) };
        let Some(body) = self.incoming.get(at + 12..end) else { return Ok(None) };
        if !body.ends_with(&[0, 0]) {
            return Err(Error::Malformed(Malformed::End));
        }
        Ok(Some(Frame { id, kind, body: (at + 12, end - 2), length: 4 + size }))
    }

    fn take(&mut self, frame: &Frame) -> Result<Option<Event>, Error> {
        match (self.expected, frame.kind, frame.id) {
            (Expected::Admission, COMMAND_OR_ADMISSION, 1) => {
                self.expected = Expected::Nothing;
                Ok(Some(Event::Admitted))
            }
            // Also later: somebody has changed it meanwhile.
            (_, COMMAND_OR_ADMISSION, REFUSED) => Err(Error::WrongPassword),
            // An empty reply comes before the answer to a password.
            (Expected::Admission, REPLY, 1) => Ok(None),
            (Expected::Reply(number), REPLY, id) if id == number => {
                self.reply.extend_from_slice(&self.incoming[frame.body.0..frame.body.1]);
                Ok(None)
            }
            (Expected::Reply(number), REPLY, id) if id == number + 1 => {
                self.expected = Expected::Nothing;
                Ok(Some(Event::Reply(std::mem::take(&mut self.reply))))
            }
            // Servers send more than the empty frame back: `00 01 00 00` follows it, in a frame of its own, and has nothing
            // to say. Some don't, so nobody waits for that.
            (Expected::Nothing, REPLY, id) if id == self.number => Ok(None),
            (Expected::Reply(number), REPLY, id) if id == number - 1 => Ok(None),
            (_, kind, id) => Err(Error::Malformed(Malformed::Unasked(id, kind))),
        }
    }

    fn send(&mut self, id: i32, kind: i32, body: &[u8]) {
        // The longest body has its length checked before.
        let size = i32::try_from(body.len() + OVERHEAD).unwrap_or(i32::MAX);
        for part in [&size.to_le_bytes()[..], &id.to_le_bytes(), &kind.to_le_bytes(), body, &[0, 0]] {
            self.outgoing.extend_from_slice(part);
        }
    }
}

struct Frame {
    id: i32,
    kind: i32,
    /// Where its body begins and ends in what has come.
    body: (usize, usize),
    length: usize,
}
