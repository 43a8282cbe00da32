//! `--now` and `--when-empty`: whether players are waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use l4d2host::{Drain, Host, Waiting, WhenEmpty};
use names::InstanceName;

use crate::duration;
use crate::figures;
use crate::problem::Problem;
use crate::progress::Line;
use crate::text::{LONGEST_NAME, first_of, harmless, short};
use crate::ui::Ui;

/// More than fits into a chat line.
const LONGEST_WARNING: usize = 100;

/// When it is to be done.
#[derive(Debug, clap::Args)]
pub(crate) struct When {
    /// At once, whoever plays (the default)
    #[arg(long, conflicts_with = "when_empty")]
    now: bool,
    /// When nobody plays, or in DEADLINE (90s, 10min, 2h) at the latest
    #[arg(long, value_name = "DEADLINE", num_args = 0..=1, require_equals = true, default_missing_value = "never",
        value_parser = parse_deadline)]
    when_empty: Option<Deadline>,
    /// What players are told before the deadline; "in 5 minutes" follows
    #[arg(long, value_name = "TEXT", requires = "when_empty", value_parser = parse_warning)]
    warn: Option<String>,
}

/// For how long players are waited for; none: however long it takes.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Duration>);

fn parse_deadline(text: &str) -> Result<Deadline, String> {
    if text == "never" { Ok(Deadline(None)) } else { duration::parse(text).map(|span| Deadline(Some(span))) }
}

/// What a command does to a server, in the chat's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// "This server restarts"
    pub(crate) warning: &'static str,
    /// "The restart"
    pub(crate) what: &'static str,
}

fn parse_warning(text: &str) -> Result<String, String> {
    match text {
        _ if text.trim().is_empty() => Err("a warning has words".to_owned()),
        _ if text.len() > LONGEST_WARNING => Err(format!("a line of the chat takes {LONGEST_WARNING} bytes here")),
        _ if text.chars().any(char::is_control) => Err("a warning is one line".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

impl When {
    /// What is to be waited for; none where nothing is.
    pub(crate) fn when_empty(&self, words: Words) -> Option<WhenEmpty> {
        let Deadline(deadline) = self.when_empty.filter(|_| !self.now)?;
        let warning = self.warn.clone().unwrap_or_else(|| words.warning.to_owned());
        Some(WhenEmpty { deadline, warning, cancelled: format!("{} is cancelled", words.what) })
    }

    /// Does something to each of the instances, in its time. The first failure ends it: a mistake is to take down one
    /// server and not all.
    pub(crate) fn each(
        &self,
        ui: &Ui,
        host: &Host,
        names: &[InstanceName],
        words: Words,
        mut act: impl FnMut(&InstanceName) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let Some(when) = self.when_empty(words) else {
            return names.iter().try_for_each(act);
        };
        let mut drain = Drain::new(host, names, when);
        let mut watcher = Watcher::new(*ui);
        let ended = Self::drain(ui, &mut drain, &mut watcher, &mut act);
        if ended.is_err() {
            drain.cancel(&mut |name, waiting, left| watcher.tell(name, waiting, left));
        }
        ended
    }

    fn drain(
        ui: &Ui,
        drain: &mut Drain<'_>,
        watcher: &mut Watcher,
        act: &mut impl FnMut(&InstanceName) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        while let Some(drained) = drain.next(&mut |name, waiting, left| watcher.tell(name, waiting, left))? {
            watcher.clear();
            if let Some(words) = of_deadline(drained.humans) {
                ui.note(&format!("{}: {words}", drained.name));
            }
            act(&drained.name)?;
        }
        Ok(())
    }
}

/// What is to be said of one that is not empty when its turn comes.
pub(crate) fn of_deadline(humans: Option<u8>) -> Option<String> {
    match humans {
        Some(0) => None,
        Some(humans) => Some(format!("the deadline has come, with {} on it", count(humans))),
        None => Some("the deadline has come, and it does not answer".to_owned()),
    }
}

fn count(humans: u8) -> String {
    format!("{humans} {}", if humans == 1 { "player" } else { "players" })
}

/// What is known of one that is waited for, in a word for programs.
pub(crate) fn word(waiting: &Waiting) -> &'static str {
    match waiting {
        Waiting::Occupied { .. } => "occupied",
        Waiting::Empty => "empty",
        Waiting::Held(_) => "held",
        Waiting::Unknown(_) => "unknown",
        Waiting::Said(_) => "said",
        Waiting::NotSaid(_) => "not-said",
    }
}

/// What is known of one that is waited for, on one line, whatever the players' names are.
pub(crate) fn words(waiting: &Waiting) -> String {
    let words = match waiting {
        Waiting::Occupied { humans, players } if players.is_empty() => format!("{} on it", count(*humans)),
        Waiting::Occupied { humans, players } => {
            let names = players.iter().map(|name| short(name, LONGEST_NAME));
            format!("{} on it ({})", count(*humans), first_of(names))
        }
        Waiting::Empty => "nobody on it".to_owned(),
        Waiting::Held(who) => format!("nobody on it, and it is held by {who}"),
        Waiting::Unknown(why) => format!("it is not known who is on it: {why}"),
        Waiting::Said(text) => format!("said in the chat: {text}"),
        Waiting::NotSaid(why) => format!("could not be said in the chat: {why}"),
    };
    harmless(words.as_bytes(), false)
}

/// Shows who is waited for: a line that is drawn again on a terminal, otherwise a line whenever something has changed.
pub(crate) struct Watcher {
    ui: Ui,
    line: Line,
    said: BTreeMap<InstanceName, String>,
}

impl Watcher {
    pub(crate) fn new(ui: Ui) -> Self {
        Self { ui, line: Line::new(ui), said: BTreeMap::new() }
    }

    pub(crate) fn tell(&mut self, name: &InstanceName, waiting: &Waiting, left: Option<Duration>) {
        let words = words(waiting);
        if matches!(waiting, Waiting::Said(_) | Waiting::NotSaid(_)) {
            return self.line(&format!("{name}: {words}"));
        }
        // How long another command has had it changes all the time.
        let state = if matches!(waiting, Waiting::Held(_)) { "held".to_owned() } else { words.clone() };
        let changed = self.said.insert(name.clone(), state.clone()).as_ref() != Some(&state);
        // Before the players' names, which may be more than a line takes.
        let left = left.map_or_else(String::new, |left| format!(", {} left", figures::span(left)));
        if self.line.is_drawn() {
            let others =
                if self.said.len() > 1 { format!(" (and {} more)", self.said.len() - 1) } else { String::new() };
            self.line.say(&format!("waiting for {name}{others}{left}: {words}"));
        } else if changed {
            self.ui.note(&format!("waiting for {name}{left}: {words}"));
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        if !self.line.print_above(text) {
            self.ui.note(text);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.line.clear();
        self.said.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_player_s_name_writes_a_line_of_its_own() {
        let players = ["a\nerror: b".to_owned(), "\u{1b}[2J".to_owned()].to_vec();
        let words = words(&Waiting::Occupied { humans: 2, players });
        assert_eq!(words, "2 players on it (a\\u{a}error: b, \\u{1b}[2J)");
    }
}
