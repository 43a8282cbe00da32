//! `l4d2ctl prune`.

use std::process::ExitCode;

use super::open_host;
use crate::problem::Problem;
use crate::ui::Ui;

/// Remove builds of the game that nobody needs any more
///
/// Those that instances run on stay, the current one, and the newest --keep
/// others, to roll back to. What the builds in between have brought is folded
/// into those above them, and into the installation where no instance runs: by
/// links, which takes no room and no time.
///
/// Example: l4d2ctl prune
///          l4d2ctl prune --keep 0
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// How many builds to keep besides the current one
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 2)]
    keep: u32,
}

pub(crate) fn run(ui: &Ui, Args { keep }: Args) -> Result<ExitCode, Problem> {
    let pruned = open_host(ui)?.prune(usize::try_from(keep).unwrap_or(usize::MAX))?;
    ui.data(&pruned, || {
        let mut lines = Vec::new();
        if !pruned.dropped.is_empty() {
            let builds = if pruned.dropped.len() == 1 { "build" } else { "builds" };
            lines.push(format!("removed {builds} {}\n", pruned.dropped.join(", ")));
        }
        if !pruned.folded.is_empty() {
            lines.push(format!("folded into one layer: {}\n", pruned.folded.join(", ")));
        }
        if pruned.into_installation {
            lines.push("folded into the installation\n".to_owned());
        }
        if lines.is_empty() && !pruned.removed.is_empty() {
            lines.push(format!("removed {}, which nobody uses any more\n", pruned.removed.join(", ")));
        }
        if lines.is_empty() {
            return "nothing to remove\n".to_owned();
        }
        lines.concat()
    })?;
    Ok(ExitCode::SUCCESS)
}
