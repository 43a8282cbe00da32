//! Servers that answer, each in its own way.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use srcds_query::rcon::{Client, Error, MAX_COMMAND, Target, sweep};

use crate::server::{ADMISSION, AUTH, COMMAND, REPLY, Server, admit, end, frame, password, read, send, soon};

/// One that replies with the command, in pieces of so many bytes.
fn echo(piece: usize) -> Server {
    Server::start(move |mut stream| {
        while let Some((id, kind, body)) = read(&mut stream) {
            match kind {
                AUTH if body == b"secret" => admit_again(&mut stream, id),
                AUTH => send(&mut stream, &frame(-1, ADMISSION, b"")),
                COMMAND => body.chunks(piece).for_each(|piece| send(&mut stream, &frame(id, REPLY, piece))),
                _ => send(&mut stream, &end(id - 1)),
            }
        }
    })
}

fn admit_again(stream: &mut std::net::TcpStream, id: i32) {
    send(stream, &[frame(id, REPLY, b""), frame(id, ADMISSION, b"")].concat());
}

#[test]
fn one_command_after_the_other() {
    for piece in [1, 7, 4000] {
        let server = echo(piece);
        let mut client = server.connect().unwrap();
        for command in ["status", "say Grüße; \"x\"", "", "status"] {
            assert_eq!(client.run(command, soon()).unwrap(), command.as_bytes());
        }
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_reply_of_any_length_is_whole() {
    let reply: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let expected = reply.clone();
    let server = Server::replying(move |stream, id| {
        reply.chunks(4000).for_each(|piece| send(stream, &frame(id, REPLY, piece)));
        send(stream, &end(id));
    });
    assert!(server.run().unwrap() == expected);
}

#[test]
fn servers_differ_in_what_they_send_besides() {
    // Nothing before the admission, nothing after the empty frame.
    let plain = Server::start(|mut stream| {
        let (id, ..) = read(&mut stream).unwrap();
        send(&mut stream, &frame(id, ADMISSION, b""));
        while let Some((id, kind, _)) = read(&mut stream) {
            send(&mut stream, &frame(id, REPLY, if kind == COMMAND { b"x" } else { b"" }));
        }
    });
    // The empty reply after the admission, and the mark only with the next reply.
    let late = Server::start(|mut stream| {
        let (id, ..) = read(&mut stream).unwrap();
        send(&mut stream, &[frame(id, ADMISSION, b""), frame(id, REPLY, b"")].concat());
        let mut mark = Vec::new();
        while let Some((id, kind, _)) = read(&mut stream) {
            match kind {
                COMMAND => send(&mut stream, &[std::mem::take(&mut mark), frame(id, REPLY, b"x")].concat()),
                _ => send(&mut stream, &frame(id, REPLY, b"")),
            }
            mark = frame(id, REPLY, &[0, 1, 0, 0]);
        }
    });
    for server in [plain, late] {
        let mut client = server.connect().unwrap();
        for _ in 0..3 {
            assert_eq!(client.run("x", soon()).unwrap(), b"x");
        }
    }
}

#[test]
fn a_wrong_password_is_tried_once() {
    let server = Server::start(|mut stream| {
        while let Some((id, AUTH, _)) = read(&mut stream) {
            send(&mut stream, &[frame(id, REPLY, b""), frame(-1, ADMISSION, b"")].concat());
        }
    });
    let error = server.connect().unwrap_err();
    assert!(matches!(error, Error::WrongPassword), "{error:?}");
    let target = Target { address: server.address, password: password(), commands: &["status"] };
    assert!(matches!(sweep(&[target], soon())[..], [Err(Error::WrongPassword)]));
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_command_that_is_none_leaves_the_connection_as_it_was() {
    let server = echo(4000);
    let mut client = server.connect().unwrap();
    let long = "x".repeat(MAX_COMMAND + 1);
    for command in ["a\nquit", "a\0b", "a\rb", &long] {
        assert!(matches!(client.run(command, soon()), Err(Error::InvalidCommand(_))), "{command:?}");
    }
    assert_eq!(client.run(&long[1..], soon()).unwrap(), &long.as_bytes()[1..]);
}

#[test]
fn a_closed_port_is_told() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(Client::connect(address, &password(), soon()), Err(Error::Closed)));
}

#[test]
fn a_hundred_servers_are_asked_at_once() {
    // Each takes a while: one after the other would take ten seconds.
    let servers: Vec<Server> = (0..100)
        .map(|n| {
            Server::start(move |mut stream| {
                admit(&mut stream);
                while let Some((id, kind, body)) = read(&mut stream) {
                    if kind == COMMAND {
                        std::thread::sleep(Duration::from_millis(100));
                        send(
                            &mut stream,
                            &frame(id, REPLY, format!("{n} {}", String::from_utf8_lossy(&body)).as_bytes()),
                        );
                    } else {
                        send(&mut stream, &end(id - 1));
                    }
                }
            })
        })
        .collect();
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let target =
        |address: &SocketAddr| Target { address: *address, password: password(), commands: &["status", "stats"] };
    let targets: Vec<Target<'_>> = addresses.iter().map(target).collect();
    let start = Instant::now();
    let results = sweep(&targets, soon());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), [format!("{n} status").into_bytes(), format!("{n} stats").into_bytes()]);
    }
}

#[test]
fn more_servers_than_are_talked_to_at_once() {
    let server = echo(4000);
    let target = || Target { address: server.address, password: password(), commands: &["a"] };
    let targets: Vec<Target<'_>> = (0..450).map(|_| target()).collect();
    let results = sweep(&targets, soon());
    assert!(
        results.len() == 450 && results.iter().all(|result| matches!(result, Ok(replies) if replies[..] == [b"a"]))
    );
}
