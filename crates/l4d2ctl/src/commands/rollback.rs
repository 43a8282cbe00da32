//! `l4d2ctl rollback`.

use std::process::ExitCode;

use serde_json::json;

use super::open_host;
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// Start instances on an earlier build of the game from now on
///
/// Without BUILD it is the one before the current one. What runs goes on as it
/// is: each instance is on it from its next start on, and `l4d2ctl rollout`
/// restarts those that are not. A later build is given by its number, and goes
/// forward again.
///
/// Example: l4d2ctl rollback
///          l4d2ctl rollback 9450001
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The build, as `l4d2ctl versions` shows it
    #[arg(add = completion::builds())]
    build: Option<String>,
}

pub(crate) fn run(ui: &Ui, Args { build }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let version = host.rollback(build.as_deref())?;
    let event = json!({ "version": version.id.as_str(), "build_id": version.build_id });
    ui.data(&event, || format!("instances start on build {} from now on\n", version.id.as_str()))?;
    super::install::tell_who_waits(ui, &host)?;
    Ok(ExitCode::SUCCESS)
}
