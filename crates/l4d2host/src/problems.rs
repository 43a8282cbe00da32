//! What is wrong with an instance, as far as it shows: the one table of rules, each with what to do.

use names::InstanceName;
use serde::Serialize;

use crate::generations::versions::Versions;
use crate::heard::Signs;
use crate::{InstanceState, InstanceStatus};

/// Something an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusProblem {
    /// One word, for programs; docs/operating.md lists them.
    pub kind: &'static str,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A server that has just begun loads its map, for 10 to 30 s, and then registers with Steam. Seconds.
const STARTING: u64 = 60;

/// As often is no accident.
const REPEATED: u32 = 2;

/// What is known of an instance.
pub(crate) struct Seen<'a> {
    pub(crate) status: &'a InstanceStatus,
    /// The port that it was started with.
    pub(crate) port: Option<u16>,
    /// What its log said in this run, and whether all of that was read; none where it was not looked at.
    pub(crate) log: Option<(Signs, bool)>,
    /// Why its log could not be read, where it could not.
    pub(crate) unread: Option<&'a str>,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

impl Seen<'_> {
    /// Runs, and is no longer starting.
    fn is_up(&self) -> bool {
        let since = self.status.since.unwrap_or(self.now);
        self.status.state == InstanceState::Running && self.now.saturating_sub(since) >= STARTING
    }

    fn runs(&self) -> bool {
        self.status.state == InstanceState::Running
    }

    fn signs(&self) -> Option<&Signs> {
        self.log.as_ref().map(|(signs, _)| signs).filter(|_| self.runs())
    }
}

struct Rule {
    kind: &'static str,
    /// What is wrong, where it is.
    applies: fn(&Seen) -> Option<String>,
    /// What to do; NAME stands for the instance.
    hint: &'static str,
}

const RULES: [Rule; 8] = [
    Rule {
        kind: "failed",
        applies: |seen| {
            let why = seen.status.result.as_ref().filter(|result| *result != "success");
            let why = why.map_or_else(String::new, |result| format!(" ({result})"));
            (seen.status.state == InstanceState::Failed)
                .then(|| format!("it ended by a failure{why} and is not started again"))
        },
        hint: "`l4d2ctl logs NAME` shows its last lines; `l4d2ctl start NAME` starts it again",
    },
    Rule {
        kind: "crashing",
        applies: |seen| match (seen.status.state, seen.status.restarts) {
            (InstanceState::Failed | InstanceState::Stopped, _) => None,
            (_, Some(restarts)) if restarts >= REPEATED => {
                Some(format!("it crashed {restarts} times since it was started"))
            }
            (InstanceState::CrashLooping, _) => Some("it crashed and will be started again in a moment".to_owned()),
            _ => None,
        },
        hint: "`l4d2ctl logs NAME` shows what it prints before the end; what was added last is the usual cause",
    },
    Rule {
        kind: "not-answering",
        applies: |seen| {
            let live = seen.status.live.as_ref().filter(|live| !live.answering && seen.is_up())?;
            let why = live.unanswered.as_deref().unwrap_or("no answer came");
            Some(format!("it runs but does not answer queries: {why}"))
        },
        hint: "`l4d2ctl logs NAME` shows what it does; `l4d2ctl restart NAME` if it hangs",
    },
    Rule {
        kind: "log-unread",
        applies: |seen| seen.unread.map(|why| format!("its log can't be read, so what it says is not known: {why}")),
        hint: "`l4d2ctl logs NAME` says the same or shows it; `l4d2ctl doctor` looks at the host",
    },
    Rule {
        kind: "port-taken",
        applies: |seen| {
            let (wanted, (_, taken)) = (seen.port?, seen.signs()?.port?);
            (wanted != taken).then(|| format!("port {wanted} was taken: it listens on {taken}"))
        },
        hint: "`ss -lunp` shows who has the port; then `l4d2ctl restart NAME`",
    },
    Rule {
        kind: "steam-lost",
        applies: |seen| match seen.signs()?.steam? {
            (_, true) => None,
            (_, false) => Some("Steam does not know it: only players of this network can join".to_owned()),
        },
        hint: "`l4d2ctl doctor` looks for Steam's library; is the network there? Then `l4d2ctl restart --when-empty NAME`",
    },
    Rule {
        kind: "steam-missing",
        applies: |seen| {
            let whole = seen.unread.is_none() && seen.log.as_ref().is_some_and(|(_, whole)| *whole);
            (seen.is_up() && whole && seen.signs()?.steam.is_none())
                .then(|| "it has not said that it is connected to Steam: others may not find it".to_owned())
        },
        hint: "`l4d2ctl logs NAME`: is \"Connection to Steam servers successful\" there? `l4d2ctl doctor` looks for Steam's library",
    },
    Rule {
        kind: "update-wanted",
        applies: |seen| {
            seen.signs()?.update.map(|_| "it asks for an update: players with the new version can't join".to_owned())
        },
        hint: "`l4d2ctl install`, then `l4d2ctl rollout --canary NAME --when-empty`",
    },
];

/// Everything that is wrong, the gravest first.
pub(crate) fn of(seen: &Seen) -> Vec<StatusProblem> {
    let problem = |rule: &Rule| {
        let message = (rule.applies)(seen)?;
        Some(StatusProblem { kind: rule.kind, message, hint: rule.hint.replace("NAME", seen.status.name.as_str()) })
    };
    RULES.iter().filter_map(problem).collect()
}

/// The instance's files can't be read.
pub(crate) fn damaged(name: &InstanceName, error: &crate::Error) -> StatusProblem {
    let hint = error.hint_text().map_or_else(|| format!("`l4d2ctl delete {name}`"), str::to_owned);
    StatusProblem { kind: "damaged", message: error.to_string(), hint }
}

/// Something of that name is at work, and there are no files.
pub(crate) fn without_files(name: &InstanceName) -> StatusProblem {
    let hint = format!("`l4d2ctl delete {name}` clears what is left");
    StatusProblem { kind: "no-files", message: "it has no files".to_owned(), hint }
}

/// What is wrong with the host itself, and so is no instance's.
pub(crate) fn of_host(versions: Result<&Versions, &crate::Error>) -> Vec<StatusProblem> {
    let unread = |error: &crate::Error| StatusProblem {
        kind: "builds-unknown",
        message: format!("which build the next starts bring is not known: {error}"),
        hint: error.hint_text().unwrap_or("`l4d2ctl doctor` looks at the host").to_owned(),
    };
    versions.err().map(unread).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Live;

    const NOW: u64 = 10_000;

    fn status(state: InstanceState, since: u64) -> InstanceStatus {
        InstanceStatus { since: Some(since), ..InstanceStatus::example(state) }
    }

    fn kinds(status: &InstanceStatus, log: Option<(Signs, bool)>) -> Vec<&'static str> {
        of(&Seen { status, port: Some(27015), log, unread: None, now: NOW })
            .iter()
            .map(|problem| problem.kind)
            .collect()
    }

    #[test]
    fn states() {
        assert_eq!(kinds(&status(InstanceState::Failed, 0), None), ["failed"]);
        assert_eq!(kinds(&status(InstanceState::CrashLooping, 0), None), ["crashing"]);
        for state in [InstanceState::Running, InstanceState::Stopped, InstanceState::Starting, InstanceState::Unknown] {
            assert!(kinds(&status(state, 0), None).is_empty(), "{state:?}");
        }
        let restarted = |restarts| InstanceStatus { restarts: Some(restarts), ..status(InstanceState::Running, 0) };
        assert!(kinds(&restarted(1), None).is_empty());
        assert_eq!(kinds(&restarted(2), None), ["crashing"]);
    }

    #[test]
    fn a_server_that_is_starting_may_be_silent() {
        let silent = Live { unanswered: Some("silence".to_owned()), ..Live::default() };
        let with = |since| InstanceStatus { live: Some(silent.clone()), ..status(InstanceState::Running, since) };
        assert!(kinds(&with(NOW - STARTING + 1), Some((Signs::default(), true))).is_empty());
        assert_eq!(kinds(&with(NOW - STARTING), Some((Signs::default(), true))), ["not-answering", "steam-missing"]);
        // Its log is not whole: Steam may have been told of before.
        assert_eq!(kinds(&with(NOW - STARTING), Some((Signs::default(), false))), ["not-answering"]);
    }

    #[test]
    fn signs_of_the_log() {
        let kinds = |signs: Signs| kinds(&status(InstanceState::Running, NOW), Some((signs, true)));
        let signs = Signs { steam: Some((1, false)), update: Some(1), port: Some((1, 27016)) };
        assert_eq!(kinds(signs), ["port-taken", "steam-lost", "update-wanted"]);
        assert!(kinds(Signs { steam: Some((1, true)), update: None, port: Some((1, 27015)) }).is_empty());
    }

    #[test]
    fn the_documents_list_every_kind_and_no_other() {
        let text = include_str!("../../../docs/operating.md");
        let table = text.lines().skip_while(|line| !line.starts_with("| problem | when |")).skip(2);
        let rows = table.take_while(|line| line.starts_with('|'));
        let cells = rows.filter_map(|line| line.split('|').nth(1));
        let kinds: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let known =
            ["damaged", "no-files"].into_iter().chain(RULES.iter().map(|rule| rule.kind)).chain(["builds-unknown"]);
        assert_eq!(kinds, known.collect::<Vec<_>>());
    }

    #[test]
    fn each_names_the_next_command_for_its_instance() {
        for rule in &RULES {
            assert!(rule.hint.contains("NAME") && rule.hint.contains('`'), "{}", rule.kind);
        }
        let problem =
            &of(&Seen { status: &status(InstanceState::Failed, 0), port: None, log: None, unread: None, now: NOW })[0];
        assert!(problem.hint.contains("l4d2ctl logs friday"), "{problem:?}");
    }
}
