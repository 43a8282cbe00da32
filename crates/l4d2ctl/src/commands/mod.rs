//! The commands, a file each: its arguments (whose comments are its help) and what it does.

pub(crate) mod console;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod initialize;
pub(crate) mod install;
pub(crate) mod kick;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod next;
pub(crate) mod overlays;
pub(crate) mod players;
pub(crate) mod prune;
pub(crate) mod rcon;
pub(crate) mod reset;
pub(crate) mod restart;
pub(crate) mod rollback;
pub(crate) mod rollout;
pub(crate) mod say;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod verify;
pub(crate) mod versions;
pub(crate) mod when;

use std::collections::BTreeSet;

use l4d2host::{Host, Revision};
use names::InstanceName;

use crate::problem::Problem;
use crate::ui::Ui;

/// The host that the environment names; as root, after becoming the user who owns its root directory.
fn open_host(ui: &Ui) -> Result<Host, Problem> {
    let mut host = Host::from_environment()?;
    host.become_owner()?;
    Ok(wait_for_others(host, *ui))
}

/// A host whose commands wait for others as long as the arguments say, and tell it.
fn wait_for_others(host: Host, ui: Ui) -> Host {
    host.wait_for_others(ui.lock_timeout(), move |who| ui.note(who))
}

/// Reads a revision as it is given after `--if-revision`.
fn parse_revision(text: &str) -> Result<Revision, String> {
    Revision::parse(text).ok_or_else(|| "a revision is 16 hex digits, as `l4d2ctl status NAME` shows it".to_owned())
}

/// Reads an instance's name.
fn parse_name(text: &str) -> Result<InstanceName, String> {
    text.parse().map_err(|error: names::NameError| error.to_string())
}

/// Names as they were given, each once.
fn each_once(names: Vec<InstanceName>) -> Vec<InstanceName> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}
