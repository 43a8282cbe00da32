//! What the game does when all is well.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use rustix::process::Signal;

use crate::client::{Cursor, Rcon, ask, receive, rules, send, socket};
use crate::server::{PROGRAM, Place, free_port};

#[test]
fn info_is_left_4_dead_2_s() {
    let server = Place::new()
        .with("cfg/server.cfg", "hostname \"Friday night\"\nsv_password x\nmp_gamemode versus\n")
        .serve(&["+map", "c2m1_highway", "+sim_players", "3", "+sim_bots", "2"]);
    let (info, packets) = ask(server.port, b"TSource Engine Query\0");
    let mut info = Cursor(&info);
    assert_eq!((packets, info.bytes()), (1, [b'I', 17]));
    assert_eq!([info.text(), info.text(), info.text()], ["Friday night", "c2m1_highway", "left4dead2"]);
    assert_eq!((info.text(), u16::from_le_bytes(info.bytes())), ("Left 4 Dead 2".to_owned(), 550));
    // Players, slots, bots, dedicated, Linux, with a password, VAC.
    assert_eq!(info.bytes(), [5, 8, 2, b'd', b'l', 1, 1]);
    assert!(info.text().starts_with("2.2."));
    assert_eq!((info.byte(), u16::from_le_bytes(info.bytes())), (0xb1, server.port));
    let _steam_id: [u8; 8] = info.bytes();
    assert_eq!(info.text(), "versus,simulated");
    assert_eq!((u64::from_le_bytes(info.bytes()), info.0), (550, &b""[..]));
}

#[test]
fn a_wrong_challenge_gets_another_and_no_answer() {
    let server = Place::new().serve(&[]);
    let socket = socket(server.port);
    for request in [&b"TSource Engine Query\0"[..], b"U", b"V"] {
        for wrong in [&b""[..], b"\0\0\0\0", b"\xff\xff\xff\xff"] {
            send(&socket, request, wrong);
            assert_eq!(receive(&socket)[4], b'A', "{request:?} {wrong:?}");
        }
    }
}

#[test]
fn players_and_rules() {
    let server = Place::new()
        .with("motd.txt", "the upper overlay\nsecond line\n")
        .with("cfg/server.cfg", "sv_cheats 1\n")
        .serve(&["+sim_players", "5", "+sim_bots", "1"]);
    let (answer, _) = ask(server.port, b"U");
    let mut players = Cursor(&answer);
    assert_eq!(players.bytes(), [b'D', 6]);
    let names: Vec<String> = (0..6)
        .map(|_| {
            let (_index, name, _score_and_time) = (players.byte(), players.text(), players.bytes::<8>());
            name
        })
        .collect();
    assert_eq!((&*names[0], &*names[5], players.0), ("Coach", "Bot 0", &b""[..]));
    assert!(names.iter().any(|name| name.contains('\u{1b}')), "no escape sequence in {names:?}");
    let (rules, packets) = rules(server.port);
    let value = |name| &*rules.iter().find(|rule| rule.0 == name).unwrap().1;
    assert_eq!((value("sim_motd"), value("sv_cheats"), packets), ("the upper overlay", "1", 1));
}

#[test]
fn long_rules_come_in_pieces() {
    let server = Place::new().serve(&["+sim_rules", "500"]);
    let (rules, packets) = rules(server.port);
    assert!(packets > 5 && rules.len() > 500, "{packets} packets, {} rules", rules.len());
    assert_eq!(rules.last().unwrap(), &("sim_rule_499".to_owned(), "499".to_owned()));
}

#[test]
fn rcon_runs_commands_for_who_knows_the_password() {
    let mut server = Place::new()
        .with("cfg/server.cfg", "rcon_password stale\nexec more\nrcon_password \"the; last\" // wins\n")
        .with("cfg/more.cfg", "sm_plugin_cvar 7\nrcon_password other\n")
        .serve(&[]);
    let mut rcon = Rcon::admitted(server.port, "the; last");
    assert_eq!(rcon.run("sm_plugin_cvar").0, "\"sm_plugin_cvar\" = \"7\"\n");
    assert_eq!(rcon.run("hostname A B; hostname").0, "\"hostname\" = \"A B\"\n");
    assert_eq!(rcon.run("nonsense").0, "Unknown command \"nonsense\"\n");
    assert_eq!(rcon.run("exec ../motd.txt").0, "exec: refused ../motd.txt\n");
    assert!(rcon.run("cvarlist").0.contains("sm_plugin_cvar") && rcon.run("stats").0.starts_with("CPU"));
    assert_eq!(rcon.run("say five minutes left").0, "");
    server.wait_for("Console: five minutes left\n");
    assert_eq!(rcon.run("changelevel c5m1_waterfront").0, "");
    let (status, pieces) = rcon.run("status");
    assert!(status.contains("map     : c5m1_waterfront\n") && status.ends_with("#end\n") && pieces == 1, "{status}");
    rcon.send(3, 2, "quit");
    let ended = server.end();
    assert!(ended.code == Some(0) && ended.said.ends_with("Server shutting down\nServer shutdown complete\n"));
}

#[test]
fn a_long_reply_comes_in_pieces_that_fit_together() {
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&["+sim_players", "150"]);
    let (status, pieces) = Rcon::admitted(server.port, "p").run("status");
    assert!(pieces > 2 && status.contains("150 humans, 0 bots (4 max) (not hibernating)"), "{pieces}: {status}");
    assert_eq!(status.lines().filter(|line| line.contains(" STEAM_1:0:") && line.contains("active")).count(), 150);
}

#[test]
fn rcon_without_a_password_or_with_a_wrong_one_is_refused() {
    let server = Place::new().serve(&[]);
    assert_eq!(Rcon::connect(server.port).authenticate(""), Some(-1), "no password is no empty password");
    let mut rcon = Rcon::connect(server.port);
    rcon.send(1, 2, "quit");
    assert!(rcon.hung_up());
    assert_eq!(server.interrupt().code, Some(0));
}

#[test]
fn who_guesses_passwords_is_banned() {
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&[]);
    let mut admitted = Rcon::admitted(server.port, "p");
    let mut guesser = Rcon::connect(server.port);
    for guess in ["a", "b", "c", "d", "e"] {
        assert_eq!(guesser.authenticate(guess), Some(-1));
    }
    assert!(guesser.hung_up());
    assert_eq!(Rcon::connect(server.port).authenticate("p"), None, "also who knows it now");
    assert_eq!(admitted.run("echo still here").0, "still here \n");
}

#[test]
fn a_frame_of_an_absurd_size_ends_the_connection_and_nothing_else() {
    use std::io::Write;
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&[]);
    for size in [-1_i32, 0, 9, 65_537, i32::MAX] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(&size.to_le_bytes()).unwrap();
        stream.write_all(&[0; 8]).unwrap();
        assert_eq!(std::io::Read::read(&mut stream, &mut [0; 16]).unwrap_or(0), 0, "{size}");
    }
    Rcon::admitted(server.port, "p");
}

/// a2s 0.6.1 and gamedig 0.9.0 panic on short and odd datagrams (measured): what parses the network here must not.
#[test]
fn short_and_odd_datagrams_end_nothing() {
    use std::io::Write;
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&[]);
    let socket = socket(server.port);
    let whole = [&b"\xff\xff\xff\xffTSource Engine Query\0"[..], b"\xff\xff\xff\xff", &[0; 1400]].concat();
    for length in (0..64).chain([1399, 1400, 1401, whole.len()]) {
        socket.send(&whole[..length]).unwrap();
        // Every kind of request, cut short, of another kind, and as a piece of a split one.
        for (place, byte) in [(4, b'U'), (4, b'V'), (4, b'W'), (4, 0), (4, 0xff), (0, 0xfe), (0, 0)] {
            let mut odd = whole[..length].to_vec();
            if let Some(at) = odd.get_mut(place) {
                *at = byte;
            }
            socket.send(&odd).unwrap();
        }
        // Answered in their order; more at once than the socket holds would be lost, and this with them.
        assert_eq!(ask(server.port, b"TSource Engine Query\0").0[0], b'I', "{length}");
    }
    socket.send(&vec![0xff; 65_000]).unwrap();
    for frame in
        [&b""[..], b"\x0a", b"\x0a\0\0\0", b"\x0a\0\0\0\0\0\0\0\x03\0\0\0xx", b"\x0b\0\0\0\0\0\0\0\x02\0\0\0\xff\xfe\0"]
    {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(frame).unwrap();
    }
    assert_eq!(ask(server.port, b"TSource Engine Query\0").0[0], b'I');
    Rcon::admitted(server.port, "p");
}

#[test]
fn signals_end_it_in_good_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Place::new().serve(&[]);
        server.signal(signal);
        let ended = server.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.said.ends_with("Server shutting down\nServer shutdown complete\n"), "{ended:?}");
    }
}

#[test]
fn a_simulation_says_so_first() {
    let server = Place::new().serve(&[]);
    assert!(server.said().starts_with("SIMULATED Left 4 Dead 2 server"), "{}", server.said());
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("SIMULATION"));
    assert_eq!(Command::new(PROGRAM).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_taken_port_ends_it_unless_it_may_be_another() {
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let ended = Place::new().spawn(port, &[]).end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.said.contains(&format!("Couldn't bind port {port} of 0.0.0.0")), "{ended:?}");
    drop(udp);
    let _tcp = TcpListener::bind(("0.0.0.0", port)).unwrap();
    assert_eq!(Place::new().spawn(port, &[]).end().code, Some(1), "RCON's port counts, too");
    let mut command = Command::new(PROGRAM);
    let place = Place::new().with("cfg/server.cfg", "quit\n");
    command.args(["srcds_linux", "-port", &port.to_string()]).current_dir(place.path());
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let network = said.lines().find(|line| line.starts_with("Network: ")).unwrap();
    assert!(!network.contains(&format!(" {port} ")), "{network}");
}

#[test]
fn steam_is_reached_only_with_its_library() {
    let mut without = Place::new().serve(&[]);
    without.wait_for("LAN servers are restricted");
    assert!(without.said().contains("steamclient.so: cannot open shared object file"));
    let place = Place::new();
    fs::create_dir_all(place.path().join(".steam/sdk32")).unwrap();
    fs::write(place.path().join(".steam/sdk32/steamclient.so"), "").unwrap();
    place.serve(&[]).wait_for("Connection to Steam servers successful.");
}

#[test]
fn log_on_makes_a_file_for_every_map() {
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&["+log", "on"]);
    let mut rcon = Rcon::admitted(server.port, "p");
    rcon.run("say hello");
    rcon.run("changelevel c2m1_highway");
    rcon.run("log off");
    rcon.run("say unheard");
    let logs = server.place.path().join("left4dead2/logs");
    let mut names: Vec<_> =
        fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2);
    let number = |name: &str| name.strip_prefix('L').and_then(|rest| rest.strip_suffix(".log")).unwrap().to_owned();
    assert!(names.iter().all(|name| number(name).len() == 7) && names[0].ends_with("000.log"), "{names:?}");
    let [first, second] = [0, 1].map(|n| fs::read_to_string(logs.join(&names[n])).unwrap());
    assert!(first.contains("\" say \"hello\"\n") && first.ends_with(": Log file closed\n"), "{first}");
    let begin = first.split_once(": ").unwrap();
    assert!(begin.0.starts_with("L ") && begin.0.len() == "L mm/dd/yyyy - hh:mm:ss".len(), "{first}");
    assert!(begin.1.starts_with("Log file started (file \"left4dead2/logs/L"), "{first}");
    assert!(second.contains("Started map \"c2m1_highway\"") && !second.contains("\" say \""), "{second}");
}

#[test]
fn a_port_is_free_again_when_the_server_has_ended() {
    let port = free_port();
    for _ in 0..3 {
        let mut server = Place::new().with("cfg/server.cfg", "rcon_password p\n").spawn(port, &[]);
        server.wait_for("motd: ");
        Rcon::admitted(port, "p");
        assert_eq!(server.interrupt().code, Some(0));
    }
}
