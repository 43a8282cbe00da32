//! `l4d2ctl doctor`.

use std::process::ExitCode;

use l4d2host::{Check, CheckState};
use serde_json::json;

use super::open_host;
use crate::colour::{Tone, labels};
use crate::problem::Problem;
use crate::table::{Cell, Column, lines};
use crate::text::harmless;
use crate::ui::{Look, Ui};

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
    let document = json!({ "supervisor": host.supervisor_kind().as_str(), "healthy": healthy, "checks": checks });
    ui.table(&document, |look| table(&checks, look))?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const TABLE: [Column; 3] = [Column::new("STATE"), Column::new("CHECK"), Column::new("FOUND")];

/// Each check, and right below one that found something missing, what mends it.
fn table(checks: &[Check], look: Look) -> String {
    let row = |check: &Check| {
        let tone = match check.state {
            CheckState::Ok => Some(Tone::Good),
            CheckState::Missing => Some(Tone::Bad),
            CheckState::Optional => None,
        };
        [Cell::new(check.state.as_str(), tone), check.what.into(), check.found.as_str().into()]
    };
    let mut lines = lines(&TABLE, &checks.iter().map(row).collect::<Vec<_>>(), look).into_iter();
    let mut text = lines.next().unwrap_or_default();
    for (line, check) in lines.zip(checks) {
        text.push_str(&line);
        if let Some(fix) = check.fix.as_ref().filter(|_| check.state != CheckState::Ok) {
            let hint = format!("  hint: {}\n", harmless(fix.as_bytes(), false));
            text.push_str(&labels(&hint, look.coloured));
        }
    }
    text
}
