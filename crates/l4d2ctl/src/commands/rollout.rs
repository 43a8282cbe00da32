//! `l4d2ctl rollout`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use l4d2host::{RolledOut, RolloutEvent, RolloutRequest, Version, Waiting};
use names::InstanceName;
use serde_json::{Value, json};

use super::when::{self, Watcher, When, Words};
use super::{open_host, parse_name};
use crate::completion;
use crate::duration;
use crate::figures;
use crate::problem::Problem;
use crate::ui::{Ui, write_stdout};

/// Restart what runs on another build onto the current one
///
/// One is first, the canary: after its restart it has to answer, as the version
/// that its files are, on its own port, and to do so without a crash for as long
/// as --soak says. Then the others, four at a time, each in the same way. If one
/// does not pass, all that were moved go back to the build that they came from,
/// which becomes the current one again, and the exit code is 1.
///
/// Instances that are stopped need nothing: they start on the current build.
///
/// Ctrl-C ends it after the restart that it is at, and nothing goes back. The
/// next rollout goes on, also where one was killed.
///
/// Example: l4d2ctl rollout
///          l4d2ctl rollout --canary friday --when-empty=2h --soak 120
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The first one; otherwise an empty one, or else the first by name
    #[arg(long, value_name = "NAME", value_parser = parse_name, add = completion::instances())]
    canary: Option<InstanceName>,
    #[command(flatten)]
    when: When,
    /// For how long each is watched once it answers; 0: not at all
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = duration::parse)]
    soak: Duration,
    /// How long each may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = duration::parse)]
    wait: Duration,
}

pub(crate) fn run(ui: &Ui, Args { canary, when, soak, wait }: Args) -> Result<ExitCode, Problem> {
    let host = open_host(ui)?;
    let words = Words { warning: "This server restarts for an update", what: "The restart" };
    let request = RolloutRequest { canary, when_empty: when.when_empty(words), limit: wait, soak };
    let mut reporter = Reporter::new(*ui, soak);
    let done = host.rollout(&request, &mut |event| reporter.report(event));
    let begun = reporter.begun;
    drop(reporter);
    match done {
        Ok(done) => {
            ui.data(&done_event(&done, begun), || in_words(&done, begun))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let problem = Problem::from(error);
            if !ui.is_json() {
                return Err(problem);
            }
            // The last line has an error's shape, too.
            let Value::Object(mut event) = problem.for_programs() else { return Err(problem) };
            event.insert("event".to_owned(), json!("done"));
            event.insert("outcome".to_owned(), json!(outcome(&problem)));
            write_stdout(&Ui::json_line(&event)?)?;
            Ok(problem.exit_code())
        }
    }
}

fn done_event(done: &RolledOut, begun: bool) -> Value {
    let moved: Vec<&str> = done.moved.iter().map(InstanceName::as_str).collect();
    let outcome = if begun { "moved" } else { "nothing-to-do" };
    let RolledOut { version: Version { id, build_id, .. }, .. } = done;
    json!({ "event": "done", "outcome": outcome, "version": id.as_str(), "build_id": build_id, "moved": moved })
}

fn outcome(problem: &Problem) -> &'static str {
    match problem {
        Problem::Error(error) if error.kind() == l4d2host::ErrorKind::Interrupted => "interrupted",
        _ => "failed",
    }
}

fn in_words(done: &RolledOut, begun: bool) -> String {
    let build = done.version.id.as_str();
    match done.moved.len() {
        _ if !begun => format!("nothing to do: every instance that runs is on build {build}\n"),
        1 => format!("1 instance moved to build {build}\n"),
        count => format!("{count} instances moved to build {build}\n"),
    }
}

/// Tells what happens: a line a step for people, an event a line for programs.
struct Reporter {
    ui: Ui,
    watcher: Watcher,
    soak: Duration,
    /// There was something to do.
    begun: bool,
    /// What programs were told last of those that are waited for.
    waiting: BTreeMap<InstanceName, Value>,
}

impl Reporter {
    fn new(ui: Ui, soak: Duration) -> Self {
        Self { ui, watcher: Watcher::new(ui), soak, begun: false, waiting: BTreeMap::new() }
    }

    fn report(&mut self, event: &RolloutEvent) {
        self.begun |= matches!(event, RolloutEvent::Begin { .. });
        if self.ui.is_json() {
            let Some(value) = self.for_programs(event) else { return };
            // A reader that has gone is noticed at the end: a rollout is not given up half way for it.
            let _ = Ui::json_line(&value).and_then(|line| write_stdout(&line));
            return;
        }
        if let RolloutEvent::Waiting { name, waiting, left } = event {
            return self.watcher.tell(name, waiting, *left);
        }
        self.watcher.clear();
        for line in self.for_people(event) {
            self.watcher.line(&line);
        }
    }

    fn for_people(&self, event: &RolloutEvent) -> Vec<String> {
        let soak = figures::span(self.soak);
        match event {
            RolloutEvent::Begin { version, instances, moved, resumed } => {
                let what = if *resumed { "going on with the rollout of" } else { "rolling out" };
                let count = instances.len();
                let before = if *moved > 0 { format!(" ({moved} moved before)") } else { String::new() };
                let plural = if count == 1 { "instance" } else { "instances" };
                vec![format!("{what} build {}: {count} {plural}{before}", version.id.as_str())]
            }
            RolloutEvent::Skipped { name, why } => vec![format!("{name}: left as it is: {why}")],
            RolloutEvent::Canary { name } => vec![format!("{name}: the canary")],
            RolloutEvent::Waiting { .. } => Vec::new(),
            RolloutEvent::Overdue { name, humans } => {
                when::of_deadline(*humans).map(|words| format!("{name}: {words}")).into_iter().collect()
            }
            RolloutEvent::Restarting { name } => vec![format!("{name}: restarting")],
            RolloutEvent::Answered { name, after } => {
                vec![format!("{name}: answers after {}; watching it for {soak}", figures::seconds(*after))]
            }
            RolloutEvent::Moved { name, moved, total } => vec![format!("{name}: moved ({moved} of {total})")],
            RolloutEvent::Failed { name, why } => {
                vec![format!("{name}: FAILED: {why}"), "going back".to_owned()]
            }
            RolloutEvent::Back { name, error: Some(why), .. } => vec![format!("{name}: NOT BACK: {why}")],
            RolloutEvent::Back { name, version, error: None } => {
                vec![format!("{name}: back on build {}", version.as_deref().unwrap_or_default())]
            }
        }
    }

    /// None where nothing has changed.
    fn for_programs(&mut self, event: &RolloutEvent) -> Option<Value> {
        Some(match event {
            RolloutEvent::Begin { version, instances, moved, resumed } => {
                let instances: Vec<&str> = instances.iter().map(InstanceName::as_str).collect();
                let (id, build_id) = (version.id.as_str(), version.build_id);
                json!({ "event": "begin", "version": id, "build_id": build_id, "instances": instances,
                    "moved": moved, "resumed": resumed })
            }
            RolloutEvent::Skipped { name, why } => json!({ "event": "skipped", "name": name.as_str(), "why": why }),
            RolloutEvent::Canary { name } => json!({ "event": "canary", "name": name.as_str() }),
            RolloutEvent::Waiting { name, waiting, left } => {
                let humans = match waiting {
                    Waiting::Occupied { humans, .. } => Some(*humans),
                    Waiting::Empty | Waiting::Held(_) => Some(0),
                    Waiting::Unknown(_) | Waiting::Said(_) | Waiting::NotSaid(_) => None,
                };
                let what = json!({ "is": when::word(waiting), "humans": humans });
                let said = matches!(waiting, Waiting::Said(_) | Waiting::NotSaid(_));
                if !said && self.waiting.insert(name.clone(), what.clone()).as_ref() == Some(&what) {
                    return None;
                }
                json!({ "event": "waiting", "name": name.as_str(), "is": what["is"], "humans": humans,
                    "what": when::words(waiting), "seconds_left": left.map(|left| left.as_secs()) })
            }
            RolloutEvent::Overdue { name, humans } => {
                json!({ "event": "overdue", "name": name.as_str(), "humans": humans })
            }
            RolloutEvent::Restarting { name } => json!({ "event": "restarting", "name": name.as_str() }),
            RolloutEvent::Answered { name, after } => {
                let ms = u64::try_from(after.as_millis()).ok();
                json!({ "event": "answering", "name": name.as_str(), "answered_ms": ms })
            }
            RolloutEvent::Moved { name, moved, total } => {
                json!({ "event": "moved", "name": name.as_str(), "moved": moved, "total": total })
            }
            RolloutEvent::Failed { name, why } => json!({ "event": "failed", "name": name.as_str(), "why": why }),
            RolloutEvent::Back { name, version, error } => {
                json!({ "event": "back", "name": name.as_str(), "version": version, "error": error })
            }
        })
    }
}
