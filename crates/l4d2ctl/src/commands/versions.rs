//! `l4d2ctl versions`.

use std::process::ExitCode;

use l4d2host::VersionStatus;
use names::InstanceName;
use serde_json::json;

use super::open_host;
use crate::figures;
use crate::problem::Problem;
use crate::table::{Cell, Column, table};
use crate::ui::Ui;

/// Show the builds of the game that are there, and who runs on them
///
/// The current one (*) is what instances are started on. SIZE is what a build's
/// own files take: what it shares with the one below it is not counted. Behind
/// the instances that run on a build stand those whose next start will be on it.
///
/// Example: l4d2ctl versions
///          l4d2ctl versions --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn run(ui: &Ui, Args {}: Args) -> Result<ExitCode, Problem> {
    let versions = open_host(ui)?.versions()?;
    if versions.is_empty() {
        ui.note("the game is not installed: `l4d2ctl install` brings it");
    }
    let now = figures::now();
    let rows: Vec<[Cell; 5]> = versions.iter().map(|version| row(version, now)).collect();
    ui.table(&json!({ "versions": versions }), |look| table(&TABLE, &rows, look))?;
    Ok(ExitCode::SUCCESS)
}

const TABLE: [Column; 5] = [
    Column::new("BUILD"),
    Column::new("INSTALLED").right(),
    Column::new("SIZE").right(),
    Column::new("RUNNING").cut_to(12),
    Column::new("AT NEXT START").cut_to(13),
];

fn row(status: &VersionStatus, now: u64) -> [Cell; 5] {
    let mark = if status.current { " *" } else { "" };
    let list = |names: &[InstanceName]| Cell::List(names.iter().map(ToString::to_string).collect());
    [
        format!("{}{mark}", status.version.id.as_str()).into(),
        Cell::or_dash(status.version.installed_at.map(|at| format!("{} ago", figures::ago(at, now)))),
        Cell::or_dash(status.own_size.map(figures::size)),
        list(&status.instances),
        list(&status.next_start),
    ]
}
