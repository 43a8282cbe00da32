//! What was heard of the servers and is remembered: a few signs of their logs, so that each line is read once, and how often
//! each had been restarted when its run began, so that it is asked once for each run.
//!
//! The cost of a question is that of what happened since the one before. What is remembered is a file of the service
//! user's own, `heard.json` in the root directory; without it all of that is asked and read again, and no more is lost.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use names::InstanceName;
use overlay::beneath::Dir;
use serde::{Deserialize, Serialize};

use crate::{LogEntry, Result, Supervisor};

const FILE: &str = "heard.json";
const TEMPORARY: &str = "heard.json.new";
const MAX_SIZE: usize = 1024 * 1024;

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 2;

/// Of a log that can be read backwards from its end, no more than the last so many lines are read.
pub(crate) const LINES: u32 = 5000;

/// Where the reading of a log goes on, and since when (in seconds since 1970) no line of it was missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    pub(crate) cursor: String,
    pub(crate) from: u64,
}

/// The signs of one server's log, each with the time of its line, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signs {
    /// Whether Steam knows the server, as it last said.
    pub(crate) steam: Option<(u64, bool)>,
    /// It said that it has to be restarted for an update.
    pub(crate) update: Option<u64>,
    /// The port that it took.
    pub(crate) port: Option<(u64, u16)>,
}

impl Signs {
    fn take(&mut self, time: u64, line: &[u8]) {
        match sign(line) {
            Some(Sign::Steam(known)) => self.steam = Some((time, known)),
            Some(Sign::Update) => self.update = Some(time),
            Some(Sign::Port(port)) => self.port = Some((time, port)),
            None => {}
        }
    }

    /// Forgets what an earlier run said. To the second, as it is known no better when a run began: what was said in the second
    /// of a restart stays.
    fn of_run(&self, since: u64) -> Self {
        Self {
            steam: self.steam.filter(|(time, _)| *time >= since),
            update: self.update.filter(|time| *time >= since),
            port: self.port.filter(|(time, _)| *time >= since),
        }
    }
}

/// What a line of the log means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Steam(bool),
    Update,
    Port(u16),
}

/// The lines that mean something, by their beginnings. Only those: players can write anything, but what they write comes
/// after their names. (One who is called like such a line gets his server a false report, and nothing else.)
const SIGNS: [(&str, Sign); 7] = [
    ("Connection to Steam servers successful", Sign::Steam(true)),
    ("Connection to Steam servers lost", Sign::Steam(false)),
    ("Could not establish connection to Steam servers", Sign::Steam(false)),
    ("LAN servers are restricted to local clients", Sign::Steam(false)),
    ("MasterRequestRestart", Sign::Update),
    ("Your server needs to be restarted in order to receive the latest update", Sign::Update),
    ("Your server is out of date", Sign::Update),
];

/// What one line means, if anything.
pub(crate) fn sign(line: &[u8]) -> Option<Sign> {
    if let Some(rest) = line.strip_prefix(b"Network: IP ") {
        // "Network: IP 0.0.0.0, mode MP, dedicated Yes, ports 27015 SV / 27005 CL"
        let rest = std::str::from_utf8(rest).ok()?;
        let (port, _) = rest.split_once("ports ")?.1.split_once(' ')?;
        return port.parse().ok().map(Sign::Port);
    }
    SIGNS.iter().find(|(beginning, _)| line.starts_with(beginning.as_bytes())).map(|(_, sign)| *sign)
}

/// A server's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    /// When it began, in seconds since 1970.
    since: u64,
    /// How often the server had been restarted after a failure then, and until it ends.
    restarts: u32,
}

/// What is known of all servers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heard {
    format: u32,
    /// By log: a supervisor has one for all instances, or one for each.
    marks: BTreeMap<String, Mark>,
    servers: BTreeMap<String, Signs>,
    runs: BTreeMap<String, Run>,
}

/// Lines, each with the instance that printed it.
pub(crate) type NamedLines = Box<dyn Iterator<Item = Result<(InstanceName, LogEntry)>>>;

/// The new lines of a log.
pub(crate) struct News {
    /// Which of the marks it is.
    pub(crate) log: String,
    /// No more than the last so many are read, where there is a limit.
    pub(crate) limit: Option<u32>,
    /// In the order of the log.
    pub(crate) lines: NamedLines,
}

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "News({})", self.log)
    }
}

impl Heard {
    /// What is remembered; nothing where the file can't be read, whatever it is.
    pub(crate) fn read(root: &Dir) -> Self {
        let read = root.read_owned(FILE, MAX_SIZE).ok();
        let heard: Option<Self> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        heard.filter(|heard| heard.format == FORMAT).unwrap_or_default()
    }

    /// Replaces the file as a whole. Not synced: it is no loss.
    pub(crate) fn write(mut self, root: &Dir, instances: &[InstanceName]) -> Result<()> {
        self.format = FORMAT;
        let known = |name: &String| instances.iter().any(|instance| instance.as_str() == name);
        self.servers.retain(|name, signs| known(name) && *signs != Signs::default());
        self.runs.retain(|name, _| known(name));
        self.marks.retain(|log, _| log == crate::supervisor::systemd::JOURNAL || known(log));
        let bytes = serde_json::to_vec(&self)
            .map_err(|e| crate::Error::new(crate::ErrorKind::Internal, "can't write heard.json").because(e))?;
        root.remove(TEMPORARY)?;
        root.create_file(TEMPORARY, &bytes, 0o600)?;
        Ok(root.rename(TEMPORARY, root, FILE)?)
    }

    /// Begins to read what was logged since the last time.
    pub(crate) fn begin(&self, supervisor: &dyn Supervisor, names: &[InstanceName]) -> Result<Vec<News>> {
        supervisor.news(names, &self.marks)
    }

    /// Reads it; whether there was anything.
    pub(crate) fn take(&mut self, news: News) -> Result<bool> {
        let before = self.marks.get(&news.log).map(|mark| mark.from);
        let (mut count, mut first, mut cursor) = (0, None, None);
        for entry in news.lines {
            let (name, entry) = entry?;
            let time = entry.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |t| t.as_secs());
            count += 1;
            first = first.or(Some(time));
            cursor = entry.cursor.or(cursor);
            self.servers.entry(name.to_string()).or_default().take(time, &entry.message);
        }
        // As many as are read at most: some before them were missed.
        let from = if news.limit.is_some_and(|limit| count >= limit) {
            first.map(|first| first + 1)
        } else {
            before.or(Some(0))
        };
        if let (Some(cursor), Some(from)) = (cursor, from) {
            self.marks.insert(news.log, Mark { cursor, from });
        }
        Ok(count > 0)
    }

    /// How often a server was restarted, of which that run is the newest; none where it was not asked in that run.
    pub(crate) fn restarts(&self, name: &InstanceName, since: u64) -> Option<u32> {
        self.runs.get(name.as_str()).filter(|run| run.since == since).map(|run| run.restarts)
    }

    /// Remembers that, of a run that began in a second that is over.
    pub(crate) fn restarted(&mut self, name: &InstanceName, since: u64, restarts: u32) {
        self.runs.insert(name.to_string(), Run { since, restarts });
    }

    /// What the run that began at `since` has said, and whether all that it said was read.
    pub(crate) fn of(&self, log: &str, name: &InstanceName, since: u64) -> (Signs, bool) {
        let signs = self.servers.get(name.as_str()).cloned().unwrap_or_default();
        let whole = self.marks.get(log).is_some_and(|mark| mark.from <= since);
        (signs.of_run(since), whole)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn entry(time: u64, message: &str) -> LogEntry {
        let time = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(time));
        let cursor = Some(format!("after {message}"));
        LogEntry { time, priority: None, cursor, message: message.as_bytes().to_vec() }
    }

    fn news(limit: Option<u32>, lines: &[(&str, u64, &str)]) -> News {
        let lines: Vec<_> =
            lines.iter().map(|(name, time, line)| Ok((name.parse().unwrap(), entry(*time, line)))).collect();
        News { log: "journal".to_owned(), limit, lines: Box::new(lines.into_iter()) }
    }

    const LOST: &str = "LAN servers are restricted to local clients (class C).";
    const KNOWN: &str = "Connection to Steam servers successful.";

    #[test]
    fn lines_that_mean_something() {
        assert_eq!(sign(LOST.as_bytes()), Some(Sign::Steam(false)));
        assert_eq!(sign(KNOWN.as_bytes()), Some(Sign::Steam(true)));
        assert_eq!(sign(b"MasterRequestRestart"), Some(Sign::Update));
        let network = "Network: IP 0.0.0.0, mode MP, dedicated Yes, ports 27016 SV / 27005 CL";
        assert_eq!(sign(network.as_bytes()), Some(Sign::Port(27016)));
        // Nobody's chat, and nothing that is only like it.
        for line in [
            &b""[..],
            b"Coach: MasterRequestRestart",
            b"Network: IP",
            b"Network: IP x, ports 99999 SV",
            b"Network: IP \xff ports 1 SV",
        ] {
            assert_eq!(sign(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn the_last_word_of_this_run_counts() {
        let (a, b): (InstanceName, InstanceName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut heard = Heard::default();
        heard.take(news(Some(9), &[("a", 10, LOST), ("b", 11, KNOWN), ("a", 20, KNOWN), ("b", 21, LOST)])).unwrap();
        assert_eq!(heard.of("journal", &a, 5).0.steam, Some((20, true)));
        assert_eq!(heard.of("journal", &b, 5).0.steam, Some((21, false)));
        assert_eq!(heard.of("journal", &b, 30).0.steam, None, "a later run");
    }

    #[test]
    fn what_was_missed_is_known() {
        let a: InstanceName = "a".parse().unwrap();
        let whole = |heard: &Heard, since| heard.of("journal", &a, since).1;
        let mut heard = Heard::default();
        assert!(!whole(&heard, 100), "nothing was read yet");
        heard.take(news(Some(3), &[("a", 10, "x"), ("a", 20, "y")])).unwrap();
        assert!(whole(&heard, 1));
        assert_eq!(heard.marks["journal"].cursor, "after y");
        // As many as are read at most: there may have been more.
        heard.take(news(Some(3), &[("a", 30, "1"), ("a", 40, "2"), ("a", 50, "3")])).unwrap();
        assert!(!whole(&heard, 30) && whole(&heard, 31));
        // No news is no reason to forget where to go on.
        heard.take(news(Some(3), &[])).unwrap();
        assert!(!whole(&heard, 30) && whole(&heard, 31) && heard.marks["journal"].cursor == "after 3");
    }

    #[test]
    fn what_is_remembered_survives_and_what_is_gone_does_not() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open_root(&place.path().canonicalize().unwrap()).unwrap();
        let (a, b): (InstanceName, InstanceName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut heard = Heard::read(&root);
        heard.take(news(None, &[("a", 10, LOST), ("b", 11, LOST)])).unwrap();
        heard.restarted(&a, 10, 2);
        heard.restarted(&b, 10, 3);
        heard.write(&root, std::slice::from_ref(&a)).unwrap();
        let heard = Heard::read(&root);
        assert_eq!(heard.of("journal", &a, 0), (Signs { steam: Some((10, false)), ..Signs::default() }, true));
        assert_eq!(heard.of("journal", &b, 0).0, Signs::default());
        assert_eq!((heard.restarts(&a, 10), heard.restarts(&a, 11), heard.restarts(&b, 10)), (Some(2), None, None));
        for damage in ["", "{", "{\"format\":1,\"marks\":{},\"servers\":{},\"runs\":{}}"] {
            std::fs::write(place.path().join(FILE), damage).unwrap();
            assert_eq!(Heard::read(&root).of("journal", &a, 0), (Signs::default(), false), "{damage}");
        }
    }
}
