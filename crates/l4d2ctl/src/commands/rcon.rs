//! `l4d2ctl rcon`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name};
use crate::completion;
use crate::problem::Problem;
use crate::source;
use crate::ui::{Ui, write_game_output};

/// Run a command in an instance's console and print what it replies
///
/// One argument is a line of the console as it is, with `;` between commands.
/// Several are its words: each is quoted where it must be, so that none ends
/// early. On a terminal, control characters are shown as escapes; into a pipe
/// the reply goes as it came. The game does not say whether it knew a command.
///
/// Example: l4d2ctl rcon friday -- status
///          l4d2ctl rcon friday -- 'sv_alltalk 1; mp_gamemode versus'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// The command
    #[arg(required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(ui: &Ui, Args { name, command }: Args) -> Result<ExitCode, Problem> {
    let line = source::line(&command)?;
    let host = open_host(ui)?;
    let reply = host.rcon(&name)?.run(&line)?;
    if ui.is_json() {
        let text = String::from_utf8_lossy(&reply);
        ui.data(&json!({ "name": name.as_str(), "command": line, "reply": text }), String::new)?;
    } else {
        write_game_output(&reply)?;
    }
    Ok(ExitCode::SUCCESS)
}
