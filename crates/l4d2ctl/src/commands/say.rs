//! `l4d2ctl say`.

use std::process::ExitCode;

use l4d2host::quoted;
use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name};
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// Say something in an instance's chat
///
/// Whatever is typed is text: `;` ends nothing. A double quote becomes a single
/// one, as the console has no way to say it.
///
/// Example: l4d2ctl say friday restart in five minutes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// What to say; several words may stand without quotes
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
}

pub(crate) fn run(ui: &Ui, Args { name, text }: Args) -> Result<ExitCode, Problem> {
    let text = text.join(" ");
    let command = format!("say {}", quoted(&text)?);
    let host = open_host(ui)?;
    host.rcon(&name)?.run(&command)?;
    ui.data(&json!({ "name": name.as_str(), "said": text }), String::new)?;
    Ok(ExitCode::SUCCESS)
}
