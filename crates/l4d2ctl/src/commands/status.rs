//! `l4d2ctl status`.

use std::process::ExitCode;

use l4d2host::{Host, InstanceState, InstanceStatus, Live, Observe, StatusProblem};
use names::InstanceName;
use serde_json::json;

use super::{each_once, open_host, parse_name, suggest};
use crate::completion;
use crate::problem::Problem;
use crate::text;
use crate::ui::{Ui, wants_colour};

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
        names => host.named_statuses(names).map_err(|error| {
            let known = host.instance_names().unwrap_or_default();
            match names.iter().find(|name| !known.contains(name)) {
                Some(missing) => suggest(host, missing, error),
                None => error.into(),
            }
        })?,
    };
    if query {
        host.observe(&mut statuses, Observe { stats: !names.is_empty(), ..Observe::default() })?;
    }
    if statuses.is_empty() {
        ui.note("no instances yet: `l4d2ctl initialize NAME -f SPEC.yaml` makes one");
    }
    let now = text::now();
    ui.data(&json!({ "instances": statuses }), || match names {
        [] => table(&statuses, now),
        _ => statuses.iter().map(|status| details(status, now)).collect::<Vec<_>>().join("\n"),
    })
}

const COLUMNS: usize = 8;

const HEADINGS: [&str; COLUMNS] = ["NAME", "STATE", "PORT", "PLAYERS", "MAP", "ENABLED", "SINCE", "NOTE"];

fn table(statuses: &[InstanceStatus], now: u64) -> String {
    if statuses.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; COLUMNS]> = statuses.iter().map(|status| row(status, now)).collect();
    let lines = text::table(&HEADINGS, &rows);
    let (headings, lines) = lines.split_once('\n').unwrap_or_default();
    let coloured = wants_colour(&std::io::stdout());
    let lines = statuses.iter().zip(lines.lines()).map(|(status, line)| paint(line, status.state, coloured) + "\n");
    let problems = statuses.iter().flat_map(|status| {
        let of = |problem: &StatusProblem| format!("\n{}: {}\n", status.name, words(problem));
        status.problems.iter().map(of)
    });
    [format!("{headings}\n")].into_iter().chain(lines).chain(problems).collect()
}

/// A problem and what to do, on two lines.
fn words(problem: &StatusProblem) -> String {
    let harmless = |text: &str| text::harmless(text.as_bytes(), false);
    format!("{}\n  hint: {}", harmless(&problem.message), harmless(&problem.hint))
}

/// "3/8", and bots where there are some.
fn players(live: &Live) -> Option<String> {
    let (humans, most) = (live.humans?, live.max_players?);
    let bots = live.bots.filter(|&bots| bots > 0).map_or_else(String::new, |bots| format!(" +{bots} bots"));
    Some(format!("{humans}/{most}{bots}"))
}

fn row(status: &InstanceStatus, now: u64) -> [String; COLUMNS] {
    let spec = status.pending && status.revision != status.staged_revision;
    let spec = spec.then(|| "pending: spec changed".to_owned());
    let build = status.pending_build_id.map(|build| format!("pending: build {build}"));
    let problems = status.problems.iter().map(|problem| problem.kind.to_owned());
    let note: Vec<String> = spec.into_iter().chain(build).chain(problems).collect();
    let dash = || "-".to_owned();
    let live = status.live.as_ref();
    let unanswered = live.filter(|live| !live.answering).map(|_| "no answer".to_owned());
    [
        status.name.to_string(),
        status.state.as_str().to_owned(),
        status.port.map_or_else(dash, |port| port.to_string()),
        unanswered.or(live.and_then(players)).unwrap_or_else(dash),
        live.and_then(|live| live.map.as_deref()).map_or_else(dash, |map| text::short(map, 24)),
        if status.enabled { "yes" } else { "no" }.to_owned(),
        status.since.map_or_else(dash, |since| text::ago(since, now)),
        note.join(", "),
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
        ("build", or_dash(status.build_id.map(|build| build.to_string()))),
        ("pending", pending(status)),
        ("supervisor", status.supervisor.to_owned()),
    ];
    lines.extend(status.live.as_ref().map(live_lines).unwrap_or_default());
    let lines = lines.into_iter().map(|(key, value)| format!("{key:>10}  {value}\n"));
    let problems = status.problems.iter().map(|problem| {
        let text = words(problem);
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
