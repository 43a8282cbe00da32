//! Waiting until a server that was started answers: `--wait`.

use std::time::{Duration, Instant};

use names::InstanceName;
use srcds_query::a2s;

use crate::interrupt::Interrupted;
use crate::live::address_of;
use crate::{Error, ErrorKind, Host, InstanceState, LogOptions, Result};

/// Between two looks. Nothing tells when a game begins to listen.
const PAUSE: Duration = Duration::from_millis(250);

/// How many of the last lines explain that it did not.
const CAUSE_LINES: u32 = 10;

impl Host {
    /// Waits until the server answers its first query, and says how long that took. One that ends or never answers is an
    /// error with its log's last lines.
    pub fn wait_until_answering(&self, name: &InstanceName, limit: Duration) -> Result<Duration> {
        let goes_on = format!("instance {name} goes on starting: `l4d2ctl status {name}` shows it");
        let interrupted = Interrupted::watch("interrupted: no longer waiting", goes_on)?;
        let begin = Instant::now();
        loop {
            let port = address_of(&self.open_for_reading()?, name);
            let answer = port.map(|address| a2s::info(address, PAUSE));
            if matches!(answer, Some(Ok(_))) {
                return Ok(begin.elapsed());
            }
            // The state after the query: an answer that comes in between is one of the run before.
            let ended = match self.state_of(name)? {
                InstanceState::Running | InstanceState::Starting | InstanceState::Unknown => None,
                InstanceState::CrashLooping => Some("it crashed"),
                InstanceState::Failed => Some("it failed"),
                InstanceState::Stopped | InstanceState::Stopping => Some("it was stopped"),
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

    fn not_answering(&self, name: &InstanceName, kind: ErrorKind, message: &str) -> Error {
        let error = Error::new(kind, message).hint(format!("`l4d2ctl logs {name}` shows more"));
        let options = LogOptions { lines: CAUSE_LINES, follow: false, ..LogOptions::default() };
        let lines: Vec<String> = match self.supervisor().logs(name, &options) {
            Ok(lines) => {
                lines.map_while(Result::ok).map(|e| String::from_utf8_lossy(&e.message).into_owned()).collect()
            }
            Err(_) => Vec::new(),
        };
        if lines.is_empty() {
            error
        } else {
            error.because(format!("the last lines of its log:\n{}", lines.join("\n")))
        }
    }
}
