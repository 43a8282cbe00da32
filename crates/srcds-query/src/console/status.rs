//! `status`: the server, and who is on it.

use std::time::Duration;

use super::lines;

/// What `status` says. Its counts are the server's own; the rows may be fewer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The name that the server gave itself.
    pub hostname: String,
    /// The game's version, `2.2.4.3`.
    pub version: String,
    /// VAC secured; none where the server does not say.
    pub secure: Option<bool>,
    /// The address that the game is bound to, `0.0.0.0:27015`.
    pub address: String,
    /// Its public address, as Steam sees it, where there is one.
    pub public_address: Option<String>,
    /// The map; empty while there is none.
    pub map: String,
    /// People who play or connect.
    pub humans: u32,
    /// Bots, the infected ones included.
    pub bots: u32,
    /// How many may play.
    pub max: Option<u32>,
    /// Whether the server sleeps because nobody is on it; none where it does not say.
    pub hibernating: Option<bool>,
    /// Whether a lobby has reserved it; none where it does not say.
    pub reserved: Option<bool>,
    /// The rows, in the server's order.
    pub players: Vec<StatusPlayer>,
    /// How many rows could not be read.
    pub unreadable: u32,
}

/// A row of `status`. Bots have no more than a number, a name and a state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusPlayer {
    /// The number that `kickid` takes; nobody else has it until the server ends.
    pub user_id: u32,
    /// Any text, which may imitate the rest of the row.
    pub name: String,
    /// `STEAM_1:0:123` or `[U:1:246]`; none for bots and while Steam has not answered yet.
    pub steam_id: Option<String>,
    /// No human.
    pub bot: bool,
    /// How long the player has been there.
    pub connected: Option<Duration>,
    /// Milliseconds.
    pub ping: Option<u32>,
    /// Lost packets, in percent.
    pub loss: Option<u32>,
    /// `active`, `spawning`, `connected`, …; empty where there is none.
    pub state: String,
    /// Bytes a second that the player's game asks for.
    pub rate: Option<u32>,
    /// The player's address, `192.0.2.1:27005` or `loopback`, where the server shows it.
    pub address: Option<String>,
}

impl Status {
    /// Reads what `status` replied; none where it says nothing of how many play, as then it is another command's reply.
    pub fn parse(reply: impl AsRef<[u8]>) -> Option<Self> {
        let text = String::from_utf8_lossy(reply.as_ref());
        let mut status = Self::default();
        let rows = lines(&text).filter_map(|line| line.strip_prefix('#'));
        for row in rows.take_while(|row| row.trim() != "end").filter(|row| !is_heading(row)) {
            match StatusPlayer::parse(row) {
                Some(player) => status.players.push(player),
                None => status.unreadable = status.unreadable.saturating_add(1),
            }
        }
        // The first line of each key: nothing below may speak for the server.
        let value = |key: &str| {
            let mut pairs = lines(&text).take_while(|line| !line.starts_with('#')).filter_map(|l| l.split_once(':'));
            pairs.find(|(found, _)| found.trim() == key).map_or("", |(_, value)| value.trim())
        };
        let first_word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
        status.hostname = value("hostname").to_owned();
        status.secure = choice(value("version").split_whitespace(), "secure", "insecure");
        status.version = first_word(value("version"));
        if matches!(status.version.as_str(), "secure" | "insecure") {
            status.version.clear();
        }
        status.address = first_word(value("udp/ip").split('[').next().unwrap_or_default());
        status.public_address = public_address(value("udp/ip"));
        status.map = first_word(value("map"));
        status.read_counts(value("players"))?;
        Some(status)
    }

    /// `4 humans, 0 bots (4 max) (not hibernating) (unreserved)`, or of older games `4 (8 max)`, bots included.
    fn read_counts(&mut self, text: &str) -> Option<()> {
        let (counts, remarks) = text.split_once('(').unwrap_or((text, ""));
        let words: Vec<&str> = counts.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        (self.humans, self.bots) = match words[..] {
            [humans, "human" | "humans", bots, "bot" | "bots"] => (number(humans)?, number(bots)?),
            [all] => {
                let bots = self.players.iter().filter(|player| player.bot).count();
                let bots = u32::try_from(bots).ok()?;
                (number(all)?.checked_sub(bots)?, bots)
            }
            _ => return None,
        };
        let remarks = || remarks.split(['(', ')']).map(str::trim);
        // `8/0 max` counts slots of two kinds.
        let max = remarks().find_map(|remark| remark.strip_suffix("max"));
        self.max = max.and_then(|max| number(max.split('/').next()?.trim()));
        self.hibernating = choice(remarks(), "hibernating", "not hibernating");
        self.reserved = choice(remarks().filter_map(|remark| remark.split(' ').next()), "reserved", "unreserved");
        Some(())
    }
}

impl StatusPlayer {
    /// A row without its `#`: `  7 1 "name" STEAM_1:0:1 28:40 66 0 active 30000`, with more or less at the end. Names hold
    /// quotes and all else, and nothing behind them does: so a name ends at the last quote.
    fn parse(row: &str) -> Option<Self> {
        let (numbers, rest) = row.split_once('"')?;
        let (name, rest) = rest.rsplit_once('"')?;
        let mut numbers = numbers.split_whitespace().map(number);
        let user_id = numbers.next()??;
        // Some builds print the slot, too.
        if numbers.next().is_some_and(|slot| slot.is_none()) || numbers.next().is_some() {
            return None;
        }
        let mut words = rest.split_whitespace();
        let id = words.next()?;
        let mut player = Self { user_id, name: name.to_owned(), ..Self::default() };
        if id == "BOT" {
            player.bot = true;
            player.state = words.next().unwrap_or_default().to_owned();
            return Some(player);
        }
        player.steam_id = is_steam_id(id).then(|| id.to_owned());
        player.connected = Some(duration(words.next()?)?);
        player.ping = Some(number(words.next()?)?);
        player.loss = Some(number(words.next()?)?);
        player.state = words.next()?.to_owned();
        let mut rest = words.peekable();
        player.rate = rest.peek().and_then(|word| number(word));
        if player.rate.is_some() {
            rest.next();
        }
        player.address = rest.next().map(str::to_owned);
        Some(player)
    }
}

/// ` userid name uniqueid connected …`
fn is_heading(row: &str) -> bool {
    row.split_whitespace().next() == Some("userid")
}

/// Which of two words is there.
fn choice<'a>(mut words: impl Iterator<Item = &'a str>, yes: &str, no: &str) -> Option<bool> {
    words.find(|word| *word == yes || *word == no).map(|word| word == yes)
}

/// `10.0.0.5:27015 [ public 198.51.100.7:27015 ]`
fn public_address(text: &str) -> Option<String> {
    let public = text.split_once("[ public ")?.1.split_whitespace().next()?;
    (public != "n/a").then(|| public.to_owned())
}

/// Digits alone: a sign is no part of any number here.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `mm:ss` or `h:mm:ss`.
fn duration(text: &str) -> Option<Duration> {
    let parts: Vec<u64> = text.split(':').map(|part| number(part).map(u64::from)).collect::<Option<_>>()?;
    let seconds = match parts[..] {
        [minutes, seconds @ ..60] => minutes * 60 + seconds,
        [hours, minutes @ ..60, seconds @ ..60] => hours * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// `STEAM_1:0:123` or `[U:1:246]`; not `STEAM_ID_PENDING` and its like.
fn is_steam_id(text: &str) -> bool {
    let numbers = |text: &str| text.split(':').filter(|part| number(part).is_some()).count();
    let (old, new) = (text.strip_prefix("STEAM_"), text.strip_prefix("[U:").and_then(|id| id.strip_suffix(']')));
    old.is_some_and(|id| numbers(id) == 3 && id.split(':').count() == 3)
        || new.is_some_and(|id| numbers(id) == 2 && id.split(':').count() == 2)
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
