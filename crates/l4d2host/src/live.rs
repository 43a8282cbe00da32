//! What running servers say of themselves, asked of all at once and within one limit.
//!
//! A server is asked on the loopback address, where every instance listens, as no spec can say otherwise. What only the
//! console tells (is it hibernating? how many frames a second?) is asked by RCON, and no more often than needed: a server
//! logs each command.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use names::{InstanceName, Port};
use overlay::beneath::Dir;
use serde::Serialize;
use srcds_query::a2s::Info;
use srcds_query::console::{Stats, Status};
use srcds_query::rcon;
use srcds_query::sweep::{self, Answer, Target};

use crate::heard::Heard;
use crate::listener::Listeners;
use crate::problems::{self, Seen};
use crate::staging::staged_port;
use crate::status::now;
use crate::{Host, InstanceState, InstanceStatus, Result};

/// What a server answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Live {
    /// It answered.
    pub answering: bool,
    /// Why there is no answer, where there is none.
    pub unanswered: Option<String>,
    /// Its name. This text and the next are whatever the server says: hostile.
    pub hostname: Option<String>,
    /// The map.
    pub map: Option<String>,
    /// Players who are no bots.
    pub humans: Option<u8>,
    /// Bots.
    pub bots: Option<u8>,
    /// How many may play.
    pub max_players: Option<u8>,
    /// It sleeps, as nobody is on it; none where it did not say so.
    pub hibernating: Option<bool>,
    /// The game's version.
    pub version: Option<String>,
    /// From the question to the answer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Frames a second that the server computes; this and the next two only with [`Observe::stats`].
    pub fps: Option<f64>,
    /// Traffic from players, in KB (as Source counts) a second.
    pub in_kb: Option<f64>,
    /// Traffic to players, in KB a second.
    pub out_kb: Option<f64>,
}

impl Live {
    fn of(answer: &Answer) -> Self {
        let info = answer.info.as_ref();
        let text = |field: fn(&Info) -> &String| info.ok().map(|info| field(info).clone());
        let number = |field: fn(&Info) -> u8| info.ok().map(field);
        Self {
            answering: info.is_ok(),
            unanswered: info.err().map(ToString::to_string),
            hostname: text(|info| &info.name),
            map: text(|info| &info.map),
            humans: number(Info::humans),
            bots: number(|info| info.bots),
            max_players: number(|info| info.max_players),
            // Nobody sleeps while somebody plays.
            hibernating: info.ok().filter(|info| info.humans() > 0).map(|_| false),
            version: text(|info| &info.version),
            latency_ms: answer.latency.filter(|_| info.is_ok()).map(|latency| latency.as_secs_f64() * 1e3),
            ..Self::default()
        }
    }

    /// Adds what its console says, the replies to [`COMMANDS`].
    fn add(&mut self, replies: &[Vec<u8>]) {
        let [status, rest @ ..] = replies else { return };
        self.hibernating = Status::parse(status).and_then(|status| status.hibernating).or(self.hibernating);
        let Some(stats) = rest.first().and_then(Stats::parse) else { return };
        (self.fps, self.in_kb, self.out_kb) = (stats.fps, stats.in_kb, stats.out_kb);
    }
}

/// What to ask, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Observe {
    /// How long servers may take to answer, all together.
    pub limit: Duration,
    /// Also look at what they have logged since the last time, and ask how often those were restarted that have begun to run
    /// since then; what was found out before is remembered.
    pub logs: bool,
    /// Also ask consoles. A server logs each command: who looks every second leaves them alone.
    pub consoles: bool,
    /// Ask each console how it is doing. Without that, only those are asked that may be hibernating.
    pub stats: bool,
}

/// What a console is asked: with [`Observe::stats`] both.
const COMMANDS: [&str; 2] = ["status", "stats"];

impl Default for Observe {
    fn default() -> Self {
        Self { limit: Duration::from_millis(900), logs: true, consoles: true, stats: false }
    }
}

impl Host {
    /// Adds what the servers themselves say: [`InstanceStatus::live`] of those that run, and the problems that show only
    /// there and in their logs. What can't be found out is left as it is: this answers with what there is.
    pub fn observe(&self, statuses: &mut [InstanceStatus], options: Observe) -> Result<()> {
        let root = self.open_for_reading()?;
        let until = Instant::now() + options.limit;
        let running: Vec<(usize, SocketAddr)> = (0..statuses.len())
            .filter(|&index| statuses[index].state == InstanceState::Running)
            .filter_map(|index| Some((index, address(&root, &statuses[index].name, statuses[index].port)?)))
            .collect();
        let mut heard = Heard::read(&root);
        let names: Vec<InstanceName> = running.iter().map(|&(index, _)| statuses[index].name.clone()).collect();
        // Begun before the servers are asked, so that both take the time of one.
        let begun =
            if options.logs && !names.is_empty() { heard.begin(self.supervisor(), &names) } else { Ok(Vec::new()) };
        let targets: Vec<Target> = running.iter().map(|&(_, address)| Target::new(address)).collect();
        let answers = sweep::ask(&targets, options.limit * 2 / 3);
        for (&(index, _), answer) in running.iter().zip(&answers) {
            statuses[index].live = Some(Live::of(answer));
        }
        if options.consoles {
            self.ask_consoles(statuses, &running, options, until);
        }
        let mut something_new = self.add_restarts(statuses, &running, options.logs, &mut heard);
        let mut unread = BTreeMap::new();
        let news = begun.unwrap_or_else(|error| {
            unread.extend(names.iter().map(|name| (self.supervisor().log_of(name).to_owned(), error.with_causes())));
            Vec::new()
        });
        for news in news {
            let log = news.log.clone();
            match heard.take(news) {
                Ok(new) => something_new |= new,
                Err(error) => drop(unread.insert(log, error.with_causes())),
            }
        }
        let now = now();
        for &(index, address) in &running {
            let status = &statuses[index];
            // What is remembered counts also where nothing new was read.
            let log = self.supervisor().log_of(&status.name);
            let unread = unread.get(log).map(String::as_str);
            let log = Some(heard.of(log, &status.name, status.since.unwrap_or(now)));
            let mut found = problems::of(&Seen { status, port: Some(address.port()), log, unread, now });
            // What was known without asking comes first.
            found.retain(|problem| status.problems.iter().all(|known| known.kind != problem.kind));
            statuses[index].problems.extend(found);
        }
        if something_new {
            // Where it can't be written, the same lines are read the next time.
            let _ = heard.write(&root, &crate::instance::names(&root)?);
        }
        Ok(())
    }

    /// Adds how often each was restarted, where that is not known yet: what is remembered, and `ask` asks for the rest. Whether
    /// that was anything.
    fn add_restarts(
        &self,
        statuses: &mut [InstanceStatus],
        running: &[(usize, SocketAddr)],
        ask: bool,
        heard: &mut Heard,
    ) -> bool {
        let mut unknown = Vec::new();
        for &(index, _) in running {
            let status = &mut statuses[index];
            if let (None, Some(since)) = (status.restarts, status.since) {
                status.restarts = heard.restarts(&status.name, since);
                unknown.extend(status.restarts.is_none().then(|| (index, since, status.name.clone())));
            }
        }
        let names: Vec<InstanceName> = unknown.iter().map(|(_, _, name)| name.clone()).collect();
        if !ask || names.is_empty() {
            return false;
        }
        let asked = now();
        let details = self.supervisor().details(&names).unwrap_or_default();
        for (index, since, name) in unknown {
            statuses[index].restarts = details.get(&name).and_then(|details| details.restarts);
            // Another run may begin in the same second. After that second none has the same beginning.
            if let Some(restarts) = statuses[index].restarts.filter(|_| since < asked) {
                heard.restarted(&name, since, restarts);
            }
        }
        true
    }

    /// Asks the consoles of those that answered.
    fn ask_consoles(
        &self,
        statuses: &mut [InstanceStatus],
        running: &[(usize, SocketAddr)],
        options: Observe,
        until: Instant,
    ) {
        let wanted = |live: &Live| live.answering && (options.stats || live.hibernating.is_none());
        let commands = if options.stats { &COMMANDS[..] } else { &COMMANDS[..1] };
        let Ok(listeners) = Listeners::read() else { return };
        // One whose password can't be read has other problems, which its status shows; and it is nobody's but the server's.
        let target = |index: usize| {
            let (address, password) = self.rcon_address(&statuses[index].name).ok()?;
            let ours = listeners.stranger(address.port()).is_none();
            ours.then_some((index, rcon::Target { address, password, commands }))
        };
        let asked = running.iter().map(|&(index, _)| index);
        let asked: Vec<(usize, rcon::Target)> =
            asked.filter(|&index| statuses[index].live.as_ref().is_some_and(wanted)).filter_map(target).collect();
        let (indices, targets): (Vec<usize>, Vec<rcon::Target>) = asked.into_iter().unzip();
        for (index, replies) in indices.into_iter().zip(rcon::sweep(&targets, until)) {
            if let (Ok(replies), Some(live)) = (replies, statuses[index].live.as_mut()) {
                live.add(&replies);
            }
        }
    }
}

/// Where an instance listens: on the port that it was started with, or else that of its spec.
pub(crate) fn address(root: &Dir, name: &InstanceName, spec: Option<Port>) -> Option<SocketAddr> {
    let port = staged_port(root, name).or(spec.map(Port::get))?;
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}
