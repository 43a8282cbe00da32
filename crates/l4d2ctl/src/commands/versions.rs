//! `l4d2ctl versions`.

use std::process::ExitCode;

use l4d2host::VersionStatus;
use names::InstanceName;
use serde_json::json;

use super::install::size;
use super::open_host;
use crate::problem::Problem;
use crate::text;
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
    ui.data(&json!({ "versions": versions }), || table(&versions))?;
    Ok(ExitCode::SUCCESS)
}

fn table(versions: &[VersionStatus]) -> String {
    if versions.is_empty() {
        return String::new();
    }
    let now = text::now();
    let rows: Vec<[String; 5]> = versions.iter().map(|version| row(version, now)).collect();
    text::table(&["BUILD", "INSTALLED", "SIZE", "RUNNING", "AT NEXT START"], &rows)
}

fn row(status: &VersionStatus, now: u64) -> [String; 5] {
    let dash = || "-".to_owned();
    let mark = if status.current { " *" } else { "" };
    [
        format!("{}{mark}", status.version.id.as_str()),
        status.version.installed_at.map_or_else(dash, |at| format!("{} ago", text::ago(at, now))),
        status.own_size.map_or_else(dash, size),
        list(&status.instances),
        list(&status.next_start),
    ]
}

/// As many names as a column holds.
fn list(names: &[InstanceName]) -> String {
    const MOST: usize = 4;
    let some = names.iter().take(MOST).map(InstanceName::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "-".to_owned(),
        1..=MOST => some,
        all => format!("{some} and {} more", all - MOST),
    }
}
