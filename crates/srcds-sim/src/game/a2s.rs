//! A2S: what a server browser asks, answered as L4D2 does, with a challenge before everything.

use super::cvars::Cvars;
use super::players;

const HEADER: [u8; 4] = [0xff; 4];

/// An answer longer than this is split.
const MAX_PACKET: usize = 1248;

/// The cvars that a real server tells everybody.
const PUBLIC: [&str; 6] = ["mp_gamemode", "sv_alltalk", "sv_cheats", "sv_consistency", "sv_lan", "z_difficulty"];

/// The packets that answer one. The challenge is what this asker must repeat.
pub(super) fn answer(packet: &[u8], cvars: &Cvars, port: u16, challenge: u32) -> Vec<Vec<u8>> {
    let Some(request) = packet.strip_prefix(&HEADER) else { return Vec::new() };
    let (kind, given) = match request {
        [b'T', rest @ ..] => match rest.strip_prefix(b"Source Engine Query\0") {
            Some(given) => (b'T', given),
            None => return Vec::new(),
        },
        [kind @ (b'U' | b'V'), given @ ..] => (*kind, given),
        _ => return Vec::new(),
    };
    if given != challenge.to_le_bytes() {
        return vec![[&HEADER[..], b"A", &challenge.to_le_bytes()].concat()];
    }
    let reply = match kind {
        b'T' => info(cvars, port),
        b'U' => player_list(cvars),
        _ => rules(cvars),
    };
    split(&[&HEADER[..], &reply].concat(), challenge)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// A count in one byte.
fn byte(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn info(cvars: &Cvars, port: u16) -> Vec<u8> {
    let mut out = vec![b'I', 17];
    for field in [cvars.get("hostname"), cvars.get("map"), "left4dead2", "Left 4 Dead 2"] {
        text(&mut out, field);
    }
    out.extend_from_slice(&550_u16.to_le_bytes());
    let players = players::all(cvars);
    let bots = players.iter().filter(|player| player.bot).count();
    let password = u8::from(!cvars.get("sv_password").is_empty());
    out.extend_from_slice(&[byte(players.len()), players::slots(cvars), byte(bots), b'd', b'l', password, 1]);
    text(&mut out, cvars.get("sim_version"));
    // Port, SteamID, keywords and game id follow, as the flags say.
    out.push(0x80 | 0x10 | 0x20 | 0x01);
    out.extend_from_slice(&port.to_le_bytes());
    out.extend_from_slice(&90_000_000_000_000_000_u64.to_le_bytes());
    let empty = if players.is_empty() { "empty," } else { "" };
    text(&mut out, &format!("{},{empty}simulated", cvars.get("mp_gamemode")));
    out.extend_from_slice(&550_u64.to_le_bytes());
    out
}

fn player_list(cvars: &Cvars) -> Vec<u8> {
    let players = players::all(cvars);
    let mut out = vec![b'D', byte(players.len())];
    for player in players {
        // The real one says 0 for each, too.
        out.push(0);
        text(&mut out, &player.name);
        out.extend_from_slice(&u32::from(player.score).to_le_bytes());
        out.extend_from_slice(&f32::from(player.seconds).to_le_bytes());
    }
    out
}

fn rules(cvars: &Cvars) -> Vec<u8> {
    let mut rules = vec![("sim_motd".to_owned(), super::motd())];
    rules.extend(PUBLIC.map(|name| (name.to_owned(), cvars.get(name).to_owned())));
    let extra = cvars.number("sim_rules").unwrap_or(0_u16);
    rules.extend((0..extra).map(|n| (format!("sim_rule_{n}"), n.to_string())));
    let mut out = vec![b'E'];
    out.extend_from_slice(&u16::try_from(rules.len()).unwrap_or(u16::MAX).to_le_bytes());
    for (name, value) in rules {
        text(&mut out, &name);
        text(&mut out, &value);
    }
    out
}

/// A long answer in numbered pieces: -2, an id, how many, which one, and the size of a piece.
fn split(answer: &[u8], id: u32) -> Vec<Vec<u8>> {
    if answer.len() <= MAX_PACKET {
        return vec![answer.to_vec()];
    }
    let pieces: Vec<&[u8]> = answer.chunks(MAX_PACKET).collect();
    let total = byte(pieces.len());
    let size = u16::try_from(MAX_PACKET).unwrap_or(u16::MAX).to_le_bytes();
    // The highest bit of the id would say that it is compressed; to some clients the highest of its lower half does.
    let piece = |(number, piece): (u8, &&[u8])| {
        [&[0xfe, 0xff, 0xff, 0xff][..], &(id & 0x7fff).to_le_bytes(), &[total, number], &size, piece].concat()
    };
    (0..total).zip(&pieces).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &[u8], challenge: u32) -> Vec<Vec<u8>> {
        answer(&[&HEADER[..], request].concat(), &Cvars::new(), 27015, challenge)
    }

    #[test]
    fn nothing_is_told_without_the_challenge() {
        for request in [&b"TSource Engine Query\0"[..], b"U\xff\xff\xff\xff", b"V\xff\xff\xff\xff", b"V", b"U\x07"] {
            assert_eq!(ask(request, 7), [b"\xff\xff\xff\xffA\x07\0\0\0"], "{request:?}");
        }
        assert_eq!(ask(b"V\x07\0\0\0", 7)[0][4], b'E');
    }

    #[test]
    fn what_is_no_question_has_no_answer() {
        for packet in [&b""[..], b"\xff\xff\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\xffTfoo", b"\xff\xff\xff\xffZ"] {
            assert!(answer(packet, &Cvars::new(), 27015, 7).is_empty(), "{packet:?}");
        }
    }
}
