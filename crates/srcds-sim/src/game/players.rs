//! Players who are not there, and what the console says of them.

use super::cvars::Cvars;

/// Names that a careless reader trips over.
const NAMES: [&str; 6] =
    ["Coach", "a \"quoted\" | name", "\u{1b}[31mred\u{1b}[0m", "名前 # 3", "#end", "\" STEAM_1:0:1 0:01 \""];

/// As many as an answer can count.
const MOST: usize = 255;

#[derive(Debug)]
pub(super) struct Player {
    /// What `kickid` takes.
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) bot: bool,
    pub(super) score: u16,
    pub(super) seconds: u16,
}

/// Who was thrown out, by number, and who is banned, by SteamID: words of these cvars.
const GONE: &str = "sim_gone";
const BANNED: &str = "sim_banned";

/// `sim_players` humans, then `sim_bots` bots, without those who were thrown out.
pub(super) fn all(cvars: &Cvars) -> Vec<Player> {
    let count = |name: &str| cvars.number(name).unwrap_or(0_u16);
    let human = |n: u16| {
        let name = NAMES[usize::from(n) % NAMES.len()];
        let name = if usize::from(n) < NAMES.len() { name.to_owned() } else { format!("{name}({n})") };
        Player { id: n.saturating_add(2), name, bot: false, score: n, seconds: n.saturating_mul(700) }
    };
    let first_bot = count("sim_players").saturating_add(2);
    let bot =
        |n: u16| Player { id: first_bot.saturating_add(n), name: format!("Bot {n}"), bot: true, score: 0, seconds: 60 };
    let there = |player: &Player| !has(cvars, GONE, &player.id.to_string());
    let everybody = (0..count("sim_players")).map(human).chain((0..count("sim_bots")).map(bot));
    everybody.filter(there).take(MOST).collect()
}

/// Throws a player out, by number or by name, and says so as the real one does.
pub(super) fn kick(cvars: &mut Cvars, player: &str, reason: &str) -> String {
    let is_meant =
        |other: &Player| [&other.id.to_string(), &other.name, &other.steam_id()].iter().any(|a| *a == player);
    let Some(player) = all(cvars).into_iter().find(is_meant) else { return format!("Can't find {player}\n") };
    add(cvars, GONE, &player.id.to_string());
    let by = if reason.is_empty() { "Kicked by Console".to_owned() } else { format!("Kicked by Console : {reason}") };
    super::say(&format!("Dropped {} from server ({by})", player.name));
    String::new()
}

/// Bans a player, by number or by SteamID.
pub(super) fn ban(cvars: &mut Cvars, player: &str) -> Option<String> {
    let by_number = all(cvars).iter().find(|other| !other.bot && other.id.to_string() == player).map(Player::steam_id);
    let id = by_number.or_else(|| player.starts_with("STEAM_").then(|| player.to_owned()))?;
    add(cvars, BANNED, &id);
    Some(id)
}

/// The lines of `banned_user.cfg`.
pub(super) fn bans(cvars: &Cvars) -> String {
    cvars.get(BANNED).split_whitespace().map(|id| format!("banid 0 {id}\n")).collect()
}

/// Those who were thrown out come back; nobody banned does.
pub(super) fn come_back(cvars: &mut Cvars) {
    cvars.set(GONE, "");
    let banned: Vec<u16> =
        all(cvars).iter().filter(|p| !p.bot && has(cvars, BANNED, &p.steam_id())).map(|player| player.id).collect();
    for id in banned {
        add(cvars, GONE, &id.to_string());
    }
}

fn has(cvars: &Cvars, list: &str, word: &str) -> bool {
    cvars.get(list).split_whitespace().any(|other| other == word)
}

fn add(cvars: &mut Cvars, list: &str, word: &str) {
    let words = format!("{} {word}", cvars.get(list));
    cvars.set(list, words.trim_start());
}

impl Player {
    fn steam_id(&self) -> String {
        format!("STEAM_1:0:{}", 1000 + u32::from(self.id))
    }
}

/// How many may play: two teams in the modes that have two.
pub(super) fn slots(cvars: &Cvars) -> u8 {
    if matches!(cvars.get("mp_gamemode"), "versus" | "scavenge" | "teamversus" | "mutation12") { 8 } else { 4 }
}

/// The console's `status`, in L4D2's layout.
pub(super) fn status(cvars: &Cvars, port: u16) -> String {
    let players = all(cvars);
    let bots = players.iter().filter(|player| player.bot).count();
    let humans = players.len() - bots;
    let hibernating = if humans == 0 { "hibernating" } else { "not hibernating" };
    let mut lines = vec![
        format!("hostname: {}", cvars.get("hostname")),
        format!("version : {} 9450 secure  (unknown)", cvars.get("sim_version")),
        format!("udp/ip  : 0.0.0.0:{port} [ public n/a ]"),
        "os      : Linux Dedicated (SIMULATED)".to_owned(),
        format!("map     : {}", cvars.get("map")),
        format!("players : {humans} humans, {bots} bots ({} max) ({hibernating}) (unreserved)", slots(cvars)),
        String::new(),
        "# userid name uniqueid connected ping loss state rate adr".to_owned(),
    ];
    lines.extend(players.iter().map(row));
    lines.push("#end\n".to_owned());
    lines.join("\n")
}

/// With the real one's whims: no space after `#` before a long number, and hours only where there are some.
fn row(player: &Player) -> String {
    let Player { id, name, .. } = player;
    if player.bot {
        return format!("#{id} \"{name}\" BOT active");
    }
    let (hours, minutes, seconds) = (player.seconds / 3600, player.seconds / 60 % 60, player.seconds % 60);
    let connected =
        if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") };
    format!("#{id:>2} {id} \"{name}\" {} {connected} 66 0 active 30000 192.0.2.{}:27005", player.steam_id(), id % 255)
}
