//! `l4d2ctl kick` and `l4d2ctl ban`.

use std::process::ExitCode;

use l4d2host::{Error, ErrorKind, Rcon, quoted};
use names::InstanceName;
use serde_json::json;
use srcds_query::console::StatusPlayer;

use super::{open_host, parse_name};
use crate::completion;
use crate::player::{self, SteamId};
use crate::problem::Problem;
use crate::text::short;
use crate::ui::Ui;

/// Throw a player out of an instance
///
/// The player is named by number (`#7`, as the console's `status` shows it),
/// SteamID, name, or a part of the name that nobody else has.
///
/// Example: l4d2ctl kick friday Zoey --reason 'too many bots'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct KickArgs {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// The player: a number, a SteamID, a name or a part of it
    player: String,
    /// What the player is told; a double quote becomes a single one
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Keep a player out of an instance
///
/// The player is named as for `kick`, or, when not there, by SteamID. A ban
/// without end is written to the game's cfg/banned_user.cfg; `exec
/// banned_user.cfg` in the spec's config reads it after a start, and `reset`
/// throws it away. One of some minutes ends with the server, too.
///
/// Example: l4d2ctl ban friday STEAM_1:0:123 --minutes 60
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BanArgs {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// The player: a number, a SteamID, a name or a part of it
    player: String,
    /// For so many minutes; 0: for good
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    minutes: u32,
    /// What the player is told; a double quote becomes a single one
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn kick(ui: &Ui, KickArgs { name, player: typed, reason }: KickArgs) -> Result<ExitCode, Problem> {
    let reason = reason.as_deref().map(quoted).transpose()?;
    let host = open_host(ui)?;
    let mut rcon = host.rcon(&name)?;
    let status = player::status(&mut rcon, &name)?;
    let player = player::find(&status, &typed, &name)?;
    let reply = throw_out(&mut rcon, &name, player, reason.as_deref())?;
    let document = json!({ "name": name.as_str(), "kicked": player::object(player), "reply": reply });
    ui.data(&document, || line(&format!("kicked {}", player::tell(player))))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn ban(ui: &Ui, BanArgs { name, player: typed, minutes, reason }: BanArgs) -> Result<ExitCode, Problem> {
    let reason = reason.as_deref().map(quoted).transpose()?;
    let host = open_host(ui)?;
    let mut rcon = host.rcon(&name)?;
    let status = player::status(&mut rcon, &name)?;
    let (player, id) = match (player::find(&status, &typed, &name), SteamId::parse(&typed)) {
        (Ok(player), _) => (Some(player), id_of(player)?),
        // Who is not there can be kept out all the same.
        (Err(Problem::Error(error)), Some(id)) if error.kind() == ErrorKind::NoSuchPlayer => (None, id),
        (Err(problem), _) => return Err(problem),
    };
    // Without quotes: Source takes an id apart at its colons, and puts it together again.
    let mut reply = run(&mut rcon, &format!("banid {minutes} {id}"))?;
    if minutes == 0 {
        reply += &run(&mut rcon, "writeid")?;
    }
    if let Some(player) = player {
        reply += &throw_out(&mut rcon, &name, player, reason.as_deref())?;
    }
    let document = json!({
        "name": name.as_str(),
        "banned": { "steam_id": id.to_string(), "minutes": minutes },
        "kicked": player.map(player::object),
        "reply": reply,
    });
    ui.data(&document, || {
        let long = if minutes == 0 { "for good".to_owned() } else { format!("for {minutes} min") };
        line(&match player {
            Some(player) => format!("banned {} {long}, and kicked", player::tell(player)),
            None => format!("banned {id} {long}; the player is not on the server"),
        })
    })?;
    Ok(ExitCode::SUCCESS)
}

fn id_of(player: &StatusPlayer) -> Result<SteamId, Problem> {
    let id = player.steam_id.as_deref().and_then(SteamId::parse);
    id.ok_or_else(|| {
        let what = if player.bot { "is a bot" } else { "has no SteamID yet" };
        let error =
            Error::new(ErrorKind::NoSuchPlayer, format!("{} {what}, and can't be banned", player::tell(player)));
        error.hint("`l4d2ctl kick` throws it out").into()
    })
}

/// By number, which means nobody else as long as the server runs, and sees that the player is gone.
fn throw_out(
    rcon: &mut Rcon,
    name: &InstanceName,
    player: &StatusPlayer,
    reason: Option<&str>,
) -> Result<String, Problem> {
    let mut command = format!("kickid {}", player.user_id);
    if let Some(reason) = reason {
        command.push(' ');
        command.push_str(reason);
    }
    let reply = run(rcon, &command)?;
    let left = player::status(rcon, name)?;
    if left.players.iter().any(|other| other.user_id == player.user_id) {
        let message = format!("{} is still on instance {name}", player::tell(player));
        return Err(Error::new(ErrorKind::NoAnswer, message)
            .because(format!("the game says: {}", short(&reply, 200)))
            .into());
    }
    Ok(reply)
}

fn run(rcon: &mut Rcon, command: &str) -> Result<String, Problem> {
    Ok(String::from_utf8_lossy(&rcon.run(command)?).into_owned())
}

fn line(text: &str) -> String {
    crate::text::harmless(text.as_bytes(), false) + "\n"
}
