//! Servers that lie, drown, truncate and stay silent, on real sockets: no panic, bounded memory, and the deadline holds.

mod servers;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use servers::{INFO, PLAYERS, RULES, honest, piece, reply, server, silent, whole};
use srcds_query::a2s::{self, Error};
use srcds_query::sweep::{Answer, Target, ask};

/// Long enough for loopback on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// For those who never answer.
const SHORT: Duration = Duration::from_millis(300);

/// What a busy machine may add to a deadline.
const LATE: Duration = Duration::from_secs(10);

/// What one server answers to both ways of asking for its info, which must agree, and in time.
fn info_of(address: SocketAddr, time: Duration) -> Result<a2s::Info, Error> {
    let start = Instant::now();
    let alone = a2s::info(address, time).map(|(info, _)| info);
    assert!(start.elapsed() < time + LATE, "{:?}", start.elapsed());
    let start = Instant::now();
    let [answer] = sweep(&[Target::new(address)], time).try_into().unwrap();
    assert!(start.elapsed() < time + LATE, "{:?}", start.elapsed());
    assert_eq!(alone, answer.info);
    alone
}

fn sweep(targets: &[Target], time: Duration) -> Vec<Answer> {
    let answers = ask(targets, time);
    assert_eq!(answers.len(), targets.len());
    answers
}

fn is_malformed<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Malformed(_)))
}

#[test]
fn a_reply_is_refused_wherever_it_is_cut() {
    // The flags and what they announce may be missing as a whole.
    let allowed = [INFO.len() - 22];
    for end in 0..INFO.len() {
        let address = server(move |_| vec![whole(INFO)[..4 + end].to_vec()]);
        let cut = info_of(address, LONG);
        assert!(if allowed.contains(&end) { cut.is_ok() } else { is_malformed(&cut) }, "{end}: {cut:?}");
    }
    for end in 0..4 {
        let address = server(move |_| vec![whole(INFO)[..end].to_vec()]);
        assert!(is_malformed(&info_of(address, LONG)), "{end}");
    }
    for end in 1..PLAYERS.len() {
        let address = server(move |_| vec![whole(PLAYERS)[..4 + end].to_vec()]);
        assert!(is_malformed(&a2s::players(address, LONG)), "{end}");
    }
    for end in 1..RULES.len() {
        let address = server(move |_| vec![whole(RULES)[..4 + end].to_vec()]);
        assert!(is_malformed(&a2s::rules(address, LONG)), "{end}");
    }
}

#[test]
fn a_piece_is_refused_wherever_its_header_is_cut() {
    for end in 4..12 {
        let address = server(move |_| vec![piece(7, 2, 0, b"xx")[..end].to_vec()]);
        assert!(is_malformed(&info_of(address, LONG)), "{end}");
    }
}

#[test]
fn pieces_that_can_not_be_are_refused() {
    let cases: [(Vec<Vec<u8>>, Error); 7] = [
        (vec![piece(7, 0, 0, b"x")], Error::Malformed("a piece's number is higher than their count")),
        (vec![piece(7, 2, 2, b"x")], Error::Malformed("a piece's number is higher than their count")),
        (vec![piece(7, 255, 3, b"x")], Error::TooLarge),
        (vec![piece(7, 33, 3, b"x")], Error::TooLarge),
        (vec![piece(7, 3, 0, b"x"), piece(7, 2, 1, b"x")], Error::Malformed("two pieces say two counts")),
        (vec![piece(7, 1, 0, b"what?")], Error::Malformed("its pieces are no reply")),
        // A piece of pieces.
        (vec![piece(7, 1, 0, &piece(8, 1, 0, b"x"))], Error::Malformed("its pieces are no reply")),
    ];
    for (pieces, error) in cases {
        let address = server({
            let pieces = pieces.clone();
            move |_| pieces.clone()
        });
        assert_eq!(info_of(address, LONG), Err(error), "{pieces:?}");
    }
}

#[test]
fn a_long_reply_comes_together_in_any_order_with_what_comes_twice() {
    let rules: Vec<(String, String)> = (0..2000).map(|n| (format!("name {n}"), format!("value {n}"))).collect();
    let texts: Vec<u8> = rules.iter().flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes()).collect();
    let long = whole(&[&b"E\xd0\x07"[..], &texts].concat());
    let pieces: Vec<Vec<u8>> = long.chunks(1400).map(<[u8]>::to_vec).collect();
    let total = u8::try_from(pieces.len()).unwrap();
    assert!(total > 20);
    let mut split: Vec<Vec<u8>> = (0..total).zip(&pieces).map(|(number, part)| piece(7, total, number, part)).collect();
    split.reverse();
    split.insert(3, split[0].clone());
    // Another reply of which the rest is lost.
    split.insert(5, piece(6, total, 0, &pieces[0]));
    let address = server(move |packet| if packet[4] == b'V' { split.clone() } else { reply(packet) });
    let [answer] = sweep(&[Target::new(address).with_players().with_rules()], LONG).try_into().unwrap();
    let read = answer.rules.unwrap().unwrap();
    assert_eq!(read, a2s::rules(address, LONG).unwrap());
    assert_eq!(read.into_iter().map(|rule| (rule.name, rule.value)).collect::<Vec<_>>(), rules);
    assert_eq!(answer.players.unwrap().unwrap().len(), 2);
}

#[test]
fn what_is_too_large_is_refused() {
    let address = server(|_| (0..32).map(|number| piece(7, 32, number, &[b'I'; 2030])).collect());
    assert!(is_malformed(&info_of(address, LONG)), "32 large packets are just below the limit");
    let address = server(|_| vec![[&whole(INFO)[..], &[b'x'; 60_000]].concat()]);
    assert_eq!(info_of(address, LONG), Err(Error::TooLarge));
}

#[test]
fn nothing_is_decompressed() {
    // Announces 4 GiB, as a bomb would.
    let bomb = piece(0x8000_0007, 1, 0, b"\xff\xff\xff\xff\0\0\0\0BZh91AY&SY");
    let address = server(move |_| vec![bomb.clone()]);
    assert_eq!(info_of(address, LONG), Err(Error::Compressed));
    // The other answers are not harmed.
    let bomb = piece(0x8000_0007, 1, 0, b"BZh9");
    let address = server(move |packet| if packet[4] == b'U' { vec![bomb.clone()] } else { reply(packet) });
    let [answer] = sweep(&[Target::new(address).with_players().with_rules()], LONG).try_into().unwrap();
    assert_eq!(
        (answer.info.is_ok(), answer.players, answer.rules.unwrap().unwrap().len()),
        (true, Some(Err(Error::Compressed)), 1)
    );
}

#[test]
fn a_server_that_only_ever_asks_for_another_challenge_is_left() {
    let asked = Arc::new(AtomicU32::new(0));
    let address = server({
        let asked = Arc::clone(&asked);
        move |_| vec![whole(&[b"A", &asked.fetch_add(1, Ordering::Relaxed).to_le_bytes()[..]].concat())]
    });
    // Patient enough for nothing to be sent twice.
    assert_eq!(a2s::info(address, 10 * LONG).unwrap_err(), Error::Challenges);
    assert_eq!(sweep(&[Target::new(address)], 10 * LONG)[0].info, Err(Error::Challenges));
    assert!(asked.load(Ordering::Relaxed) <= 20, "{asked:?}");
    // And for the same again: that may as well be an answer that was late.
    let address = server(|_| vec![whole(b"Asame")]);
    assert_eq!(info_of(address, SHORT), Err(Error::Incomplete));
}

#[test]
fn silence_lasts_until_the_deadline() {
    let (_socket, address) = silent();
    let start = Instant::now();
    assert_eq!(a2s::info(address, SHORT).unwrap_err(), Error::Timeout);
    assert!(start.elapsed() >= SHORT);
    assert_eq!(info_of(address, SHORT), Err(Error::Timeout));
    assert_eq!(info_of(address, Duration::ZERO), Err(Error::Timeout));
}

#[test]
fn a_closed_port_is_told_apart_from_silence() {
    let (socket, address) = silent();
    drop(socket);
    assert_eq!(info_of(address, LONG), Err(Error::Refused));
}

#[test]
fn an_address_that_can_not_be_asked_is_an_error_of_its_own() {
    let address = SocketAddr::from(([255, 255, 255, 255], 27015));
    assert!(matches!(info_of(address, LONG), Err(Error::Os(_))));
}

#[test]
fn only_who_was_asked_answers() {
    // The server has somebody else answer, from another port.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let relay = servers::server_with(move |_, packet, from| {
        for reply in reply(packet) {
            other.send_to(&reply, from).unwrap();
        }
    });
    assert_eq!(info_of(relay, SHORT), Err(Error::Timeout));
}

#[test]
fn nobody_answers_for_another() {
    // The liar's answers count for the liar alone, though the honest one has not answered yet.
    let honest = honest();
    let liar = servers::server_with(move |socket, packet, from| {
        for reply in reply(packet) {
            socket.send_to(&reply, from).unwrap();
        }
        socket.send_to(&whole(b"I\x11liar\0"), from).unwrap();
    });
    let answers = sweep(&[Target::new(liar), Target::new(honest)], LONG);
    assert_eq!(answers[1].info.as_ref().unwrap().name, "A server");
}

#[test]
fn a_flood_does_not_move_the_deadline() {
    // Each request is answered for half a second with as many packets as the machine can send, and none of them counts.
    let flood = || {
        servers::server_with(|socket, _, from| {
            let end = Instant::now() + Duration::from_millis(500);
            for id in 0.. {
                if Instant::now() >= end {
                    break;
                }
                let _ = socket.send_to(&piece(id & 0xffff, 32, 0, &[0; 1388]), from);
                let _ = socket.send_to(&whole(b"D\0"), from);
            }
        })
    };
    let start = Instant::now();
    assert_eq!(a2s::info(flood(), SHORT).unwrap_err(), Error::Incomplete);
    assert_eq!(sweep(&[Target::new(flood())], SHORT)[0].info, Err(Error::Incomplete));
    assert!(start.elapsed() < 2 * SHORT + LATE, "{:?}", start.elapsed());
}

#[test]
fn pieces_without_end_take_no_memory() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = peak();
    // Of no reply is there ever the last piece, and each has 43 KiB of others: 128 MiB in all, were they kept.
    let targets: Vec<Target> = (0..32)
        .map(|_| {
            Target::new(servers::server_with(|socket, _, from| {
                for id in 0..100 {
                    for number in 0..31 {
                        let _ = socket.send_to(&piece(id, 32, number, &[b'I'; 1400]), from);
                    }
                }
            }))
        })
        .collect();
    for answer in sweep(&targets, Duration::from_secs(2)) {
        assert!(matches!(answer.info, Err(Error::Incomplete | Error::Timeout)), "{:?}", answer.info);
    }
    let grown = peak() - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
}

#[test]
fn any_bytes_are_an_answer_or_an_error() {
    let mut state = 1_u64;
    let address = server(move |_| {
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()[7]
        };
        let length = usize::from(byte()) * 6;
        let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
        let kind = [b'I', b'D', b'E', b'A'][usize::from(byte() % 4)];
        vec![if byte() % 2 == 0 { bytes } else { whole(&[&[kind][..], &bytes].concat()) }]
    });
    for _ in 0..10 {
        let _ = a2s::info(address, SHORT);
        let _ = ask(&[Target::new(address).with_players().with_rules()], SHORT);
    }
}

#[test]
fn what_is_no_answer_of_source_is_said() {
    let address = server(|_| vec![whole(b"m127.0.0.1:27015\0Old\0")]);
    assert_eq!(info_of(address, LONG), Err(Error::Malformed("it is of an engine before Source")));
    let address = server(|_| vec![b"HTTP/1.1 400 Bad Request\r\n".to_vec()]);
    assert_eq!(info_of(address, LONG), Err(Error::Malformed("it does not begin as replies do")));
}
