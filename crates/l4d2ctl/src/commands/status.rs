//! `l4d2ctl status`.

use std::process::ExitCode;

use l4d2host::{Host, InstanceState, InstanceStatus};
use names::InstanceName;
use serde_json::json;

use super::{open_host, parse_name, suggest};
use crate::problem::Problem;
use crate::text;
use crate::ui::{Ui, wants_colour};

/// Show instances: all in a table, or named ones with every detail
///
/// Pending: the spec was changed since the instance was last started, and the
/// next start uses it. What systemd has to be asked for each instance by itself
/// (result, main pid, restarts) is shown of named ones only.
///
/// Example: l4d2ctl status
///          l4d2ctl status friday --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instances; all, if none is named
    #[arg(value_name = "NAME", value_parser = parse_name)]
    names: Vec<InstanceName>,
}

pub(crate) fn run(ui: &Ui, Args { names }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    show(ui, &host, &names)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the status of these instances, or of all.
pub(crate) fn show(ui: &Ui, host: &Host, names: &[InstanceName]) -> Result<(), Problem> {
    let statuses = match names {
        [] => host.all_statuses()?,
        [name] => vec![host.get_instance_status(name).map_err(|error| suggest(host, name, error))?],
        names => host.named_statuses(names)?,
    };
    if statuses.is_empty() {
        ui.note("no instances yet: `l4d2ctl initialize NAME -f SPEC.yaml` makes one");
    }
    let now = text::now();
    ui.data(&json!({ "instances": statuses }), || match names {
        [] => table(&statuses, now),
        _ => statuses.iter().map(|status| details(status, now)).collect::<Vec<_>>().join("\n"),
    })
}

const HEADINGS: [&str; 6] = ["NAME", "STATE", "PORT", "ENABLED", "SINCE", "NOTE"];

fn table(statuses: &[InstanceStatus], now: u64) -> String {
    if statuses.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 6]> = statuses.iter().map(|status| row(status, now)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |cells: &[String; 6]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let coloured = wants_colour(&std::io::stdout());
    let headings = line(&HEADINGS.map(str::to_owned));
    let lines = statuses.iter().zip(&rows).map(|(status, row)| paint(&line(row), status.state, coloured));
    [headings].into_iter().chain(lines).collect()
}

fn row(status: &InstanceStatus, now: u64) -> [String; 6] {
    let note = match (&status.problem, status.pending) {
        (Some(problem), _) => text::harmless(problem.as_bytes(), false),
        (None, true) => "pending: spec changed".to_owned(),
        (None, false) => String::new(),
    };
    [
        status.name.to_string(),
        status.state.as_str().to_owned(),
        status.port.map_or("-".to_owned(), |port| port.to_string()),
        if status.enabled { "yes" } else { "no" }.to_owned(),
        status.since.map_or("-".to_owned(), |since| text::ago(since, now)),
        note,
    ]
}

/// The state's own word in its colour; the word alone says as much.
fn paint(line: &str, state: InstanceState, coloured: bool) -> String {
    let colour = match state {
        InstanceState::Running => anstyle::AnsiColor::Green,
        InstanceState::Starting | InstanceState::Stopping => anstyle::AnsiColor::Yellow,
        InstanceState::Failed | InstanceState::CrashLooping => anstyle::AnsiColor::Red,
        InstanceState::Stopped | InstanceState::Unknown => return line.to_owned(),
    };
    if !coloured {
        return line.to_owned();
    }
    let style = colour.on_default();
    line.replacen(state.as_str(), &format!("{style}{}{style:#}", state.as_str()), 1)
}

fn details(status: &InstanceStatus, now: u64) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let revision = |revision: &Option<l4d2host::Revision>| or_dash(revision.as_ref().map(|r| r.as_str().to_owned()));
    let mut lines = vec![
        ("name", status.name.to_string()),
        ("state", format!("{} ({}/{})", status.state.as_str(), status.active_state, status.sub_state)),
        ("result", or_dash(status.result.clone())),
        ("since", or_dash(status.since.map(|since| format!("{} ago", text::ago(since, now))))),
        ("port", or_dash(status.port.map(|port| port.to_string()))),
        ("enabled", if status.enabled { "yes" } else { "no" }.to_owned()),
        ("main pid", or_dash(status.main_pid.map(|pid| pid.to_string()))),
        ("restarts", or_dash(status.restarts.map(|count| count.to_string()))),
        ("revision", revision(&status.revision)),
        ("staged", revision(&status.staged_revision)),
        ("pending", if status.pending { "yes: the next start uses the changed spec" } else { "no" }.to_owned()),
        ("supervisor", status.supervisor.to_owned()),
    ];
    lines.extend(status.problem.as_ref().map(|problem| ("problem", text::harmless(problem.as_bytes(), false))));
    lines.into_iter().map(|(key, value)| format!("{key:>10}  {value}\n")).collect()
}
