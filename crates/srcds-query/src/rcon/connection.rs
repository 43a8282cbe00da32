//! A [`Session`] on a socket that never blocks: what both the client and the sweep drive.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

use super::{Error, Event, Session, Waiting};

/// What is read at once.
const CHUNK: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) session: Session,
    connected: bool,
    admitted: bool,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn start(address: SocketAddr, session: Session) -> Result<Self, Error> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP)).map_err(io_error)?;
        // A command is two small frames: the second must not wait for the first one's acknowledgement.
        sockopt::set_tcp_nodelay(&socket, true).map_err(io_error)?;
        match connect(&socket, &address) {
            // Whether it has succeeded is asked when the socket can be written to.
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(not_connected(errno)),
        }
        Ok(Self { stream: socket.into(), session, connected: false, admitted: false })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What to wait for before [`Connection::advance`].
    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        let writes = !self.connected || !self.session.to_send().is_empty();
        let flags = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        PollFd::new(&self.stream, flags)
    }

    /// What the server is waited for.
    pub(super) fn waiting(&self) -> Waiting {
        match (self.connected, self.admitted) {
            (false, _) => Waiting::Connection,
            (true, false) => Waiting::Admission,
            (true, true) => Waiting::Reply,
        }
    }

    /// Sends and reads what is possible now. An error is the end of the connection.
    pub(super) fn advance(&mut self) -> Result<Option<Event>, Error> {
        if !self.connected {
            match sockopt::socket_error(&self.stream).map_err(io_error)? {
                Ok(()) => {}
                Err(errno) => return Err(not_connected(errno)),
            }
            if self.stream.peer_addr().is_err() {
                return Ok(None);
            }
            self.connected = true;
        }
        // A server that hung up may have said why before.
        let sent = self.send();
        let event = self.receive();
        match event {
            Ok(None) => sent.map(|()| None),
            event => event,
        }
    }

    fn send(&mut self) -> Result<(), Error> {
        while !self.session.to_send().is_empty() {
            match self.stream.write(self.session.to_send()) {
                Ok(length) => self.session.sent(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended(error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<Event>, Error> {
        let mut chunk = [0; CHUNK];
        // Once: whoever sends without an end must not keep the other servers waiting.
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(self.hung_up()),
            Ok(length) => self.session.receive(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(self.ended(error)),
        }
        let event = self.session.next_event()?;
        self.admitted |= event == Some(Event::Admitted);
        Ok(event)
    }

    fn ended(&self, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => self.hung_up(),
            _ => Error::Io(error),
        }
    }

    fn hung_up(&self) -> Error {
        if self.admitted { Error::HungUp } else { Error::Banned }
    }
}

fn not_connected(errno: Errno) -> Error {
    if errno == Errno::CONNREFUSED { Error::Closed } else { io_error(errno) }
}

pub(super) fn io_error(errno: Errno) -> Error {
    Error::Io(errno.into())
}

/// How long until the deadline; none when it has passed.
pub(super) fn until(deadline: Instant) -> Option<Timespec> {
    let left = deadline.checked_duration_since(Instant::now()).filter(|left| *left > Duration::ZERO)?;
    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    Some(Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() })
}
