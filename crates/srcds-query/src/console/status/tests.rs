//! Samples as L4D2 servers print them, and names that try to be something else.

use super::*;

/// Over RCON: with addresses, and a slot beside each number.
const VERSUS: &str = "hostname: Friday night | EU #1\n\
version : 2.2.4.3 9450 secure  (unknown)\n\
udp/ip  : 10.0.0.5:27015 [ public 198.51.100.7:27015 ]\n\
os      : Linux Dedicated\n\
map     : c8m1_apartment\n\
players : 3 humans, 2 bots (8 max) (not hibernating) (reserved 18600006da65d55)\n\
\n\
# userid name uniqueid connected ping loss state rate adr\n\
#  7 1 \"Zoey\" STEAM_1:0:32599262 28:40 66 0 active 30000 203.0.113.9:27005\n\
# 12 2 \"the \"best\" | #1\" STEAM_1:1:4 1:02:03 120 3 active 100000 198.51.100.2:64012\n\
#113 4 \"new\" STEAM_ID_PENDING 00:04 0 90 spawning 20000 192.0.2.44:27005\n\
#98 \"Tank\" BOT active\n\
#99 \"Smoker\" BOT active\n\
#end\n";

/// At a console of its own: a listen server, without addresses and slots.
const LISTEN: &str = "hostname: at home\r\n\
version : 2.2.4.3 9450 insecure  (unknown)\r\n\
udp/ip  : 192.168.1.4:27015 [ public n/a ]\r\n\
os      : Windows Listen\r\n\
map     : c1m1_hotel at: 568 x, 5707 y, 2851 z\r\n\
players : 1 humans, 0 bots (4 max) (not hibernating) (unreserved)\r\n\
\r\n\
# userid name uniqueid connected ping loss state rate\r\n\
#  2 \"Host\" [U:1:123] 12:34 0 0 active 786432\r\n\
#end\r\n";

const EMPTY: &str = "hostname: empty\nversion : 2.2.4.3 9450 secure  (unknown)\nudp/ip  : 0.0.0.0:27016 [ public n/a ]\n\
os      : Linux Dedicated\nmap     : c1m1_hotel\nplayers : 0 humans, 0 bots (4 max) (hibernating) (unreserved)\n\n\
# userid name uniqueid connected ping loss state rate adr\n#end\n";

fn names(status: &Status) -> Vec<&str> {
    status.players.iter().map(|player| player.name.as_str()).collect()
}

#[test]
fn a_server_with_people_and_bots() {
    let status = Status::parse(VERSUS).unwrap();
    assert_eq!((status.hostname.as_str(), status.version.as_str()), ("Friday night | EU #1", "2.2.4.3"));
    assert_eq!((status.address.as_str(), status.map.as_str()), ("10.0.0.5:27015", "c8m1_apartment"));
    assert_eq!(status.public_address.as_deref(), Some("198.51.100.7:27015"));
    assert_eq!((status.humans, status.bots, status.max, status.unreadable), (3, 2, Some(8), 0));
    assert_eq!((status.secure, status.hibernating, status.reserved), (Some(true), Some(false), Some(true)));
    assert_eq!(names(&status), ["Zoey", "the \"best\" | #1", "new", "Tank", "Smoker"]);
    assert_eq!(
        status.players[1],
        StatusPlayer {
            user_id: 12,
            name: "the \"best\" | #1".to_owned(),
            steam_id: Some("STEAM_1:1:4".to_owned()),
            bot: false,
            connected: Some(Duration::from_secs(3723)),
            ping: Some(120),
            loss: Some(3),
            state: "active".to_owned(),
            rate: Some(100_000),
            address: Some("198.51.100.2:64012".to_owned()),
        }
    );
    assert_eq!((status.players[2].steam_id.as_ref(), status.players[2].state.as_str()), (None, "spawning"));
    let tank = &status.players[3];
    assert_eq!((tank.user_id, tank.bot, tank.state.as_str(), tank.ping), (98, true, "active", None));
}

#[test]
fn a_listen_server_and_an_empty_one() {
    let status = Status::parse(LISTEN).unwrap();
    assert_eq!((status.map.as_str(), status.secure, status.public_address.as_ref()), ("c1m1_hotel", Some(false), None));
    assert_eq!((status.humans, status.reserved, status.unreadable), (1, Some(false), 0));
    let host = &status.players[0];
    assert_eq!((host.user_id, host.steam_id.as_deref(), host.rate), (2, Some("[U:1:123]"), Some(786_432)));
    assert_eq!(host.address, None);
    // With an address there, and without a rate.
    let with = LISTEN.replace("active 786432", "active 786432 loopback");
    assert_eq!(Status::parse(with).unwrap().players[0].address.as_deref(), Some("loopback"));
    let without = LISTEN.replace("active 786432", "active loopback");
    assert_eq!(Status::parse(without).unwrap().players[0].address.as_deref(), Some("loopback"));
    let empty = Status::parse(EMPTY).unwrap();
    assert_eq!((empty.humans, empty.bots, empty.hibernating), (0, 0, Some(true)));
    assert!(empty.players.is_empty() && empty.unreadable == 0);
}

#[test]
fn names_that_try_to_be_something_else() {
    for name in [
        "",
        "\"",
        "\"\"\"",
        "#end",
        "# 3 1 \"x\" BOT active",
        "\" STEAM_1:0:1 0:01 \"",
        "BOT",
        "a|b",
        "\u{1}\u{3}red\u{1b}[31m",
        "名前 # 3",
        "players : 0 humans, 0 bots (4 max)",
        "x\" BOT active",
    ] {
        let text = VERSUS.replace("Zoey", name);
        let status = Status::parse(&text).unwrap();
        assert_eq!((status.players.len(), status.unreadable, status.humans), (5, 0, 3), "{name}");
        assert_eq!((status.players[0].name.as_str(), status.players[0].user_id), (name, 7));
        assert_eq!(status.players[0].steam_id.as_deref(), Some("STEAM_1:0:32599262"), "{name}");
    }
    let mut bytes = VERSUS.replace("Zoey", "Z?ey").into_bytes();
    let at = bytes.windows(4).position(|window| window == b"Z?ey").unwrap();
    bytes[at + 1] = 0xff;
    assert_eq!(Status::parse(&bytes).unwrap().players[0].name, "Z\u{fffd}ey");
}

#[test]
fn what_can_t_be_read_is_counted() {
    for row in [
        "#",
        "# x \"a\" BOT active",
        "# 1 2 3 \"a\" BOT active",
        "# 1 \"a\"",
        "# 1 \"a BOT active",
        "#4294967296 \"a\" BOT active",
        "# -1 \"a\" BOT active",
        "# 1 \"a\" STEAM_1:0:1 soon 66 0 active",
        "# 1 \"a\" STEAM_1:0:1 1:2:3:4 66 0 active",
        "# 1 \"a\" STEAM_1:0:1 00:60 66 0 active",
        "# 1 \"a\" STEAM_1:0:1 00:01 fast 0 active",
        "# 1 \"a\" STEAM_1:0:1 00:01 66",
    ] {
        let status = Status::parse(VERSUS.replace("#98 \"Tank\" BOT active", row)).unwrap();
        assert_eq!((status.players.len(), status.unreadable), (4, 1), "{row}");
        assert_eq!((status.humans, status.bots), (3, 2), "the counts are the server's");
    }
}

#[test]
fn nobody_takes_another_reply_for_an_empty_server() {
    for text in [
        "",
        "Unknown command \"status\"\n",
        "hostname: x\nmap     : y\n",
        "players : many humans, 0 bots\n",
        "players : \n",
        "players : -1 humans, 0 bots (4 max)\n",
        "# userid name\n#end\nplayers : 0 humans, 0 bots (4 max)\n",
    ] {
        assert_eq!(Status::parse(text), None, "{text}");
    }
}

#[test]
fn counts_of_older_games() {
    let text = VERSUS.replace("3 humans, 2 bots (8 max) (not hibernating) (reserved 18600006da65d55)", "5 (8/0 max)");
    let status = Status::parse(text).unwrap();
    assert_eq!((status.humans, status.bots, status.max), (3, 2, Some(8)));
    assert_eq!((status.hibernating, status.reserved), (None, None));
}

#[test]
fn ids_of_steam() {
    for id in ["STEAM_1:0:123", "STEAM_0:1:4", "[U:1:246]"] {
        assert!(is_steam_id(id), "{id}");
    }
    for id in ["", "STEAM_ID_PENDING", "STEAM_1:0", "STEAM_1:0:1:2", "STEAM_1:0:x", "[U:1]", "[U:1:2", "BOT", "[A:1:2]"]
    {
        assert!(!is_steam_id(id), "{id}");
    }
}
