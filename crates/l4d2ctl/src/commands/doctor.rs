//! `l4d2ctl doctor`.

use std::process::ExitCode;

use l4d2host::CheckState;
use serde_json::json;

use super::open_host;
use crate::problem::Problem;
use crate::text::harmless;
use crate::ui::Ui;

/// Check what this host must provide, and say how to provide it
///
/// A line for each thing: ok, missing, or optional where the supervisor in use
/// does without. Exit code 1 if something that is needed is missing.
///
/// Example: l4d2ctl doctor
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn run(ui: &Ui, Args {}: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let checks = host.doctor();
    let healthy = checks.iter().all(|check| check.state != CheckState::Missing);
    ui.data(&json!({ "supervisor": host.supervisor_kind().as_str(), "healthy": healthy, "checks": checks }), || {
        let mut text = String::new();
        for check in &checks {
            text.push_str(&format!(
                "{:9} {:22} {}\n",
                check.state.as_str(),
                check.what,
                harmless(check.found.as_bytes(), false)
            ));
            if let (Some(fix), true) = (&check.fix, check.state != CheckState::Ok) {
                text.push_str(&format!("{:9} {:22} mend it: {fix}\n", "", ""));
            }
        }
        text
    })?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
