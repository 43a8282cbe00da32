//! `l4d2ctl players`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;
use srcds_query::console::StatusPlayer;

use super::{open_host, parse_name};
use crate::completion;
use crate::figures::clock;
use crate::player;
use crate::problem::Problem;
use crate::table::{Cell, Column, table};
use crate::text;
use crate::ui::Ui;

/// Show who is on a server
///
/// As its console says: the number that `kick` takes, name, SteamID, time
/// connected, ping in milliseconds, lost packets in percent, and address. Bots
/// have no more than a number and a name.
///
/// Example: l4d2ctl players friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
}

pub(crate) fn run(ui: &Ui, Args { name }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let mut console = host.rcon(&name)?;
    let status = player::status(&mut console, &name)?;
    if status.unreadable > 0 {
        ui.note(&format!("{} of its lines could not be read and are left out", status.unreadable));
    }
    if status.players.is_empty() {
        ui.note("nobody is on it");
    }
    let players: Vec<_> = status.players.iter().map(object).collect();
    let document = json!({ "name": name.as_str(), "players": players, "unreadable": status.unreadable });
    let rows: Vec<[Cell; 7]> = status.players.iter().map(row).collect();
    ui.table(&document, |look| table(&TABLE, &rows, look))?;
    Ok(ExitCode::SUCCESS)
}

const TABLE: [Column; 7] = [
    Column::new("ID").right(),
    Column::new("NAME").cut_to(10),
    Column::new("STEAMID").cut_to(20),
    Column::new("CONNECTED").right(),
    Column::new("PING").right(),
    Column::new("LOSS").right(),
    Column::new("ADDRESS"),
];

fn row(player: &StatusPlayer) -> [Cell; 7] {
    let text = |text: &Option<String>| text.as_ref().map(|text| text::short(text, text::LONGEST_NAME));
    let steam_id = if player.bot { Some("BOT".to_owned()) } else { text(&player.steam_id) };
    [
        player.user_id.to_string().into(),
        text::short(&player.name, text::LONGEST_NAME).into(),
        Cell::or_dash(steam_id),
        Cell::or_dash(player.connected.map(clock)),
        Cell::or_dash(player.ping.map(|ping| ping.to_string())),
        Cell::or_dash(player.loss.map(|loss| loss.to_string())),
        Cell::or_dash(text(&player.address)),
    ]
}

fn object(player: &StatusPlayer) -> serde_json::Value {
    json!({
        "user_id": player.user_id,
        "name": player.name,
        "steam_id": player.steam_id,
        "bot": player.bot,
        "connected": player.connected.map(|time| time.as_secs()),
        "ping": player.ping,
        "loss": player.loss,
        "state": player.state,
        "address": player.address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use srcds_query::console::Status;

    #[test]
    fn a_long_name_does_not_make_every_row_as_long() {
        let long = "x".repeat(100_000);
        let rows: String =
            (10..1_000).map(|id| format!("# {id} \"a\" STEAM_1:0:{id} 00:10 1 0 active 1 h\n")).collect();
        let zeros = "0".repeat(100_000);
        let reply =
            format!("players : 1 humans, 0 bots\n# 1 \"{long}\" STEAM_1:0:{zeros}1 00:10 1 0 active 1 {long}\n{rows}");
        let status = Status::parse(reply).unwrap();
        let rows: Vec<[Cell; 7]> = status.players.iter().map(row).collect();
        let text = table(&TABLE, &rows, crate::ui::Look { width: None, coloured: false, utf8: true });
        assert_eq!(text.lines().count(), 992);
        assert!(text.len() < 500_000, "{} bytes", text.len());
    }
}
