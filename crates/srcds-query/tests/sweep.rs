//! Many servers at once, on real sockets.

mod servers;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use servers::{INFO, honest, reply, server, silent};
use srcds_query::a2s::{Error, Info};
use srcds_query::sweep::{Target, ask};

/// Long enough for loopback on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A server with a name of its own.
fn named(name: &str) -> SocketAddr {
    let info = String::from_utf8_lossy(INFO);
    assert!(info.contains("A server"));
    let at = INFO.windows(8).position(|window| window == b"A server").unwrap();
    let info = servers::whole(&[&INFO[..at], name.as_bytes(), &INFO[at + 8..]].concat());
    server(move |packet| match reply(packet) {
        answer if answer[0][4] == b'I' => vec![info.clone()],
        answer => answer,
    })
}

#[test]
fn the_answers_are_in_the_order_of_the_targets_whoever_is_silent() {
    let (_socket, silent) = silent();
    let addresses = [named("one"), silent, named("two"), named("three")];
    let targets: Vec<Target> = addresses.iter().map(|&address| Target::new(address)).collect();
    let answers = ask(&targets, Duration::from_secs(2));
    let names: Vec<Result<&str, Error>> = answers
        .iter()
        .map(|answer| answer.info.as_ref().map(|info| info.name.as_str()).map_err(|&error| error))
        .collect();
    assert_eq!(names, [Ok("one"), Err(Error::Timeout), Ok("two"), Ok("three")]);
    assert!(answers.iter().all(|answer| answer.latency.is_some() == answer.info.is_ok()));
}

#[test]
fn nothing_is_waited_for_when_all_have_answered() {
    let start = Instant::now();
    assert!(ask(&[Target::new(honest())], Duration::from_secs(600))[0].info.is_ok());
    assert!(start.elapsed() < LONG);
    assert!(ask(&[], LONG).is_empty());
}

#[test]
fn one_server_may_be_two_targets_with_other_questions() {
    let address = honest();
    let targets = [Target::new(address).with_players(), Target::new(address), Target::new(address).with_rules()];
    let answers = ask(&targets, LONG);
    assert!(answers.iter().all(|answer| answer.info.is_ok()));
    let has: Vec<(bool, bool)> = answers.iter().map(|a| (a.players.is_some(), a.rules.is_some())).collect();
    assert_eq!(has, [(true, false), (false, false), (false, true)]);
    assert_eq!(answers[0].players.as_ref().unwrap().as_ref().unwrap()[0].name, "na\u{fffd}me");
}

#[test]
fn an_unspecified_address_and_ipv6_are_asked_with_the_rest() {
    let v4 = honest();
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let v6 = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            for reply in reply(&packet[..length]) {
                socket.send_to(&reply, from).unwrap();
            }
        }
    });
    let addresses = [v4, v6, ([0, 0, 0, 0], v4.port()).into(), ([0; 8], v6.port()).into()];
    let targets: Vec<Target> = addresses.iter().map(|&address| Target::new(address)).collect();
    let answers = ask(&targets, LONG);
    assert!(answers.iter().all(|answer| answer.info.is_ok()), "{answers:?}");
}

#[test]
fn lost_packets_are_sent_again() {
    // Of three packets one is lost, in either direction.
    let lossy = || {
        let mut count = 0;
        server(move |packet| {
            let mut lost = || {
                count += 1;
                count % 3 == 1
            };
            if lost() { Vec::new() } else { reply(packet).into_iter().filter(|_| !lost()).collect() }
        })
    };
    let targets: Vec<Target> = (0..50).map(|_| Target::new(lossy()).with_players().with_rules()).collect();
    for answer in ask(&targets, LONG) {
        let (players, rules) = (answer.players.unwrap().unwrap(), answer.rules.unwrap().unwrap());
        assert_eq!((answer.info.unwrap().name.as_str(), players.len(), rules.len()), ("A server", 2, 1));
    }
}

#[test]
fn many_more_than_there_is_room_for_are_all_asked() {
    let targets: Vec<Target> = (0..600).map(|_| Target::new(honest()).with_players()).collect();
    let answers = ask(&targets, LONG);
    assert_eq!(answers.iter().filter(|answer| matches!(answer.players, Some(Ok(_)))).count(), 600);
}

#[test]
fn the_silent_hold_up_nobody() {
    let (_socket, silent) = silent();
    // Ports of which one after the other is silent: each its own address of the loopback network.
    let silent =
        (0..2000_u16).map(|n| SocketAddr::from(([127, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]], silent.port())));
    let last = honest();
    let targets: Vec<Target> = silent.chain([last]).map(Target::new).collect();
    let answers = ask(&targets, Duration::from_secs(5));
    assert!(answers.last().unwrap().info.is_ok());
}

#[test]
fn all_that_a_server_says_is_read() {
    let [answer] = ask(&[Target::new(honest()).with_players()], LONG).try_into().unwrap();
    let Info { name, map, players, max_players, bots, port, steam_id, keywords, game_id, .. } =
        answer.info.clone().unwrap();
    assert_eq!((name.as_str(), map.as_str(), players, max_players, bots), ("A server", "c1m1_hotel", 3, 4, 1));
    assert_eq!((port, steam_id, keywords.as_deref()), (Some(27015), Some(0x0100_0000_0000_0001), Some("coop,empty")));
    assert_eq!((game_id, answer.info.unwrap().humans()), (None, 2));
    let players = answer.players.unwrap().unwrap();
    assert_eq!((players[0].score, players[0].duration), (2, Duration::from_secs(10)));
    assert_eq!((players[1].score, players[1].duration), (-1, Duration::ZERO));
}
