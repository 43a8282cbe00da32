//! `l4d2ctl reset`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name, suggest};
use crate::problem::Problem;
use crate::ui::Ui;

/// Stop an instance and throw away all that its server wrote
///
/// The instance itself, its spec and its overlays stay.
///
/// Example: l4d2ctl reset friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name)]
    name: InstanceName,
}

pub(crate) fn run(ui: &Ui, Args { name }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    host.reset(&name).map_err(|error| suggest(&host, &name, error))?;
    ui.data(&json!({ "name": name.as_str(), "reset": true }), || format!("instance {name} reset\n"))?;
    Ok(ExitCode::SUCCESS)
}
