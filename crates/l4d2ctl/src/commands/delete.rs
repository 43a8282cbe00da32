//! `l4d2ctl delete`.

use std::process::ExitCode;

use l4d2host::Revision;
use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name, parse_revision};
use crate::problem::Problem;
use crate::ui::Ui;

/// Stop an instance and remove it, with all that its server wrote
///
/// Overlays and the game stay. Deleting what is not there succeeds.
///
/// Example: l4d2ctl delete friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name)]
    name: InstanceName,
    /// Delete the instance only if it is at this revision
    #[arg(long, value_name = "REVISION", value_parser = parse_revision)]
    if_revision: Option<Revision>,
}

pub(crate) fn run(ui: &Ui, Args { name, if_revision }: Args) -> Result<ExitCode, Problem> {
    let existed = open_host(ui)?.delete(&name, if_revision.as_ref())?;
    ui.data(&json!({ "name": name.as_str(), "deleted": true, "existed": existed }), || match existed {
        true => format!("instance {name} deleted\n"),
        false => format!("instance {name} was not there\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}
