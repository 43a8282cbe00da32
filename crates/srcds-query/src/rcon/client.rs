//! One connection, waited for.

use std::net::SocketAddr;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::connection::{Connection, io_error, until};
use super::{Error, Event, Password, Session};

/// A server's console: one command at a time. After an error other than [`Error::InvalidCommand`] it is of no more use, and
/// the connection is closed.
#[derive(Debug)]
pub struct Client(Option<Connection>);

impl Client {
    /// Connects and authenticates, until the deadline.
    pub fn connect(address: SocketAddr, password: &Password, deadline: Instant) -> Result<Self, Error> {
        let mut client = Self(Some(Connection::start(address, Session::new(password))?));
        match client.wait(deadline)? {
            Event::Admitted => Ok(client),
            // A session has no other event before.
            Event::Reply(_) => Err(Error::Unusable),
        }
    }

    /// Runs a command and waits for its whole reply, until the deadline. The reply is what the server printed: any bytes,
    /// usually UTF-8, players' names as they made them.
    pub fn run(&mut self, command: &str, deadline: Instant) -> Result<Vec<u8>, Error> {
        self.0.as_mut().ok_or(Error::Unusable)?.session.command(command)?;
        match self.wait(deadline)? {
            Event::Reply(reply) => Ok(reply),
            Event::Admitted => Err(Error::Unusable),
        }
    }

    /// Whether the connection still stands, as far as this side has heard: a server that ended has hung up on a client that
    /// was silent meanwhile. It does not wait.
    pub fn is_open(&mut self) -> bool {
        let Some(mut connection) = self.0.take() else { return false };
        loop {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            match poll(&mut [PollFd::new(connection.stream(), PollFlags::IN)], Some(&now)) {
                Ok(0) => break,
                Err(Errno::INTR) => {}
                // What came after the last reply's end has nothing to say.
                Ok(_) if matches!(connection.advance(), Ok(None)) => {}
                _ => return false,
            }
        }
        self.0 = Some(connection);
        true
    }

    fn wait(&mut self, deadline: Instant) -> Result<Event, Error> {
        let mut connection = self.0.take().ok_or(Error::Unusable)?;
        let event = wait(&mut connection, deadline)?;
        self.0 = Some(connection);
        Ok(event)
    }
}

fn wait(connection: &mut Connection, deadline: Instant) -> Result<Event, Error> {
    loop {
        let left = until(deadline).ok_or(Error::Timeout(connection.waiting()))?;
        match poll(&mut [connection.poll_fd()], Some(&left)) {
            // Looked at the clock again.
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                if let Some(event) = connection.advance()? {
                    return Ok(event);
                }
            }
            Err(errno) => return Err(io_error(errno)),
        }
    }
}
