//! Looking, every second, in a thread of its own: a server that does not answer is not to make the keys wait.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use l4d2host::{Host, InstanceStatus, LogOptions, Observe, Usage};
use names::InstanceName;
use srcds_query::a2s::{self, Player};

/// Between two looks.
const SECOND: Duration = Duration::from_secs(1);

/// So many looks between those at logs and consoles, which log what they are asked.
const LOGS: u32 = 10;

/// How many lines of the log of one are shown.
pub(super) const LINES: u32 = 200;

/// What was found out at one look.
#[derive(Debug)]
pub(super) struct News {
    pub(super) statuses: Vec<InstanceStatus>,
    pub(super) usage: BTreeMap<InstanceName, Usage>,
    /// When.
    pub(super) at: Instant,
    /// Of the one that is shown.
    pub(super) shown: Option<Shown>,
    /// Why nothing could be found out.
    pub(super) error: Option<String>,
}

/// The players and the log of one instance.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) name: InstanceName,
    pub(super) players: Result<Vec<Player>, String>,
    pub(super) log: Vec<Vec<u8>>,
}

/// The thread that looks. It ends with the program.
#[derive(Debug)]
pub(super) struct Watch {
    news: Receiver<News>,
    show: Arc<Mutex<Option<InstanceName>>>,
    wake: Sender<()>,
}

impl Watch {
    pub(super) fn begin() -> std::io::Result<Self> {
        let (send, news) = channel();
        let (wake, woken) = channel();
        let show = Arc::new(Mutex::new(None));
        let wanted = Arc::clone(&show);
        let looks = move || {
            let mut kept = Kept::default();
            for round in 0_u32.. {
                let begun = Instant::now();
                let show = wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if send.send(look(round, show, &mut kept)).is_err() {
                    return;
                }
                // A key that shows another one need not wait for the second to end.
                let _ = woken.recv_timeout(SECOND.saturating_sub(begun.elapsed()));
            }
        };
        std::thread::Builder::new().name("watch".to_owned()).spawn(looks)?;
        Ok(Self { news, show, wake })
    }

    /// The newest, if there is something new.
    pub(super) fn news(&self) -> Option<News> {
        self.news.try_iter().last()
    }

    /// From now on also the players and the log of this one.
    pub(super) fn show(&self, name: Option<InstanceName>) {
        *self.show.lock().unwrap_or_else(PoisonError::into_inner) = name;
        // Where the thread has ended, there is nobody to wake.
        let _ = self.wake.send(());
    }
}

/// What is looked at more seldom than every second.
#[derive(Default)]
struct Kept {
    host: Option<Host>,
    seldom: BTreeMap<InstanceName, InstanceStatus>,
}

fn look(round: u32, show: Option<InstanceName>, kept: &mut Kept) -> News {
    let mut news = News { statuses: Vec::new(), usage: BTreeMap::new(), at: Instant::now(), shown: None, error: None };
    if let Err(error) = find_out(round, show, kept, &mut news) {
        news.error = Some(error.to_string());
    }
    news
}

fn find_out(round: u32, show: Option<InstanceName>, kept: &mut Kept, news: &mut News) -> l4d2host::Result<()> {
    let host = match kept.host.take() {
        Some(host) => host,
        // As root, this process has become the owner before.
        None => Host::from_environment()?,
    };
    let host = &*kept.host.insert(host);
    let seldom = round % LOGS == 1;
    let mut statuses = host.all_statuses()?;
    host.observe(&mut statuses, Observe { logs: seldom, consoles: seldom, stats: seldom, ..Observe::default() })?;
    let names: Vec<InstanceName> = statuses.iter().map(|status| status.name.clone()).collect();
    news.usage = host.usage(&names)?;
    for status in &mut statuses {
        if let Some(last) = kept.seldom.get(&status.name).filter(|last| last.since == status.since) {
            keep(status, last, seldom);
        }
    }
    kept.seldom = statuses.iter().map(|status| (status.name.clone(), status.clone())).collect();
    news.statuses = statuses;
    news.shown = show.map(|name| of_one(host, name));
    Ok(())
}

/// Takes over what this look did not ask.
fn keep(status: &mut InstanceStatus, last: &InstanceStatus, asked: bool) {
    status.restarts = status.restarts.or(last.restarts);
    if let (false, Some(live), Some(last)) = (asked, status.live.as_mut(), last.live.as_ref()) {
        (live.fps, live.in_kb, live.out_kb) = (last.fps, last.in_kb, last.out_kb);
        live.hibernating = live.hibernating.or(last.hibernating.filter(|_| live.humans == last.humans));
    }
}

fn of_one(host: &Host, name: InstanceName) -> Shown {
    let options = LogOptions { lines: LINES, follow: false, ..LogOptions::default() };
    let log = host.stream_instance_logs(&name, &options).map(|lines| lines.map_while(Result::ok));
    let log = log.map_or_else(|error| vec![error.to_string().into_bytes()], |lines| lines.map(|l| l.message).collect());
    let players = host.rcon_address(&name).map_err(|error| error.to_string());
    let players = players
        .and_then(|(address, _)| a2s::players(address, Duration::from_millis(500)).map_err(|error| error.to_string()));
    Shown { name, players, log }
}
