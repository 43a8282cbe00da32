//! Waiting until a server that was started answers: `--wait`.

use std::time::{Duration, Instant};

use names::InstanceName;
use srcds_query::a2s;

use crate::interrupt::Interrupted;
use crate::live::address;
use crate::supervisor::last_lines;
use crate::{Error, ErrorKind, Host, InstanceState, Result};

/// Between two looks. Nothing tells when a game begins to listen.
const PAUSE: Duration = Duration::from_millis(250);

impl Host {
    /// Waits until the server answers its first query, and says how long that took. One that ends or never answers is an
    /// error with its log's last lines.
    pub fn wait_until_answering(&self, name: &InstanceName, limit: Duration) -> Result<Duration> {
        let goes_on = format!("instance {name} goes on starting: `l4d2ctl status {name}` shows it");
        let interrupted = Interrupted::watch("interrupted: no longer waiting", goes_on)?;
        let begin = Instant::now();
        loop {
            let port = address(&self.open_for_reading()?, name, None);
            let answer = port.map(|address| a2s::info(address, PAUSE));
            if matches!(answer, Some(Ok(_))) {
                return Ok(begin.elapsed());
            }
            // The state after the query: an answer that comes in between is one of the run before.
            let ended = match self.state_of(name)? {
                // One that crashed is stopping first; how it ended shows when that is over.
                InstanceState::Running | InstanceState::Starting | InstanceState::Stopping | InstanceState::Unknown => {
                    None
                }
                InstanceState::CrashLooping => Some("it crashed"),
                InstanceState::Failed => Some("it failed"),
                InstanceState::Stopped => Some("it was stopped"),
            };
            if let Some(how) = ended {
                return Err(self.not_answering(
                    name,
                    ErrorKind::StartFailed,
                    &format!("instance {name} did not come up: {how}"),
                ));
            }
            if begin.elapsed() >= limit {
                let why =
                    answer.and_then(std::result::Result::err).map_or_else(String::new, |error| format!(": {error}"));
                let message = format!("instance {name} runs, but did not answer within {} s{why}", limit.as_secs());
                return Err(self.not_answering(name, ErrorKind::Timeout, &message));
            }
            interrupted.pause(PAUSE)?;
        }
    }

    /// An error about a server, with its log's last lines.
    pub(crate) fn not_answering(&self, name: &InstanceName, kind: ErrorKind, message: &str) -> Error {
        let error = Error::new(kind, message).hint(format!("`l4d2ctl logs {name}` shows more"));
        match last_lines(self.supervisor(), name) {
            Some(lines) => error.because(lines),
            None => error,
        }
    }
}
