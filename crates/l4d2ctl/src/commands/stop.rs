//! `l4d2ctl stop`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name, suggest};
use crate::problem::Problem;
use crate::ui::Ui;

/// Stop an instance, and keep it stopped after a reboot
///
/// The server is asked to end (SIGINT) and has 15 seconds to do so. Its files
/// stay.
///
/// Example: l4d2ctl stop friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name)]
    name: InstanceName,
}

pub(crate) fn run(ui: &Ui, Args { name }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    host.stop(&name).map_err(|error| suggest(&host, &name, error))?;
    ui.data(&json!({ "name": name.as_str(), "stopped": true }), || format!("instance {name} stopped\n"))?;
    Ok(ExitCode::SUCCESS)
}
