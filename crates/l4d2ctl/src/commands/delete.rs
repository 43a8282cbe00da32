//! `l4d2ctl delete`.

use std::process::ExitCode;

use l4d2host::Revision;
use names::InstanceName;
use serde_json::json;

use super::when::{When, Words};
use super::{open_host, parse_name, parse_revision};
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// Stop an instance and remove it, with all that its server wrote
///
/// Overlays and the game stay. Deleting what is not there succeeds.
///
/// With --when-empty it waits until nobody plays on it. Ctrl-C ends the waiting,
/// and players who were warned are told.
///
/// Example: l4d2ctl delete friday
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    /// Delete the instance only if it is at this revision
    #[arg(long, value_name = "REVISION", value_parser = parse_revision)]
    if_revision: Option<Revision>,
    #[command(flatten)]
    when: When,
}

pub(crate) fn run(ui: &Ui, Args { name, if_revision, when }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let words = Words { warning: "This server is closed", what: "The end of this server" };
    // Before anybody is waited for.
    host.check_delete(&name, if_revision.as_ref())?;
    let mut existed = false;
    when.each(ui, &host, std::slice::from_ref(&name), words, |name| {
        existed = host.delete(name, if_revision.as_ref())?;
        Ok(())
    })?;
    if !existed && let Some(close) = host.closest_instance(&name)? {
        ui.note(&format!("hint: did you mean {close}? `l4d2ctl status` lists all"));
    }
    ui.data(&json!({ "name": name.as_str(), "deleted": true, "existed": existed }), || match existed {
        true => format!("instance {name} deleted\n"),
        false => format!("instance {name} was not there\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}
