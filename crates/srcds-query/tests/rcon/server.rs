//! Servers of a test's own: a listener, and a function for each connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use srcds_query::rcon::{Client, Error, Password};

pub(crate) const AUTH: i32 = 3;
pub(crate) const ADMISSION: i32 = 2;
pub(crate) const COMMAND: i32 = 2;
pub(crate) const REPLY: i32 = 0;

/// Far longer than anything takes that is not meant to take the whole time.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(crate) fn password() -> Password {
    Password::new("secret").unwrap()
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves each connection with this function, in a thread of its own; it hangs up when that returns.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(stream.unwrap()));
            }
        });
        Self { address, connections }
    }

    /// One that admits everybody, then replies so to the first command and keeps the connection.
    pub(crate) fn replying(reply: impl Fn(&mut TcpStream, i32) + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            admit(&mut stream);
            if let Some((id, COMMAND, _)) = read(&mut stream) {
                reply(&mut stream, id);
                wait_for_the_end(&mut stream);
            }
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn connect(&self) -> Result<Client, Error> {
        Client::connect(self.address, &password(), soon())
    }

    /// What comes of one command.
    pub(crate) fn run(&self) -> Result<Vec<u8>, Error> {
        self.connect()?.run("status", soon())
    }
}

/// Waits until the client goes.
pub(crate) fn wait_for_the_end(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

pub(crate) fn frame(id: i32, kind: i32, body: &[u8]) -> Vec<u8> {
    let size = i32::try_from(body.len() + 10).unwrap();
    [&size.to_le_bytes()[..], &id.to_le_bytes(), &kind.to_le_bytes(), body, &[0, 0]].concat()
}

pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // A client that has gone has seen enough.
    let _ = stream.write_all(bytes);
}

/// The client's next frame; none when it goes.
pub(crate) fn read(stream: &mut TcpStream) -> Option<(i32, i32, Vec<u8>)> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let number = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    let mut body = vec![0; usize::try_from(number(0)).unwrap() - 8];
    stream.read_exact(&mut body).ok()?;
    assert_eq!(body.split_off(body.len() - 2), [0, 0]);
    Some((number(4), number(8), body))
}

/// Takes any password.
pub(crate) fn admit(stream: &mut TcpStream) {
    if let Some((id, AUTH, _)) = read(stream) {
        send(stream, &[frame(id, REPLY, b""), frame(id, ADMISSION, b"")].concat());
    }
}

/// What stands at a reply's end: the empty frame, and what servers send after it.
pub(crate) fn end(id: i32) -> Vec<u8> {
    [frame(id + 1, REPLY, b""), frame(id + 1, REPLY, &[0, 1, 0, 0])].concat()
}
