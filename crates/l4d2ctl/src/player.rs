//! Which player is meant: by number, SteamID or name.

use l4d2host::{Error, ErrorKind, Rcon};
use names::InstanceName;
use serde_json::json;
use srcds_query::console::{Status, StatusPlayer};

use crate::problem::Problem;
use crate::text::{LONGEST_NAME, first_of, short};

/// Valve's number of the first 64-bit id of a person.
const FIRST_64: u64 = 76_561_197_960_265_728;

/// An account of Steam, however it was written: `STEAM_1:0:123`, `[U:1:246]` or `76561197960265974`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SteamId(u32);

impl SteamId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix("[U:1:").and_then(|text| text.strip_suffix(']')) {
            return Some(Self(digits(number)?.try_into().ok()?));
        }
        let Some(parts) = text.strip_prefix("STEAM_") else {
            return Some(Self(digits(text)?.checked_sub(FIRST_64)?.try_into().ok()?));
        };
        match parts.split(':').collect::<Vec<_>>()[..] {
            ["0" | "1", lowest @ ("0" | "1"), rest] => {
                Some(Self((digits(rest)?.checked_mul(2)? + u64::from(lowest == "1")).try_into().ok()?))
            }
            _ => None,
        }
    }

    fn of(player: &StatusPlayer) -> Option<Self> {
        Self::parse(player.steam_id.as_deref()?)
    }
}

impl std::fmt::Display for SteamId {
    /// As L4D2 writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "STEAM_1:{}:{}", self.0 % 2, self.0 / 2)
    }
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Asks the server who is on it.
pub(crate) fn status(rcon: &mut Rcon, name: &InstanceName) -> Result<Status, Problem> {
    let reply = rcon.run("status")?;
    Status::parse(&reply).ok_or_else(|| {
        let shown = short(&String::from_utf8_lossy(&reply), 200);
        let message = format!("instance {name} does not answer `status` as it should");
        let hint = format!("`l4d2ctl rcon {name} -- status` shows its whole reply");
        Error::new(ErrorKind::NoAnswer, message).because(shown).hint(hint).into()
    })
}

/// The one player whom `typed` means: the number as `status` shows it (`#7` is never taken for a name), a SteamID, the
/// whole name or, if it is nobody's, a part of it in any case.
pub(crate) fn find<'a>(status: &'a Status, typed: &str, name: &InstanceName) -> Result<&'a StatusPlayer, Problem> {
    if typed.is_empty() {
        return Err(Problem::new(ErrorKind::Usage, "the player has no name: everybody could be meant"));
    }
    let number = digits(typed.strip_prefix('#').unwrap_or(typed)).and_then(|number| u32::try_from(number).ok());
    let id = SteamId::parse(typed);
    let by_number = |player: &StatusPlayer| number == Some(player.user_id);
    let exactly = |player: &StatusPlayer| {
        by_number(player) || player.name == typed || (id.is_some() && SteamId::of(player) == id)
    };
    let part = typed.to_lowercase();
    let roughly = |player: &StatusPlayer| player.name.to_lowercase().contains(&part);
    let all = |is: &dyn Fn(&StatusPlayer) -> bool| status.players.iter().filter(|p| is(p)).collect::<Vec<_>>();
    let mut meant = match number {
        Some(_) if typed.starts_with('#') => all(&by_number),
        _ => all(&exactly),
    };
    if meant.is_empty() && number.is_none() && id.is_none() {
        meant = all(&roughly);
    }
    match meant[..] {
        [player] => Ok(player),
        [] => Err(nobody(status, typed, name).into()),
        [first, ..] => {
            let told = first_of(meant.iter().map(|player| tell(player)));
            let message = format!("{typed} may be {} players of instance {name}: {told}", meant.len());
            let hint = format!("a number means one: '#{}' is the first", first.user_id);
            Err(Error::new(ErrorKind::AmbiguousPlayer, message).hint(hint).into())
        }
    }
}

fn nobody(status: &Status, typed: &str, name: &InstanceName) -> Error {
    let told = first_of(status.players.iter().map(tell));
    let mut hint = if told.is_empty() { "nobody is on it".to_owned() } else { format!("on it: {told}") };
    if status.unreadable > 0 {
        hint.push_str(&format!(
            "; and {} whose lines can't be read: `l4d2ctl rcon {name} -- status`",
            status.unreadable
        ));
    }
    Error::new(ErrorKind::NoSuchPlayer, format!("no player of instance {name} is {typed}")).hint(hint)
}

/// A player for people.
pub(crate) fn tell(player: &StatusPlayer) -> String {
    let id = if player.bot { "bot" } else { player.steam_id.as_deref().unwrap_or("no SteamID yet") };
    format!("#{} \"{}\" ({})", player.user_id, short(&player.name, LONGEST_NAME), short(id, LONGEST_NAME))
}

/// A player for programs.
pub(crate) fn object(player: &StatusPlayer) -> serde_json::Value {
    json!({ "user_id": player.user_id, "name": player.name, "steam_id": player.steam_id, "bot": player.bot })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Status {
        Status::parse(
            "players : 5 humans, 1 bots (8 max)\n\
             # 2 \"Zoey\" STEAM_1:0:123 00:10 1 0 active\n\
             # 3 \"zoey two\" STEAM_1:1:123 00:10 1 0 active\n\
             # 4 \"7\" [U:1:300] 00:10 1 0 active\n\
             # 7 \"\"; quit; \"\" STEAM_ID_PENDING 00:10 1 0 spawning\n\
             # 9 \"#2\" STEAM_1:0:9 00:10 1 0 active\n\
             #11 \"Tank\" BOT active\n#end\n",
        )
        .unwrap()
    }

    fn found(typed: &str) -> Result<u32, ErrorKind> {
        match find(&server(), typed, &"friday".parse().unwrap()) {
            Ok(player) => Ok(player.user_id),
            Err(Problem::Error(error)) => Err(error.kind()),
            Err(Problem::ClosedPipe) => Err(ErrorKind::Internal),
        }
    }

    #[test]
    fn a_crowd_is_told_of_in_a_line() {
        let long = "x".repeat(100_000);
        let rows: String =
            (1..1_000).map(|id| format!("# {id} \"{long}\" STEAM_1:0:{id} 00:10 1 0 active\n")).collect();
        let status = Status::parse(format!("players : 1 humans, 0 bots\n{rows}")).unwrap();
        for typed in ["x", "Bill"] {
            let problem = find(&status, typed, &"friday".parse().unwrap()).unwrap_err().for_people();
            assert!(problem.contains("#1 \"xxx") && problem.contains("and 989 more"), "{} bytes", problem.len());
            assert!(problem.len() < 2_000, "{} bytes", problem.len());
        }
    }

    #[test]
    fn who_is_meant() {
        for (typed, number) in [
            ("Zoey", 2),
            ("zoey two", 3),
            ("TWO", 3),
            ("2", 2),
            ("#2", 2),
            ("#7", 7),
            ("STEAM_1:0:123", 2),
            ("STEAM_0:0:123", 2),
            ("[U:1:247]", 3),
            ("76561197960265974", 2),
            ("quit", 7),
            ("tank", 11),
        ] {
            assert_eq!(found(typed), Ok(number), "{typed}");
        }
        // The number of one, the name of another.
        for typed in ["7", "zoey", "o"] {
            assert_eq!(found(typed), Err(ErrorKind::AmbiguousPlayer), "{typed}");
        }
        for typed in ["Bill", "#12", "12", "STEAM_1:0:124", "STEAM_1:0", "4294967296"] {
            assert_eq!(found(typed), Err(ErrorKind::NoSuchPlayer), "{typed}");
        }
        assert_eq!(found(""), Err(ErrorKind::Usage));
    }

    #[test]
    fn ids_however_they_are_written() {
        for text in ["STEAM_1:0:123", "STEAM_0:0:123", "[U:1:246]", "76561197960265974"] {
            assert_eq!(SteamId::parse(text).unwrap().to_string(), "STEAM_1:0:123", "{text}");
        }
        for text in ["", "123", "STEAM_1:2:3", "STEAM_2:0:3", "STEAM_1:0:-3", "[U:2:3]", "STEAM_1:0:4294967296", "BOT"]
        {
            assert_eq!(SteamId::parse(text), None, "{text}");
        }
    }
}
