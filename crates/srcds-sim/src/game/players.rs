//! Players who are not there, and what the console says of them.

use super::cvars::Cvars;

/// Names that a careless reader trips over.
const NAMES: [&str; 6] =
    ["Coach", "a \"quoted\" | name", "\u{1b}[31mred\u{1b}[0m", "名前 # 3", "#end", "\" STEAM_1:0:1 0:01 \""];

/// As many as an answer can count.
const MOST: usize = 255;

#[derive(Debug)]
pub(super) struct Player {
    pub(super) name: String,
    pub(super) bot: bool,
    pub(super) score: u16,
    pub(super) seconds: u16,
}

/// `sim_players` humans, then `sim_bots` bots.
pub(super) fn all(cvars: &Cvars) -> Vec<Player> {
    let count = |name: &str| cvars.number(name).unwrap_or(0_u16);
    let human = |n: u16| {
        let name = NAMES[usize::from(n) % NAMES.len()];
        let name = if usize::from(n) < NAMES.len() { name.to_owned() } else { format!("{name}({n})") };
        Player { name, bot: false, score: n, seconds: n.saturating_mul(700) }
    };
    let bot = |n: u16| Player { name: format!("Bot {n}"), bot: true, score: 0, seconds: 60 };
    (0..count("sim_players")).map(human).chain((0..count("sim_bots")).map(bot)).take(MOST).collect()
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
        "version : 2.2.4.3 9450 secure  (unknown)".to_owned(),
        format!("udp/ip  : 0.0.0.0:{port} [ public n/a ]"),
        "os      : Linux Dedicated (SIMULATED)".to_owned(),
        format!("map     : {}", cvars.get("map")),
        format!("players : {humans} humans, {bots} bots ({} max) ({hibernating}) (unreserved)", slots(cvars)),
        String::new(),
        "# userid name uniqueid connected ping loss state rate adr".to_owned(),
    ];
    lines.extend((2..).zip(&players).map(|(id, player)| row(id, player)));
    lines.push("#end\n".to_owned());
    lines.join("\n")
}

/// With the real one's whims: no space after `#` before a long number, and hours only where there are some.
fn row(id: usize, player: &Player) -> String {
    let name = &player.name;
    if player.bot {
        return format!("#{id} \"{name}\" BOT active");
    }
    let (hours, minutes, seconds) = (player.seconds / 3600, player.seconds / 60 % 60, player.seconds % 60);
    let connected =
        if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") };
    format!("#{id:>2} {id} \"{name}\" STEAM_1:0:{} {connected} 66 0 active 30000 192.0.2.{}:27005", 1000 + id, id % 255)
}
