//! `l4d2ctl overlays`.

use std::process::ExitCode;

use l4d2host::OverlayStatus;
use names::{InstanceName, NameError, OverlayRef};
use serde_json::json;

use super::open_host;
use crate::completion;
use crate::problem::Problem;
use crate::table::{Cell, Column, table};
use crate::ui::Ui;

/// Show the overlays that are there, and whose specs name them
///
/// An overlay is a directory below `overlays` in the root directory that is laid
/// out like the game: it has a directory left4dead2. What a spec names is shown
/// in any case, as `missing` where it is not there. Changes of an overlay that a
/// running server uses are undefined: make a new one, and have specs name that.
///
/// Example: l4d2ctl overlays
///          l4d2ctl overlays competitive/base
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Only these
    #[arg(value_name = "REF", value_parser = parse_ref, add = completion::overlays())]
    refs: Vec<OverlayRef>,
}

fn parse_ref(text: &str) -> Result<OverlayRef, String> {
    text.parse().map_err(|error: NameError| error.to_string())
}

pub(crate) fn run(ui: &Ui, Args { refs }: Args) -> Result<ExitCode, Problem> {
    let overlays = open_host(ui)?.overlays(&refs)?;
    if overlays.is_empty() {
        ui.note("there is no overlay: put one into the directory `overlays`, and name it in a spec");
    }
    let rows: Vec<[Cell; 3]> = overlays.iter().map(row).collect();
    ui.table(&json!({ "overlays": overlays }), |look| table(&TABLE, &rows, look))?;
    Ok(ExitCode::SUCCESS)
}

const TABLE: [Column; 3] = [Column::new("OVERLAY"), Column::new("USED BY").cut_to(12), Column::new("NOTE")];

fn row(status: &OverlayStatus) -> [Cell; 3] {
    [
        status.overlay.to_string().into(),
        Cell::List(status.instances.iter().map(InstanceName::to_string).collect()),
        if status.exists { "" } else { "missing" }.into(),
    ]
}
