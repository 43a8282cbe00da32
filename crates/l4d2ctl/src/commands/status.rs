//! `l4d2ctl status`.

use std::process::ExitCode;

use l4d2host::{Host, InstanceStatus, Live, Observe, StatusProblem};
use names::InstanceName;
use serde_json::json;

use super::{each_once, open_host, parse_name};
use crate::colour::{Tone, labels, paint};
use crate::completion;
use crate::figures;
use crate::problem::Problem;
use crate::table::{Cell, Column, table};
use crate::text;
use crate::ui::{Look, Ui};

/// Show instances: all in a table, or named ones with every detail
///
/// Servers are asked for their players, map and health, all at once and within
/// a second, what they logged since the last time is looked through, and those
/// that have begun to run since then are asked for their restarts. What is wrong
/// stands below, with what to do. --no-query asks and reads nothing of theirs.
///
/// Pending: the spec or the game was changed since the instance was last
/// started, and the next start uses that. What systemd has to be asked for each
/// instance by itself (result, main pid) is shown of named ones only.
///
/// Example: l4d2ctl status
///          l4d2ctl status friday --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The instances; all, if none is named
    #[arg(value_name = "NAME", value_parser = parse_name, add = completion::instances())]
    names: Vec<InstanceName>,
    /// Ask no server and read no log: only what the supervisor says
    #[arg(long)]
    no_query: bool,
}

pub(crate) fn run(ui: &Ui, Args { names, no_query }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    show(ui, &host, &each_once(names), !no_query)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the status of these instances, or of all; `query`: with what the servers say.
pub(crate) fn show(ui: &Ui, host: &Host, names: &[InstanceName], query: bool) -> Result<(), Problem> {
    let mut statuses = match names {
        [] => host.all_statuses()?,
        names => host.named_statuses(names)?,
    };
    if query {
        host.observe(&mut statuses, Observe { stats: !names.is_empty(), ..Observe::default() })?;
    }
    if statuses.is_empty() {
        ui.note("no instances yet: `l4d2ctl initialize NAME -f SPEC.yaml` makes one");
    }
    let (now, problems) = (figures::now(), host.problems()?);
    ui.table(&json!({ "instances": statuses, "problems": problems }), |look| {
        let shown = match names {
            [] => overview(&statuses, now, look),
            _ => statuses.iter().map(|status| details(status, now, look)).collect::<Vec<_>>().join("\n"),
        };
        let of_host = problems.iter().map(|problem| words(problem, look) + "\n");
        [shown].into_iter().filter(|shown| !shown.is_empty()).chain(of_host).collect::<Vec<_>>().join("\n")
    })
}

const COLUMNS: usize = 8;

const TABLE: [Column; COLUMNS] = [
    Column::new("NAME").cut_to(12),
    Column::new("STATE"),
    Column::new("PORT").right(),
    Column::new("PLAYERS"),
    Column::new("MAP").cut_to(8),
    Column::new("ENABLED"),
    Column::new("SINCE").right(),
    Column::new("NOTE").cut_to(13),
];

fn overview(statuses: &[InstanceStatus], now: u64, look: Look) -> String {
    let rows: Vec<[Cell; COLUMNS]> = statuses.iter().map(|status| row(status, now)).collect();
    let problems = statuses.iter().flat_map(|status| {
        let of = |problem: &StatusProblem| format!("\n{}: {}\n", status.name, words(problem, look));
        status.problems.iter().map(of)
    });
    [table(&TABLE, &rows, look)].into_iter().chain(problems).collect()
}

/// A problem and what to do, on two lines.
fn words(problem: &StatusProblem, look: Look) -> String {
    let harmless = |text: &str| text::harmless(text.as_bytes(), false);
    labels(&format!("{}\n  hint: {}", harmless(&problem.message), harmless(&problem.hint)), look.coloured)
}

/// "3/8", and bots where there are some.
fn players(live: &Live) -> Option<String> {
    let (humans, most) = (live.humans?, live.max_players?);
    let bots = live.bots.filter(|&bots| bots > 0).map_or_else(String::new, |bots| format!(" +{bots} bots"));
    Some(format!("{humans}/{most}{bots}"))
}

fn row(status: &InstanceStatus, now: u64) -> [Cell; COLUMNS] {
    let spec = status.pending && status.revision != status.staged_revision;
    let spec = spec.then(|| "pending: spec changed".to_owned());
    let build = status.pending_build_id.map(|build| format!("pending: build {build}"));
    let problems = status.problems.iter().map(|problem| problem.kind.to_owned());
    let note: Vec<String> = spec.into_iter().chain(build).chain(problems).collect();
    let live = status.live.as_ref();
    let unanswered = live.filter(|live| !live.answering).map(|_| "no answer".to_owned());
    [
        status.name.as_str().into(),
        Cell::new(status.state.as_str(), Tone::of(status.state)),
        Cell::or_dash(status.port.map(|port| port.to_string())),
        Cell::or_dash(unanswered.or(live.and_then(players))),
        Cell::or_dash(live.and_then(|live| live.map.as_deref()).map(|map| text::short(map, 24))),
        if status.enabled { "yes" } else { "no" }.into(),
        Cell::or_dash(status.since.map(|since| figures::ago(since, now))),
        note.join(", ").into(),
    ]
}

fn details(status: &InstanceStatus, now: u64, look: Look) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let revision = |revision: &Option<l4d2host::Revision>| or_dash(revision.as_ref().map(|r| r.as_str().to_owned()));
    let state = paint(status.state.as_str(), Tone::of(status.state), look.coloured);
    let mut lines = vec![
        ("name", status.name.to_string()),
        ("state", format!("{} ({}/{})", state, status.active_state, status.sub_state)),
        ("result", or_dash(status.result.clone())),
        ("since", or_dash(status.since.map(|since| format!("{} ago", figures::ago(since, now))))),
        ("port", or_dash(status.port.map(|port| port.to_string()))),
        ("enabled", if status.enabled { "yes" } else { "no" }.to_owned()),
        ("main pid", or_dash(status.main_pid.map(|pid| pid.to_string()))),
        ("restarts", or_dash(status.restarts.map(|count| count.to_string()))),
        ("revision", revision(&status.revision)),
        ("staged", revision(&status.staged_revision)),
        ("build", or_dash(status.build_id.map(|build| build.to_string()))),
        ("pending", pending(status)),
        ("supervisor", status.supervisor.to_owned()),
    ];
    lines.extend(status.live.as_ref().map(live_lines).unwrap_or_default());
    let lines = lines.into_iter().map(|(key, value)| format!("{key:>10}  {value}\n"));
    let problems = status.problems.iter().map(|problem| {
        let text = words(problem, look);
        format!("{:>10}  {}\n", "problem", text.replace('\n', &format!("\n{:10}", "")))
    });
    lines.chain(problems).collect()
}

/// What the next start changes.
fn pending(status: &InstanceStatus) -> String {
    let spec = status.pending && status.revision != status.staged_revision;
    match (spec, status.pending_build_id) {
        (false, None) => "no".to_owned(),
        (true, None) => "yes: the next start uses the changed spec".to_owned(),
        (false, Some(build)) => format!("yes: the next start uses build {build}"),
        (true, Some(build)) => format!("yes: the next start uses the changed spec, and build {build}"),
    }
}

/// What the server says of itself.
fn live_lines(live: &Live) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.as_ref().map(|text| text::harmless(text.as_bytes(), false));
    if !live.answering {
        let why = text(&live.unanswered).unwrap_or_else(|| "it is not known why".to_owned());
        return vec![("answers", format!("no: {why}"))];
    }
    let latency = live.latency_ms.map_or_else(String::new, |ms| format!(", after {ms:.1} ms"));
    let sleeping = live.hibernating.map(|sleeps| if sleeps { "yes: nobody is on it" } else { "no" }.to_owned());
    let lines = [
        ("answers", Some(format!("yes{latency}"))),
        ("hostname", text(&live.hostname)),
        ("map", text(&live.map)),
        ("players", players(live)),
        ("hibernates", sleeping),
        ("version", text(&live.version)),
        ("frames", live.fps.map(|fps| format!("{fps:.1} a second"))),
        ("traffic", live.in_kb.zip(live.out_kb).map(|(i, o)| format!("{i:.1} KB/s in, {o:.1} KB/s out"))),
    ];
    lines.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}
