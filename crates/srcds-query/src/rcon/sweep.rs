//! The same commands to many servers at once, in one thread.

use std::net::SocketAddr;
use std::time::Instant;

use rustix::event::{Timespec, poll};
use rustix::io::Errno;

use super::connection::{Connection, io_error, until};
use super::{Error, Event, Password, Session, Waiting};

/// The longest reply that a sweep takes of one server, in bytes: of `status` with everybody on it is a tenth.
pub const MAX_SWEEP_REPLY: usize = 256 * 1024;

/// How many servers are talked to at the same time: each takes a descriptor, of 1024 that a process usually has.
const AT_ONCE: usize = 400;

/// A server, and what to ask it.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// Where its RCON is.
    pub address: SocketAddr,
    /// Its password.
    pub password: Password,
    /// The commands, asked in this order.
    pub commands: &'a [&'a str],
}

/// Asks all these servers, and has what they replied, one reply for each command, in the order of the targets. It ends by
/// the deadline; who has not answered everything by then has [`Error::Timeout`].
///
/// Memory: at most [`MAX_SWEEP_REPLY`] for each reply, and each target is tried once, whatever comes of it.
pub fn sweep(targets: &[Target<'_>], deadline: Instant) -> Vec<Result<Vec<Vec<u8>>, Error>> {
    let mut results: Vec<Option<Result<Vec<Vec<u8>>, Error>>> = targets.iter().map(|_| None).collect();
    let mut waiting = targets.iter().enumerate();
    let mut running: Vec<Asked<'_>> = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((index, target)) = waiting.next()
        {
            match Asked::start(index, target) {
                Ok(asked) => running.push(asked),
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        if running.is_empty() {
            break;
        }
        let Some(left) = until(deadline) else { break };
        let mut ready = match ready(&running, &left) {
            Ok(ready) => ready.into_iter(),
            // Out of memory, which is nobody's of them: all have the same answer.
            Err(errno) => {
                for asked in running.drain(..) {
                    results[asked.index] = Some(Err(io_error(errno)));
                }
                continue;
            }
        };
        running.retain_mut(|asked| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match asked.advance() {
                Ok(None) => true,
                Ok(Some(replies)) => {
                    results[asked.index] = Some(Ok(replies));
                    false
                }
                Err(error) => {
                    results[asked.index] = Some(Err(error));
                    false
                }
            }
        });
    }
    for asked in running {
        results[asked.index] = Some(Err(Error::Timeout(asked.connection.waiting())));
    }
    // What had not begun by the deadline.
    results.into_iter().map(|result| result.unwrap_or(Err(Error::Timeout(Waiting::Connection)))).collect()
}

/// Waits until one of them can go on, or the time is over: which can.
fn ready(running: &[Asked<'_>], left: &Timespec) -> Result<Vec<bool>, Errno> {
    let mut fds: Vec<_> = running.iter().map(|asked| asked.connection.poll_fd()).collect();
    match poll(&mut fds, Some(left)) {
        Ok(_) => Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect()),
        Err(Errno::INTR) => Ok(vec![false; running.len()]),
        Err(errno) => Err(errno),
    }
}

/// A server that is being asked.
struct Asked<'a> {
    index: usize,
    connection: Connection,
    commands: std::slice::Iter<'a, &'a str>,
    replies: Vec<Vec<u8>>,
}

impl<'a> Asked<'a> {
    fn start(index: usize, target: &'a Target<'_>) -> Result<Self, Error> {
        let session = Session::new(&target.password).limit_replies(MAX_SWEEP_REPLY);
        let connection = Connection::start(target.address, session)?;
        Ok(Self { index, connection, commands: target.commands.iter(), replies: Vec::new() })
    }

    /// All replies, once the last one is there.
    fn advance(&mut self) -> Result<Option<Vec<Vec<u8>>>, Error> {
        match self.connection.advance()? {
            None => return Ok(None),
            Some(Event::Admitted) => {}
            Some(Event::Reply(reply)) => self.replies.push(reply),
        }
        match self.commands.next() {
            Some(command) => {
                self.connection.session.command(command)?;
                Ok(None)
            }
            None => Ok(Some(std::mem::take(&mut self.replies))),
        }
    }
}
