//! Serving the metrics over HTTP/1.1: `GET /metrics`, and nothing else.
//!
//! The thread that has the host collects; another accepts, and each connection has one of its own. Those who ask at the
//! same time, or within a second, get the same: however often somebody asks, the servers are asked once a second at most.
//!
//! Nobody is trusted: a request has a size and a deadline, and there are only so many connections. One more ends the
//! oldest, so that those who do nothing keep nobody out.

use std::collections::BTreeMap;
use std::io::{ErrorKind as Io, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use l4d2host::{Error, ErrorKind, Host};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::collect::Disk;
use super::metric::Metrics;
use super::request::{self, INTERNAL_ERROR, METHOD_NOT_ALLOWED, REQUEST_TIMEOUT, Request, Status, TOO_LARGE};
use crate::problem::Problem;
use crate::ui::Ui;

/// How long an answer is given to others, too.
const FRESH: Duration = Duration::from_secs(1);

/// How often disk space is measured.
const DISK_INTERVAL: Duration = Duration::from_secs(300);

/// For a request, and for an answer.
const LIMIT: Duration = Duration::from_secs(5);

/// The largest head of a request. Prometheus' own has some 500 bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Connections at a time, of which there are seldom two.
const CONNECTIONS: usize = 32;

/// Threads for them: one whose connection was ended may still wait for its answer.
const THREADS: usize = 64;

/// What was collected, or why not.
type Answer = Arc<Result<Metrics, String>>;

enum Event {
    /// Somebody asks.
    Asked(Sender<Answer>),
    /// Ctrl-C or SIGTERM.
    End,
}

/// Serves until it is asked to end. `collect` is given the disk space that was measured last.
pub(super) fn serve(
    ui: Ui,
    address: &str,
    disk: bool,
    collect: impl Fn(&Disk) -> Result<Metrics, Problem>,
) -> Result<(), Problem> {
    let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, error))?;
    let own = listener.local_addr().map_err(|error| cannot_listen(address, error))?;
    let (sender, events) = mpsc::channel();
    end_by_signal(sender.clone()).map_err(|error| Error::io("can't be told to end by a signal", error))?;
    let measured = Arc::new(Mutex::new(Disk::default()));
    if disk {
        let measured = Arc::clone(&measured);
        spawn("disk", move || measure_disk(ui, &measured))?;
    }
    spawn("accept", move || accept(ui, &listener, &sender))?;
    if ui.is_json() {
        ui.data(&json!({ "event": "listening", "address": own.to_string() }), String::new)?;
    }
    ui.note(&format!("listening on http://{own}/metrics"));
    answer(ui, &events, || collect(&lock(&measured).clone()));
    Ok(())
}

fn cannot_listen(address: &str, error: std::io::Error) -> Problem {
    let hint = match error.kind() {
        Io::AddrInUse => "another program has the port: `ss --listening --tcp --processes` shows which",
        Io::InvalidInput => "an address and a port, as 127.0.0.1:9550, [::1]:9550 or localhost:9550",
        Io::AddrNotAvailable => "it is none of this machine's addresses: `ip address` lists them",
        _ => return Error::io(format!("can't listen on {address}"), error).into(),
    };
    let kind = if error.kind() == Io::InvalidInput { ErrorKind::Usage } else { ErrorKind::Io };
    Error::new(kind, format!("can't listen on {address}")).because(error).hint(hint).into()
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Problem> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    Ok(spawned.map(drop).map_err(|error| Error::io("can't start a thread", error))?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever had it and panicked has replaced it whole or not at all.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end_by_signal(sender: Sender<Event>) -> std::io::Result<()> {
    let (mut read, write) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // An error here is no reason to go on for ever.
        let _ = read.read(&mut [0]);
        let _ = sender.send(Event::End);
    })?;
    Ok(())
}

/// Answers those who ask, until the end.
fn answer(ui: Ui, events: &Receiver<Event>, collect: impl Fn() -> Result<Metrics, Problem>) {
    let mut last: Option<(Instant, Answer)> = None;
    while let Ok(Event::Asked(who)) = events.recv() {
        let fresh = last.as_ref().filter(|(begun, _)| begun.elapsed() < FRESH);
        let answer = match fresh {
            Some((_, answer)) => Arc::clone(answer),
            None => {
                let collected = collect().map_err(|problem| problem.for_people());
                if let Err(problem) = &collected {
                    ui.note(problem.trim_end());
                }
                let answer = Arc::new(collected);
                last = Some((Instant::now(), Arc::clone(&answer)));
                answer
            }
        };
        // Gone meanwhile.
        let _ = who.send(answer);
    }
}

/// Measures disk space, which may take longer than whoever asks waits: by itself, and again and again.
fn measure_disk(ui: Ui, measured: &Mutex<Disk>) {
    // The process is the owner of the root directory already.
    let host = Host::from_environment();
    loop {
        let disk = host.as_ref().map_err(ToString::to_string);
        match disk.and_then(|host| Disk::measure(host).map_err(|problem| problem.for_people())) {
            Ok(disk) => *lock(measured) = disk,
            Err(problem) => ui.note(&format!("disk space was not measured: {}", problem.trim_end())),
        }
        // Until it is time again; the process does not wait for this thread when it ends.
        std::thread::sleep(DISK_INTERVAL);
    }
}

/// The connections there are, by number; none where it was ended and its thread has not noticed yet.
#[derive(Default)]
struct Connections {
    open: Mutex<BTreeMap<u64, Option<TcpStream>>>,
    /// One has gone.
    gone: Condvar,
}

impl Connections {
    /// Makes room for one more: ends the oldest, and waits for a thread to go where there are too many. Those that were ended
    /// go at once; to turn away whoever comes then would let a crowd that says nothing keep him out.
    fn admit(&self, number: u64, stream: &TcpStream) -> std::io::Result<()> {
        let mut open = lock(&self.open);
        if open.values().flatten().count() >= CONNECTIONS
            && let Some(oldest) = open.values_mut().find_map(Option::take)
        {
            // It may have ended by itself.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        while open.len() >= THREADS {
            open = self.gone.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        open.insert(number, Some(stream.try_clone()?));
        Ok(())
    }

    fn remove(&self, number: u64) {
        lock(&self.open).remove(&number);
        self.gone.notify_one();
    }
}

fn accept(ui: Ui, listener: &TcpListener, sender: &Sender<Event>) {
    let connections = Arc::new(Connections::default());
    for number in 0.. {
        let (stream, sender, all) = match listener.accept() {
            Ok((stream, _)) => (stream, sender.clone(), Arc::clone(&connections)),
            // Of one that has gone already there is nothing to be told.
            Err(error) if error.kind() == Io::ConnectionAborted => continue,
            Err(error) => {
                ui.note(&format!("can't accept a connection: {error}"));
                // Out of descriptors or memory: asking again at once would only make it worse.
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
        };
        // Out of descriptors: it is closed, and whoever asks again finds another state of things.
        if connections.admit(number, &stream).is_err() {
            continue;
        }
        let handle = move || {
            // Whoever does not hear the answer is not told so.
            let _ = converse(&stream, &sender);
            all.remove(number);
        };
        if spawn("connection", handle).is_err() {
            connections.remove(number);
        }
    }
}

/// One request and its answer.
fn converse(stream: &TcpStream, sender: &Sender<Event>) -> std::io::Result<()> {
    let request = match read_head(stream, Instant::now() + LIMIT)? {
        Ok(head) => request::parse(&head),
        Err(status) => Request::Refused(status),
    };
    let response = match request {
        Request::Refused(status) => refusal(status, ""),
        Request::Metrics { format, head_only } => match &*ask(sender)? {
            Ok(metrics) => response((200, "OK"), format.content_type(), &metrics.text(format), head_only),
            Err(problem) => refusal(INTERNAL_ERROR, problem),
        },
    };
    let deadline = Instant::now() + LIMIT;
    write_all(stream, &response, deadline)?;
    stream.shutdown(Shutdown::Write)?;
    // What is closed with something unread is reset, and the answer may be lost on its way.
    drain(stream, deadline)
}

fn ask(sender: &Sender<Event>) -> std::io::Result<Answer> {
    let (to, from) = mpsc::channel();
    let ended = || std::io::Error::from(Io::ConnectionAborted);
    sender.send(Event::Asked(to)).map_err(|_| ended())?;
    from.recv().map_err(|_| ended())
}

/// Reads until the end of the head; a status where there is none to be had.
fn read_head(mut stream: &TcpStream, deadline: Instant) -> std::io::Result<Result<Vec<u8>, Status>> {
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        if head.len() > MAX_HEAD {
            return Ok(Err(TOO_LARGE));
        }
        if let Some(end) = request::end_of_head(&head) {
            head.truncate(end);
            return Ok(Ok(head));
        }
        let Some(left) = left(deadline) else { return Ok(Err(REQUEST_TIMEOUT)) };
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(Io::UnexpectedEof.into()),
            Ok(length) => head.extend_from_slice(&chunk[..length]),
            // Its time is over, which the next round sees.
            Err(error) if matches!(error.kind(), Io::WouldBlock | Io::TimedOut | Io::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

fn left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

fn write_all(mut stream: &TcpStream, mut bytes: &[u8], deadline: Instant) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let Some(left) = left(deadline) else { return Err(Io::TimedOut.into()) };
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(0) => return Err(Io::WriteZero.into()),
            Ok(length) => bytes = &bytes[length..],
            Err(error) if matches!(error.kind(), Io::WouldBlock | Io::TimedOut | Io::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what else comes, until the other side closes, has sent more than enough, or its time is over.
fn drain(mut stream: &TcpStream, deadline: Instant) -> std::io::Result<()> {
    let mut chunk = [0; 1024];
    for _ in 0..64 {
        let Some(left) = left(deadline) else { return Ok(()) };
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut chunk)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Without metrics; `why` is for people.
fn refusal(status: Status, why: &str) -> Vec<u8> {
    let body = if why.is_empty() { format!("{} {}\n", status.0, status.1) } else { why.to_owned() };
    response(status, "text/plain; charset=utf-8", &body, false)
}

fn response(status: Status, content_type: &str, body: &str, head_only: bool) -> Vec<u8> {
    let allow = if status == METHOD_NOT_ALLOWED { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        status.0,
        status.1,
        body.len()
    );
    (head + if head_only { "" } else { body }).into_bytes()
}
