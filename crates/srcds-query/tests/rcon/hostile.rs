//! Servers that lie, stall, flood and hang up: every call ends, in time, with an error that says what it was.

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use srcds_query::rcon::{Client, Error, MAX_FRAME, MAX_REPLY, MAX_SWEEP_REPLY, Malformed, Target, Waiting, sweep};

use crate::server::{ADMISSION, REPLY, Server, admit, end, frame, password, read, send, soon, wait_for_the_end};

/// A deadline that is meant to pass.
const SHORT: Duration = Duration::from_millis(300);

/// Runs to a deadline of `SHORT` and sees that it was kept.
fn in_time<T>(run: impl FnOnce(Instant) -> T) -> T {
    let start = Instant::now();
    let result = run(start + SHORT);
    let took = start.elapsed();
    assert!(took < SHORT + Duration::from_secs(2), "{took:?}");
    result
}

/// All that an honest server sends to a client that runs one command.
fn transcript() -> Vec<u8> {
    let admission = [frame(1, REPLY, b""), frame(1, ADMISSION, b"")].concat();
    let reply = [frame(2, REPLY, b"hostname: x\n"), frame(2, REPLY, b"more\n"), end(2)].concat();
    [admission, reply].concat()
}

/// How long the part of the transcript is that makes the reply whole: nobody waits for the mark after it.
fn enough() -> usize {
    transcript().len() - frame(3, REPLY, &[0, 1, 0, 0]).len()
}

/// Sends the transcript's first bytes, the second part of it only once there is a command.
fn send_part(stream: &mut TcpStream, length: usize) {
    let transcript = transcript();
    let admission = 28.min(length);
    read(stream);
    send(stream, &transcript[..admission]);
    if length > admission {
        read(stream);
        read(stream);
        send(stream, &transcript[admission..length]);
    }
}

#[test]
fn hung_up_at_every_byte() {
    for length in 0..=transcript().len() {
        let server = Server::start(move |mut stream| send_part(&mut stream, length));
        let result = server.run();
        match result {
            Err(Error::Banned) => assert!(length < 28, "{length}"),
            Err(Error::HungUp) => assert!((28..enough()).contains(&length), "{length}"),
            Ok(reply) => assert!(length >= enough() && reply == b"hostname: x\nmore\n", "{length}"),
            Err(error) => panic!("{length}: {error:?}"),
        }
    }
}

#[test]
fn silent_after_every_byte() {
    let part = |length: usize| {
        Server::start(move |mut stream| {
            send_part(&mut stream, length);
            wait_for_the_end(&mut stream);
        })
    };
    let servers: Vec<Server> = (0..=transcript().len()).map(part).collect();
    let target = |server: &Server| Target { address: server.address, password: password(), commands: &["status"] };
    let targets: Vec<Target<'_>> = servers.iter().map(target).collect();
    // A second: enough for those that answer, all at once.
    let results = sweep(&targets, Instant::now() + Duration::from_secs(1));
    for (length, result) in results.into_iter().enumerate() {
        match result {
            Err(Error::Timeout(Waiting::Admission)) => assert!(length < 28, "{length}"),
            Err(Error::Timeout(Waiting::Reply)) => assert!((28..enough()).contains(&length), "{length}"),
            Ok(replies) => assert!(length >= enough() && replies == [b"hostname: x\nmore\n"], "{length}"),
            Err(error) => panic!("{length}: {error:?}"),
        }
    }
}

#[test]
fn a_byte_at_a_time_is_no_different() {
    let server = Server::start(|mut stream| {
        stream.set_nodelay(true).unwrap();
        let transcript = transcript();
        read(&mut stream);
        transcript[..28].iter().for_each(|byte| send(&mut stream, &[*byte]));
        read(&mut stream);
        read(&mut stream);
        transcript[28..].iter().for_each(|byte| send(&mut stream, &[*byte]));
    });
    assert_eq!(server.run().unwrap(), b"hostname: x\nmore\n");
}

#[test]
fn slow_for_ever_ends_at_the_deadline() {
    // A byte of a frame now and then, as of a server that has all the time in the world.
    let server = Server::replying(|stream, id| {
        let (gone, hears) = mpsc::channel::<()>();
        let mut writer = stream.try_clone().unwrap();
        let drip = std::thread::spawn(move || {
            for byte in frame(id, REPLY, &[b'x'; 4000]) {
                send(&mut writer, &[byte]);
                if hears.recv_timeout(Duration::from_millis(20)) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        wait_for_the_end(stream);
        drop(gone);
        drip.join().unwrap();
    });
    let mut client = server.connect().unwrap();
    let error = in_time(|deadline| client.run("status", deadline)).unwrap_err();
    assert!(matches!(error, Error::Timeout(Waiting::Reply)), "{error:?}");
    assert!(
        matches!(client.run("status", soon()), Err(Error::Unusable)),
        "what comes late would be taken for its reply"
    );
}

#[test]
fn frames_of_impossible_sizes() {
    let sizes = [-1, i32::MIN, -10, 0, 1, 9, i32::try_from(MAX_FRAME).unwrap() + 1, i32::MAX];
    for size in sizes {
        // In place of the admission, and in place of a reply.
        let head = move |id: i32| [&size.to_le_bytes()[..], &id.to_le_bytes(), &[0; 200]].concat();
        let first = Server::start(move |mut stream| {
            read(&mut stream);
            send(&mut stream, &head(1));
            wait_for_the_end(&mut stream);
        });
        let then = Server::replying(move |stream, id| send(stream, &head(id)));
        for server in [first, then] {
            let error = server.run().unwrap_err();
            assert!(matches!(error, Error::Malformed(Malformed::Size(found)) if found == size), "{size}: {error:?}");
        }
    }
}

#[test]
fn the_largest_frame_is_taken() {
    let body = vec![b'x'; MAX_FRAME - 10];
    let server = Server::replying(move |stream, id| send(stream, &[frame(id, REPLY, &body), end(id)].concat()));
    assert_eq!(server.run().unwrap().len(), MAX_FRAME - 10);
}

#[test]
fn frames_that_nobody_asked_for() {
    for (id, kind) in [(77, REPLY), (2, 5), (0, ADMISSION), (1, 3)] {
        let server = Server::replying(move |stream, _| send(stream, &frame(id, kind, b"x")));
        let error = server.run().unwrap_err();
        assert!(matches!(error, Error::Malformed(Malformed::Unasked(a, b)) if (a, b) == (id, kind)), "{error:?}");
    }
    let server = Server::replying(|stream, id| {
        let mut bytes = frame(id, REPLY, b"xyz");
        *bytes.last_mut().unwrap() = b'!';
        send(stream, &bytes);
    });
    assert!(matches!(server.run(), Err(Error::Malformed(Malformed::End))));
    // The password was changed meanwhile.
    let server = Server::replying(|stream, _| send(stream, &frame(-1, ADMISSION, b"")));
    assert!(matches!(server.run(), Err(Error::WrongPassword)));
}

#[test]
fn a_reply_that_never_ends() {
    // Of what was asked for, and of what is passed over: the end of the last reply, again and again.
    for (which, body) in [(0, vec![b'x'; 4000]), (0, Vec::new()), (-1, vec![0; 4000])] {
        let flood = move |stream: &mut TcpStream, id: i32| {
            let frames = frame(id + which, REPLY, &body).repeat(100);
            while std::io::Write::write_all(stream, &frames).is_ok() {}
        };
        let server = Server::replying(flood);
        let error = server.run().unwrap_err();
        assert!(matches!(error, Error::TooLarge(MAX_REPLY)), "{error:?}");
        let target = Target { address: server.address, password: password(), commands: &["status"] };
        let results = sweep(&[target], soon());
        assert!(matches!(results[..], [Err(Error::TooLarge(MAX_SWEEP_REPLY))]), "{results:?}");
    }
}

#[test]
fn an_echo_that_never_comes() {
    let server = Server::replying(|stream, id| send(stream, &frame(id, REPLY, b"all of it")));
    let mut client = server.connect().unwrap();
    let error = in_time(|deadline| client.run("status", deadline)).unwrap_err();
    assert!(matches!(error, Error::Timeout(Waiting::Reply)), "{error:?}");
}

#[test]
fn silence() {
    let server = Server::start(|mut stream| wait_for_the_end(&mut stream));
    let error = in_time(|deadline| Client::connect(server.address, &password(), deadline)).unwrap_err();
    assert!(matches!(error, Error::Timeout(Waiting::Admission)), "{error:?}");
    // A deadline that has passed is no wait.
    let error = Client::connect(server.address, &password(), Instant::now()).unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
}

#[test]
fn a_port_that_accepts_nobody() {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&socket, 0).unwrap();
    let address = getsockname(&socket).unwrap().try_into().unwrap();
    // Those that wait fill its queue.
    let _waiting: Vec<_> = (0..2).map(|_| TcpStream::connect_timeout(&address, SHORT)).collect();
    let error = in_time(|deadline| Client::connect(address, &password(), deadline)).unwrap_err();
    assert!(matches!(error, Error::Timeout(Waiting::Connection)), "{error:?}");
}

#[test]
fn a_banned_address_is_hung_up_on() {
    let at_once = Server::start(drop);
    let at_the_password = Server::start(|mut stream| drop(read(&mut stream)));
    for server in [at_once, at_the_password] {
        let error = server.connect().unwrap_err();
        assert!(matches!(error, Error::Banned), "{error:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_server_that_ends_in_the_middle() {
    let server = Server::start(|mut stream| {
        admit(&mut stream);
        let (id, ..) = read(&mut stream).unwrap();
        send(&mut stream, &frame(id, REPLY, b"half")[..17]);
    });
    let mut client = server.connect().unwrap();
    assert!(matches!(client.run("status", soon()), Err(Error::HungUp)));
    assert!(matches!(client.run("status", soon()), Err(Error::Unusable)));
}

#[test]
fn a_server_that_ends_between_commands() {
    let (end, ends) = mpsc::channel::<()>();
    let ends = std::sync::Mutex::new(ends);
    let server = Server::start(move |mut stream| {
        send_part(&mut stream, transcript().len());
        let _ = ends.lock().unwrap().recv();
    });
    let mut client = server.connect().unwrap();
    client.run("status", soon()).unwrap();
    assert!(client.is_open());
    drop(end);
    let limit = soon();
    while client.is_open() {
        assert!(Instant::now() < limit);
    }
    assert!(matches!(client.run("status", soon()), Err(Error::Unusable)));
    // One that talks without end is no better.
    let server = Server::start(|mut stream| {
        send_part(&mut stream, transcript().len());
        let frames = frame(3, REPLY, &[0; 4000]).repeat(100);
        while std::io::Write::write_all(&mut stream, &frames).is_ok() {}
    });
    let mut client = server.connect().unwrap();
    client.run("status", soon()).unwrap();
    let limit = soon();
    while client.is_open() {
        assert!(Instant::now() < limit);
    }
}

#[test]
fn one_bad_server_spoils_no_other() {
    let good = Server::start(|mut stream| send_part(&mut stream, transcript().len()));
    let silent = Server::start(|mut stream| wait_for_the_end(&mut stream));
    let flooding = Server::replying(|stream, id| {
        let frames = frame(id, REPLY, &[b'x'; 4000]).repeat(100);
        while std::io::Write::write_all(stream, &frames).is_ok() {}
    });
    let banning = Server::start(drop);
    let target = |server: &Server| Target { address: server.address, password: password(), commands: &["status"] };
    let targets = [&silent, &good, &flooding, &banning].map(target);
    let results = in_time(|deadline| sweep(&targets, deadline));
    assert!(
        matches!(
            &results[..],
            [Err(Error::Timeout(Waiting::Admission)), Ok(replies), Err(Error::TooLarge(_)), Err(Error::Banned)]
                if replies[..] == [b"hostname: x\nmore\n"]
        ),
        "{results:?}"
    );
}
