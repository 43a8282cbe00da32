//! A2S: what a server browser asks, answered as L4D2 does, with a challenge before everything.

use super::cvars::Cvars;

const HEADER: [u8; 4] = [0xff; 4];

/// An answer longer than this is split.
const MAX_PACKET: usize = 1248;

/// The packets that answer one.
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
        b'U' => players(cvars),
        _ => rules(cvars),
    };
    split(&[&HEADER[..], &reply].concat(), challenge)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn info(cvars: &Cvars, port: u16) -> Vec<u8> {
    let mut out = vec![b'I', 17];
    for field in [cvars.get("hostname"), cvars.map(), "left4dead2", "Left 4 Dead 2"] {
        text(&mut out, field);
    }
    out.extend_from_slice(&550_u16.to_le_bytes());
    let (humans, bots) = (cvars.number("sim_players").unwrap_or(0_u8), cvars.number("sim_bots").unwrap_or(0_u8));
    out.extend_from_slice(&[humans.saturating_add(bots), 4, bots, b'd', b'l', 0, 1]);
    text(&mut out, "2.2.4.3");
    // Port, SteamID, keywords and game id follow, as the flags say.
    out.push(0x80 | 0x10 | 0x20 | 0x01);
    out.extend_from_slice(&port.to_le_bytes());
    out.extend_from_slice(&90_000_000_000_000_000_u64.to_le_bytes());
    text(&mut out, "coop,empty,simulated");
    out.extend_from_slice(&550_u64.to_le_bytes());
    out
}

/// Fake players, with names that a careless reader trips over.
fn players(cvars: &Cvars) -> Vec<u8> {
    const NAMES: [&str; 4] = ["Coach", "a \"quoted\" | name", "\u{1b}[31mred\u{1b}[0m", "名前 # 3"];
    let count = cvars.number("sim_players").unwrap_or(0_u8);
    let mut out = vec![b'D', count];
    for index in 0..count {
        out.push(index);
        text(&mut out, NAMES[usize::from(index) % NAMES.len()]);
        out.extend_from_slice(&u32::from(index).to_le_bytes());
        out.extend_from_slice(&(60.0 * f32::from(index)).to_le_bytes());
    }
    out
}

fn rules(cvars: &Cvars) -> Vec<u8> {
    let motd = std::fs::read_to_string("left4dead2/motd.txt").unwrap_or_default();
    let mut rules = vec![("sim_motd".to_owned(), motd.lines().next().unwrap_or_default().to_owned())];
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
    let total = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
    let size = u16::try_from(MAX_PACKET).unwrap_or(u16::MAX).to_le_bytes();
    let piece = |(number, piece): (u8, &&[u8])| {
        [&[0xfe, 0xff, 0xff, 0xff][..], &(id & 0x7fff_ffff).to_le_bytes(), &[total, number], &size, piece].concat()
    };
    (0..total).zip(&pieces).map(piece).collect()
}
