//! `l4d2ctl restart`.

use std::process::ExitCode;

use names::InstanceName;
use serde_json::json;

use super::start::Wait;
use super::when::{When, Words};
use super::{each_once, open_host, parse_name};
use crate::completion;
use crate::problem::Problem;
use crate::ui::Ui;

/// Restart instances with their plans staged anew, one after another
///
/// What can be refused (a missing overlay, a broken spec) is refused before any
/// server is stopped. The first one that fails ends it: a mistake takes down
/// one server and not all. One that does not run is started.
///
/// With --when-empty each is restarted as soon as nobody plays on it, whichever
/// is first. Ctrl-C ends the waiting, and players who were warned are told.
///
/// Example: l4d2ctl restart friday
///          l4d2ctl restart friday saturday --when-empty=30min --wait
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instances
    #[arg(value_name = "NAME", value_parser = parse_name, add = completion::instances(), required = true)]
    names: Vec<InstanceName>,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    wait: Wait,
}

pub(crate) fn run(ui: &Ui, Args { names, when, wait }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let names = each_once(names);
    // What is wrong with one is to be told before anybody is waited for, or any server is stopped.
    for name in &names {
        host.check_start(name)?;
    }
    let words = Words { warning: "This server restarts", what: "The restart" };
    let mut restarted = Vec::new();
    when.each(ui, &host, &names, words, |name| {
        let started = host.restart(name)?;
        let answered = wait.until_answering(&host, name)?;
        if !ui.is_json() {
            crate::ui::write_stdout(&format!("instance {name} restarted{}\n", Wait::in_words(answered)))?;
        }
        restarted.push(json!({ "name": name.as_str(), "started": started, "answered_ms": Wait::in_ms(answered) }));
        Ok(())
    })?;
    ui.data(&json!({ "restarted": restarted }), String::new)?;
    Ok(ExitCode::SUCCESS)
}
