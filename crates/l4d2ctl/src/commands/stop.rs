//! `l4d2ctl stop`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;

use super::when::{When, Words};
use super::{open_host, parse_name};
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// Stop an instance, and keep it stopped after a reboot
///
/// The server is asked to end (SIGINT) and has 15 seconds to do so. Its files
/// stay.
///
/// With --when-empty it waits until nobody plays on it. Ctrl-C ends the waiting,
/// and players who were warned are told.
///
/// Example: l4d2ctl stop friday
///          l4d2ctl stop friday --when-empty=10min --warn "Maintenance"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    #[command(flatten)]
    when: When,
}

pub(crate) fn run(ui: &Ui, Args { name, when }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let words = Words { warning: "This server stops", what: "The stop" };
    when.each(ui, &host, std::slice::from_ref(&name), words, |name| Ok(host.stop(name)?))?;
    ui.data(&json!({ "name": name.as_str(), "stopped": true }), || format!("instance {name} stopped\n"))?;
    Ok(ExitCode::SUCCESS)
}
