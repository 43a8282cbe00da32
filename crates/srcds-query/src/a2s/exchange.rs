//! One question and its answer, as a state machine without I/O.

use super::bytes::Bytes;
use super::pieces::Pieces;
use super::{Error, MAX_PACKET, Question, Reply};

/// Every packet begins so, but the pieces of a long reply.
const WHOLE: [u8; 4] = [0xff; 4];

/// A piece of a long reply begins so.
const PIECE: [u8; 4] = [0xfe, 0xff, 0xff, 0xff];

/// What stands for a challenge before there is one.
const NO_CHALLENGE: [u8; 4] = [0xff; 4];

/// How many different challenges a server may give for one question.
pub(super) const MAX_CHALLENGES: u8 = 4;

/// One question to one server, from the first packet to the whole answer.
///
/// The caller sends [`request`](Self::request), hands every packet *of that server* to [`receive`](Self::receive) and does
/// what it says. A request that seems lost may be sent again at any time: answers that come twice do no harm.
///
/// ```
/// use srcds_query::a2s::{Exchange, Question, Reply, Step};
///
/// let mut exchange = Exchange::new(Question::Players);
/// assert_eq!(exchange.request(), b"\xff\xff\xff\xffU\xff\xff\xff\xff");
/// assert_eq!(exchange.receive(b"\xff\xff\xff\xffAabcd")?, Step::Send);
/// assert_eq!(exchange.request(), b"\xff\xff\xff\xffUabcd");
/// let Step::Done(Reply::Players(players)) = exchange.receive(b"\xff\xff\xff\xffD\x00")? else { panic!() };
/// assert!(players.is_empty());
/// # Ok::<(), srcds_query::a2s::Error>(())
/// ```
#[derive(Debug)]
pub struct Exchange {
    question: Question,
    request: Vec<u8>,
    challenge: Option<[u8; 4]>,
    /// Challenges that came while this question was asked.
    challenges: u8,
    pieces: Pieces,
    /// Something has come that counts.
    heard: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send the request, which is another one now.
    Send,
    /// Wait for more; what came was a part of the answer, or counts for nothing.
    Wait,
    /// That was the answer.
    Done(Reply),
}

impl Exchange {
    /// Begins without a challenge.
    pub fn new(question: Question) -> Self {
        Self::begin(question, None)
    }

    /// Begins with the challenge that the same server gave for another question to the same socket. A server that wants
    /// another one says so.
    pub fn with_challenge(question: Question, challenge: [u8; 4]) -> Self {
        Self::begin(question, Some(challenge))
    }

    fn begin(question: Question, challenge: Option<[u8; 4]>) -> Self {
        let request = request(question, challenge);
        Self { question, request, challenge, challenges: 0, pieces: Pieces::default(), heard: false }
    }

    /// The bytes to send: one UDP packet.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// The last challenge that came.
    pub fn challenge(&self) -> Option<[u8; 4]> {
        self.challenge
    }

    /// Takes a packet that came from the server. After an error or an answer the exchange is over, and whatever else comes
    /// is of no use.
    pub fn receive(&mut self, packet: &[u8]) -> Result<Step, Error> {
        self.heard = true;
        if packet.len() > MAX_PACKET {
            return Err(Error::TooLarge);
        }
        let mut bytes = Bytes::new(packet);
        match bytes.array()? {
            WHOLE => self.whole(bytes.rest()),
            PIECE => match self.pieces.take(bytes.rest())? {
                // Put together it is a packet like another, header included.
                Some(whole) => match whole.strip_prefix(&WHOLE) {
                    Some(reply) => self.whole(reply),
                    None => Err(Error::Malformed("its pieces are no reply")),
                },
                None => Ok(Step::Wait),
            },
            _ => Err(Error::Malformed("it does not begin as replies do")),
        }
    }

    /// What to say when the time is over.
    pub fn timed_out(&self) -> Error {
        if self.heard { Error::Incomplete } else { Error::Timeout }
    }

    /// How many bytes of pieces are kept.
    #[cfg(feature = "fuzzing")]
    pub(super) fn kept(&self) -> usize {
        self.pieces.size()
    }

    fn whole(&mut self, reply: &[u8]) -> Result<Step, Error> {
        let mut bytes = Bytes::new(reply);
        match bytes.byte()? {
            b'A' => self.take_challenge(bytes.array()?),
            kind if kind == self.question.reply_kind() => self.question.parse(reply).map(Step::Done),
            // A late answer to another question.
            b'I' | b'D' | b'E' => Ok(Step::Wait),
            b'm' => Err(Error::Malformed("it is of an engine before Source")),
            _ => Err(Error::Malformed("there is no such kind of reply")),
        }
    }

    fn take_challenge(&mut self, challenge: [u8; 4]) -> Result<Step, Error> {
        // The answer to a request that was sent twice. Answering it again would make two of each packet from here on.
        if self.challenge == Some(challenge) {
            return Ok(Step::Wait);
        }
        if self.challenges == MAX_CHALLENGES {
            return Err(Error::Challenges);
        }
        self.challenges += 1;
        self.challenge = Some(challenge);
        self.request = request(self.question, Some(challenge));
        Ok(Step::Send)
    }
}

fn request(question: Question, challenge: Option<[u8; 4]>) -> Vec<u8> {
    match question {
        // Alone of all it was asked without a challenge once, and still is by the first request.
        Question::Info => [&WHOLE[..], b"TSource Engine Query\0", challenge.as_ref().map_or(&[], |c| &c[..])].concat(),
        Question::Players => [&WHOLE[..], b"U", &challenge.unwrap_or(NO_CHALLENGE)].concat(),
        Question::Rules => [&WHOLE[..], b"V", &challenge.unwrap_or(NO_CHALLENGE)].concat(),
    }
}
