//! What must hold of whatever is read as a reply to `status`.

use super::{Status, StatusPlayer};

pub(crate) fn status(input: &[u8]) {
    let Some(status) = Status::parse(input) else { return };
    let Status { players, unreadable, .. } = &status;
    // Each row is one or the other.
    let rows = input.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"#")).count();
    assert!(players.len() + usize::try_from(*unreadable).unwrap_or(usize::MAX) <= rows);
    assert!(players.iter().all(|player| !player.name.contains('\n')));
    assert!(players.iter().all(|player| !player.bot || player.steam_id.is_none()));
    assert!(!status.hostname.contains('\n'));
    // Said in a server's own way, it is read as the same.
    let again = Status { unreadable: 0, ..status };
    assert_eq!(Status::parse(print(&again)), Some(again));
}

fn print(status: &Status) -> String {
    let secure = word(status.secure, ["secure", "insecure"]);
    let hibernating = word(status.hibernating, ["(hibernating)", "(not hibernating)"]);
    let reserved = word(status.reserved, ["(reserved 1)", "(unreserved)"]);
    let max = status.max.map_or(String::new(), |max| format!("({max} max)"));
    let public = status.public_address.as_deref().unwrap_or("n/a");
    let rows: String = status.players.iter().map(row).collect();
    format!(
        "hostname: {}\nversion : {} {secure}\nudp/ip  : {} [ public {public} ]\nmap     : {}\n\
         players : {} humans, {} bots {max} {hibernating} {reserved}\n\n\
         # userid name uniqueid connected ping loss state rate adr\n{rows}#end\n",
        status.hostname, status.version, status.address, status.map, status.humans, status.bots,
    )
}

fn word(choice: Option<bool>, [yes, no]: [&'static str; 2]) -> &'static str {
    choice.map_or("", |choice| if choice { yes } else { no })
}

fn row(player: &StatusPlayer) -> String {
    let StatusPlayer { user_id, name, state, .. } = player;
    if player.bot {
        return format!("#{user_id} \"{name}\" BOT {state}\n");
    }
    let id = player.steam_id.as_deref().unwrap_or("UNKNOWN");
    let seconds = player.connected.unwrap_or_default().as_secs();
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let connected = match u32::try_from(minutes) {
        Ok(minutes) => format!("{minutes:02}:{seconds:02}"),
        Err(_) => format!("{}:{:02}:{seconds:02}", minutes / 60, minutes % 60),
    };
    let (ping, loss) = (player.ping.unwrap_or(0), player.loss.unwrap_or(0));
    let rate = player.rate.map_or(String::new(), |rate| rate.to_string());
    let address = player.address.as_deref().unwrap_or_default();
    format!("# {user_id} 1 \"{name}\" {id} {connected} {ping} {loss} {state} {rate} {address}\n")
}
