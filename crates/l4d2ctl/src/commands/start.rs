//! `l4d2ctl start`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name, suggest};
use crate::problem::Problem;
use crate::ui::Ui;

/// Stage an instance's plan and start it
///
/// Everything that the server is to run from (layers, arguments, cfg files) is
/// staged as one snapshot, which a restart after a crash and a reboot use
/// again. An instance that runs is left as it is.
///
/// Example: l4d2ctl start friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name)]
    name: InstanceName,
}

pub(crate) fn run(ui: &Ui, Args { name }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let started = host.start(&name).map_err(|error| suggest(&host, &name, error))?;
    ui.data(&json!({ "name": name.as_str(), "started": started }), || match started.already_running {
        true => format!("instance {name} runs already: nothing was staged\n"),
        false => format!("instance {name} started\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}
