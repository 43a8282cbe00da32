//! What must hold of whatever a server sends.

use super::exchange::MAX_CHALLENGES;
use super::{Environment, Exchange, Info, MAX_PACKET, MAX_PIECES, MAX_REPLY, Player, Question, Rule, ServerType, Step};

/// What is read as info is read the same from what it is printed as.
pub(crate) fn info(input: &[u8]) {
    let Ok(info) = Info::parse(input) else { return };
    assert!(info.humans() <= info.players);
    assert_eq!(Info::parse(&print_info(&info)), Ok(info));
}

fn print_info(info: &Info) -> Vec<u8> {
    let mut out = vec![b'I', info.protocol];
    for field in [&info.name, &info.map, &info.folder, &info.game] {
        text(&mut out, field);
    }
    out.extend(info.app_id.to_le_bytes());
    let server_type = match info.server_type {
        ServerType::Dedicated => b'd',
        ServerType::Listen => b'l',
        ServerType::Proxy => b'p',
        ServerType::Other(byte) => byte,
    };
    let environment = match info.environment {
        Environment::Linux => b'l',
        Environment::Windows => b'w',
        Environment::Mac => b'm',
        Environment::Other(byte) => byte,
    };
    out.extend([info.players, info.max_players, info.bots, server_type, environment]);
    out.extend([u8::from(info.password), u8::from(info.secure)]);
    out.extend(if info.app_id == 2400 { &[0; 3][..] } else { &[] });
    text(&mut out, &info.version);
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    out.push(
        flag(info.port.is_some(), 0x80)
            | flag(info.steam_id.is_some(), 0x10)
            | flag(info.tv.is_some(), 0x40)
            | flag(info.keywords.is_some(), 0x20)
            | flag(info.game_id.is_some(), 0x01),
    );
    out.extend(info.port.into_iter().flat_map(u16::to_le_bytes));
    out.extend(info.steam_id.into_iter().flat_map(u64::to_le_bytes));
    if let Some(tv) = &info.tv {
        out.extend(tv.port.to_le_bytes());
        text(&mut out, &tv.name);
    }
    info.keywords.iter().for_each(|keywords| text(&mut out, keywords));
    out.extend(info.game_id.into_iter().flat_map(u64::to_le_bytes));
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    assert!(!text.contains('\0'));
    out.extend(text.as_bytes());
    out.push(0);
}

/// As many players and rules as are announced, and none that the bytes do not hold.
pub(crate) fn lists(input: &[u8]) {
    if let Ok(players) = Player::parse_all(input) {
        assert_eq!(players.len(), usize::from(input[1]));
        assert!(2 + players.len() * 10 <= input.len());
        let mut out = vec![b'D', input[1]];
        for player in &players {
            out.push(0);
            text(&mut out, &player.name);
            out.extend(player.score.to_le_bytes());
            out.extend(player.duration.as_secs_f32().to_le_bytes());
        }
        // A time loses what a float has no room for.
        let rounded = |players: Vec<Player>| players.into_iter().map(|player| (player.name, player.score)).collect();
        let again: Result<Vec<_>, _> = Player::parse_all(&out).map(rounded);
        assert_eq!(again, Ok(rounded(players)));
    }
    if let Ok(rules) = Rule::parse_all(input) {
        assert_eq!(rules.len(), usize::from(u16::from_le_bytes([input[1], input[2]])));
        assert!(3 + rules.len() * 2 <= input.len());
        let mut out = vec![b'E', input[1], input[2]];
        for rule in &rules {
            text(&mut out, &rule.name);
            text(&mut out, &rule.value);
        }
        assert_eq!(Rule::parse_all(&out), Ok(rules));
    }
}

/// A reply in pieces, in any order and with some that come twice, is the same as in one packet. The first byte says how it
/// is cut, the second with which they begin and whether any come twice.
pub(crate) fn pieces(input: &[u8]) {
    let [size, order, reply @ ..] = input else { return };
    let packet = [&[0xff; 4][..], reply].concat();
    let size = (usize::from(*size) + 1).max(packet.len().div_ceil(MAX_PIECES));
    if packet.len() > MAX_PACKET {
        return;
    }
    let parts: Vec<&[u8]> = packet.chunks(size).collect();
    for question in [Question::Info, Question::Players, Question::Rules] {
        let whole = Exchange::new(question).receive(&packet);
        let mut exchange = Exchange::new(question);
        let mut last = Ok(Step::Wait);
        for n in 0..parts.len() {
            let number = (n + usize::from(*order)) % parts.len();
            assert_eq!(last, Ok(Step::Wait), "before the last piece there is nothing");
            let [total, number_byte] = [parts.len(), number].map(|n| u8::try_from(n).unwrap_or(u8::MAX));
            let header = [0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, total, number_byte, 0, 0];
            let piece = [&header[..], parts[number]].concat();
            last = exchange.receive(&piece);
            if n + 1 < parts.len() && order % 2 == 0 {
                assert_eq!(exchange.receive(&piece), Ok(Step::Wait), "one that comes twice does no harm");
            }
        }
        assert_eq!(last, whole);
    }
}

/// Packets one after the other, each after its length in two bytes: a bounded number of requests goes out, and a bounded
/// number of bytes is kept.
pub(crate) fn exchange(input: &[u8]) {
    for question in [Question::Info, Question::Players, Question::Rules] {
        let (mut exchange, mut sends, mut rest) = (Exchange::new(question), 0, input);
        while let Some(([a, b], after)) = rest.split_first_chunk() {
            let (packet, next) = after.split_at(usize::from(u16::from_le_bytes([*a, *b])).min(after.len()));
            rest = next;
            match exchange.receive(packet) {
                Ok(Step::Send) => sends += 1,
                Ok(Step::Wait) => {}
                Ok(Step::Done(_)) | Err(_) => break,
            }
            assert!(exchange.request().len() <= 29);
            assert!(exchange.kept() <= 2 * MAX_REPLY);
        }
        assert!(sends <= MAX_CHALLENGES);
    }
}
