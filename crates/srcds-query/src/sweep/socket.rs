//! The sockets of a sweep: one for each of IP's versions that is needed.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};

use crate::a2s::{Error, any, is_nothing};

/// Asked of the kernel, which gives an ordinary user less: room for the answers while this program is not running.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long a full send buffer is waited for.
const SEND_PATIENCE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Sockets {
    /// Sends a packet. One that finds no room, even after waiting, is lost as any packet may be.
    pub(super) fn send(&mut self, packet: &[u8], to: SocketAddr) -> Result<(), Error> {
        let socket = if to.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let socket = match socket {
            Some(socket) => socket,
            None => socket.insert(open(to)?),
        };
        match socket.send_to(packet, to) {
            Err(error) if is_nothing(&error) => {
                wait(&mut [PollFd::new(socket, PollFlags::OUT)], SEND_PATIENCE);
                match socket.send_to(packet, to) {
                    Err(error) if !is_nothing(&error) => Err(error.into()),
                    _ => Ok(()),
                }
            }
            sent => Ok(sent.map(drop)?),
        }
    }

    /// A packet that has come, and from where; `None` when there is none.
    pub(super) fn receive(&self, packet: &mut [u8]) -> Option<(usize, SocketAddr)> {
        // Whatever else is said here is said of no server: of one that can't be reached an unconnected socket is not told.
        [&self.v4, &self.v6].into_iter().flatten().find_map(|socket| socket.recv_from(packet).ok())
    }

    /// Waits until a packet has come, for so long at most.
    pub(super) fn wait(&self, time: Duration) {
        let sockets = [&self.v4, &self.v6].into_iter().flatten();
        wait(&mut sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect::<Vec<_>>(), time);
    }
}

fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any(server))?;
    socket.set_nonblocking(true)?;
    // A buffer of the usual size is no failure, but more to send again.
    if set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        let _ = set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
    }
    Ok(socket)
}

/// A socket that is connected to the server, with the request sent. `None` where that can't be: it only serves to know more.
pub(super) fn probe(request: &[u8], server: SocketAddr) -> Option<UdpSocket> {
    let socket = UdpSocket::bind(any(server)).ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(server).ok()?;
    socket.send(request).ok()?;
    Some(socket)
}

/// Whether ICMP has said that the server can't be reached.
pub(super) fn is_refused(probe: &UdpSocket) -> bool {
    probe.recv(&mut [0; 1]).is_err_and(|error| Error::from(error) == Error::Refused)
}

fn wait(fds: &mut [PollFd<'_>], time: Duration) {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    // Woken early by a signal, the caller looks at the time itself.
    let _ = poll(fds, Some(&Timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() }));
}
