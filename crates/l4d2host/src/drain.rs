//! Waiting until nobody plays: `--when-empty`.
//!
//! "Empty" is no human in the server's own answer, twice in a row: at the change of a map nobody is on it for a moment. A
//! server that does not answer is not known to be empty, and one that does not run is. One that another command has at that
//! moment is looked at again: who knows how long that takes, and who comes meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use names::InstanceName;
use srcds_query::a2s::Info;
use srcds_query::sweep::{self, Target};

use crate::interrupt::Interrupted;
use crate::live::address;
use crate::lock::{self, Lock};
use crate::{Host, InstanceState, Result};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Between the first look that finds nobody and the one that has to find the same.
const CONFIRM: Duration = Duration::from_secs(2);

/// How long servers may take to answer.
const LIMIT: Duration = Duration::from_secs(1);

/// How long they may take to say something in the chat, all together.
const SAY_LIMIT: Duration = Duration::from_secs(3);

/// When players are warned, by what is left. Besides that at the beginning.
const WARNINGS: [Duration; 4] =
    [Duration::from_secs(600), Duration::from_secs(300), Duration::from_secs(60), Duration::from_secs(10)];

/// What to wait for, and what players are told meanwhile.
#[derive(Debug, Clone)]
pub struct WhenEmpty {
    /// After so long the waiting is over whoever plays; none: however long it takes, and players are told nothing.
    pub deadline: Option<Duration>,
    /// Said in the chat before the deadline, with " in 5 minutes" after it.
    pub warning: String,
    /// Said in the chat where nothing comes of it after a warning.
    pub cancelled: String,
}

/// What happens while it is waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// These are on it.
    Occupied {
        /// How many humans.
        humans: u8,
        /// The names of all players. Hostile.
        players: Vec<String>,
    },
    /// Nobody is on it, to be looked at once more.
    Empty,
    /// Nobody is on it, but another command has it: which.
    Held(String),
    /// It is not known who is on it, and why.
    Unknown(String),
    /// This was said in the chat.
    Said(String),
    /// This could not be said in the chat, and why.
    NotSaid(String),
}

/// One for which the waiting is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Its name.
    pub name: InstanceName,
    /// How many humans are on it: some where the deadline came first, none where that is not known.
    pub humans: Option<u8>,
}

/// Instances that are waited for, all at once.
#[derive(Debug)]
pub struct Drain<'a> {
    host: &'a Host,
    when: WhenEmpty,
    begin: Instant,
    waiting: Vec<Server>,
    /// The last one for which the waiting was over.
    last: Option<Server>,
}

#[derive(Debug)]
struct Server {
    name: InstanceName,
    /// How many of the warnings are over, and whether players have been told anything.
    warnings: usize,
    told: bool,
    /// Nobody was on it at the last look.
    was_empty: bool,
    humans: Option<u8>,
}

/// Told what happens with an instance, and how much time is left.
pub type Tell<'a> = &'a mut dyn FnMut(&InstanceName, &Waiting, Option<Duration>);

impl<'a> Drain<'a> {
    /// Begins to wait.
    pub fn new(host: &'a Host, names: &[InstanceName], when: WhenEmpty) -> Self {
        let server = |name: &InstanceName| Server {
            name: name.clone(),
            // Those of more than the whole time never come.
            warnings: WARNINGS.iter().filter(|&&left| when.deadline.is_some_and(|whole| left >= whole)).count(),
            told: false,
            was_empty: false,
            humans: None,
        };
        let waiting = names.iter().map(server).collect();
        Self { host, when, begin: Instant::now(), waiting, last: None }
    }

    /// The next one that is empty, or whose deadline has come; none when all are through. An interruption is an error, and
    /// after any error comes [`Self::cancel`].
    pub fn next(&mut self, tell: Tell<'_>) -> Result<Option<Drained>> {
        self.last = None;
        // Only here: what is done to one afterwards, and for whom that waits, ends as it does without any of this.
        let interrupted = Interrupted::watch("interrupted: no longer waiting", "the servers go on as they are")?;
        while !self.waiting.is_empty() {
            if let Some(drained) = self.step(&|_| true, tell)? {
                return Ok(Some(drained));
            }
            interrupted.pause(self.pause())?;
        }
        Ok(None)
    }

    /// One look, for who has more to do than wait: of those that `may` be next, one that is empty or whose deadline has come.
    /// The others are warned as ever. The next look is due after [`Self::pause`].
    pub(crate) fn step(&mut self, may: &dyn Fn(&InstanceName) -> bool, tell: Tell<'_>) -> Result<Option<Drained>> {
        self.last = self.look(may, tell)?;
        if self.last.is_none() {
            self.warn(tell);
        }
        Ok(self.last.as_ref().map(|through| Drained { name: through.name.clone(), humans: through.humans }))
    }

    /// What the last one was waited for is done: its players have nothing to be told any more.
    pub(crate) fn done(&mut self) {
        self.last = None;
    }

    /// Gives up, and tells the players who were warned of what does not come now.
    pub fn cancel(self, tell: Tell<'_>) {
        // Who has been stopped has nobody left to be told.
        let runs =
            |server: &Server| self.host.state_of(&server.name).is_ok_and(|state| state == InstanceState::Running);
        let last = self.last.iter().filter(|server| server.humans != Some(0) && runs(server));
        let told = self.waiting.iter().chain(last).filter(|server| server.told);
        let texts = told.map(|server| (server.name.clone(), self.when.cancelled.clone())).collect();
        say(self.host, texts, self.left(), tell);
    }

    fn left(&self) -> Option<Duration> {
        Some(self.when.deadline?.saturating_sub(self.begin.elapsed()))
    }

    /// Until something is to be done: a look, a warning, or the end.
    pub(crate) fn pause(&self) -> Duration {
        let look = if self.waiting.iter().any(|server| server.was_empty) { CONFIRM } else { PAUSE };
        let left = self.left();
        let next = self.waiting.iter().filter_map(|server| left?.checked_sub(*WARNINGS.get(server.warnings)?));
        next.chain(left).chain([look]).min().unwrap_or(look)
    }

    /// Looks at all, and takes out one that is through and may be next.
    fn look(&mut self, may: &dyn Fn(&InstanceName) -> bool, tell: Tell<'_>) -> Result<Option<Server>> {
        let units = self.host.supervisor().units()?;
        let ended = [InstanceState::Stopped, InstanceState::Failed];
        let runs = |name| units.get(name).is_some_and(|unit| !ended.contains(&crate::query::state(unit)));
        if let Some(at) = self.waiting.iter().position(|server| may(&server.name) && !runs(&server.name)) {
            return Ok(Some(Server { humans: Some(0), ..self.waiting.swap_remove(at) }));
        }
        let left = self.left();
        let root = self.host.open_for_reading()?;
        let nowhere = || SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let target =
            |server: &Server| Target::new(address(&root, &server.name, None).unwrap_or_else(nowhere)).with_players();
        let targets: Vec<Target> = self.waiting.iter().map(target).collect();
        let answers = sweep::ask(&targets, LIMIT);
        let mut through = None;
        for (index, (server, answer)) in self.waiting.iter_mut().zip(&answers).enumerate() {
            let (seen, empty) = match &answer.info {
                Ok(info) if info.humans() == 0 => (Waiting::Empty, true),
                Ok(info) => {
                    let players = answer.players.iter().flatten().flatten();
                    let players = players.map(|player| player.name.clone()).collect();
                    (Waiting::Occupied { humans: info.humans(), players }, false)
                }
                Err(error) => (Waiting::Unknown(error.to_string()), false),
            };
            server.humans = answer.info.as_ref().ok().map(Info::humans);
            let holder =
                if empty && server.was_empty { lock::holder(&root, Lock::Instance(&server.name))? } else { None };
            let is_through = empty && server.was_empty && holder.is_none() || left.is_some_and(|left| left.is_zero());
            if is_through && may(&server.name) {
                through = Some(index);
                break;
            }
            server.was_empty = empty;
            tell(&server.name, &holder.map_or(seen, Waiting::Held), left);
        }
        Ok(through.map(|index| self.waiting.swap_remove(index)))
    }

    /// Says in the chat how much time is left, where that is due and anybody is there to read it.
    fn warn(&mut self, tell: Tell<'_>) {
        let Some(left) = self.left() else { return };
        let mut texts = Vec::new();
        for server in &mut self.waiting {
            let due = WARNINGS.iter().filter(|&&at| left <= at).count();
            if server.humans == Some(0) || (server.told && due <= server.warnings) {
                continue;
            }
            server.warnings = due.max(server.warnings);
            server.told = true;
            texts.push((server.name.clone(), format!("{} in {}", self.when.warning, in_words(left))));
        }
        say(self.host, texts, Some(left), tell);
    }
}

fn say(host: &Host, texts: Vec<(InstanceName, String)>, left: Option<Duration>, tell: Tell<'_>) {
    let said = host.say(&texts, SAY_LIMIT);
    for ((name, text), said) in texts.into_iter().zip(said) {
        let said = said.map_or_else(|error| Waiting::NotSaid(error.with_causes()), |()| Waiting::Said(text));
        tell(&name, &said, left);
    }
}

/// "5 minutes", rounded to what people say.
fn in_words(left: Duration) -> String {
    let seconds = left.as_millis().div_ceil(1000);
    let (number, unit) = match seconds {
        60 => (1, "minute"),
        0..100 => (seconds, "second"),
        100..5400 => ((seconds + 30) / 60, "minute"),
        _ => ((seconds + 1800) / 3600, "hour"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_say_them() {
        for (seconds, words) in [
            (1, "1 second"),
            (60, "1 minute"),
            (61, "61 seconds"),
            (100, "2 minutes"),
            (600, "10 minutes"),
            (5400, "2 hours"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Duration::from_millis(9_500)), "10 seconds");
    }
}
