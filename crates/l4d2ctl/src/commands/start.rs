//! `l4d2ctl start`.

use std::process::ExitCode;
use std::time::Duration;

use l4d2host::Host;
use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name};
use crate::completion;
use crate::duration;
use crate::figures;
use crate::problem::Problem;
use crate::ui::Ui;

/// Stage an instance's plan and start it
///
/// Everything that the server is to run from (layers, arguments, cfg files) is
/// staged as one snapshot, which a restart after a crash and a reboot use
/// again. An instance that runs is left as it is.
///
/// With --wait it returns when the game answers its first query, which takes as
/// long as the map takes to load. If it ends or never answers, that is an error
/// with the last lines of its log.
///
/// Example: l4d2ctl start friday
///          l4d2ctl start friday --wait=60
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instance
    #[arg(value_parser = parse_name, add = completion::instances())]
    name: InstanceName,
    #[command(flatten)]
    wait: Wait,
}

/// Whether to wait for the game itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// Wait until the game answers, at most so long (120 if it is not said)
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "120",
        value_parser = duration::parse)]
    wait: Option<Duration>,
}

impl Wait {
    /// Waits, where that is wanted; how long it took.
    pub(crate) fn until_answering(&self, host: &Host, name: &InstanceName) -> Result<Option<Duration>, Problem> {
        Ok(self.wait.map(|limit| host.wait_until_answering(name, limit)).transpose()?)
    }

    pub(crate) fn in_words(answered: Option<Duration>) -> String {
        answered.map_or_else(String::new, |time| format!(", and answers after {}", figures::seconds(time)))
    }

    pub(crate) fn in_ms(answered: Option<Duration>) -> Option<u64> {
        answered.and_then(|time| u64::try_from(time.as_millis()).ok())
    }
}

pub(crate) fn run(ui: &Ui, Args { name, wait }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let started = host.start(&name)?;
    let answered = wait.until_answering(&host, &name)?;
    let (words, ms) = (Wait::in_words(answered), Wait::in_ms(answered));
    ui.data(&json!({ "name": name.as_str(), "started": started, "answered_ms": ms }), || {
        match started.already_running {
            true => format!("instance {name} runs already: nothing was staged{words}\n"),
            false => format!("instance {name} started{words}\n"),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
