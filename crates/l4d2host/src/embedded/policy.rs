//! When a game that ended is started again: the unit's policy, in the unit's numbers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitStatus};

/// `RestartSec=`.
pub(super) const RESTART_DELAY: Duration = Duration::from_secs(5);

/// `StartLimitBurst=` and `StartLimitIntervalSec=`. Ten minutes, because the game dies at map load, 10 to 30 s after its
/// start: five such runs do not fit into one minute.
const START_LIMIT: usize = 5;
const START_INTERVAL: Duration = Duration::from_secs(600);

/// How a run ended, in systemd's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// `success`: exit code 0, or one of the signals that ask for an end (`Restart=on-failure`, systemd.service(5)).
    Cleanly,
    /// `exit-code`.
    ExitCode(i32),
    /// `signal`.
    Signal(i32),
}

impl Ended {
    pub(super) fn of(status: WaitStatus) -> Self {
        let clean = [Signal::HUP, Signal::INT, Signal::TERM, Signal::PIPE];
        match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => Self::Cleanly,
            (Some(code), _) => Self::ExitCode(code),
            (None, Some(signal)) if clean.iter().any(|clean| clean.as_raw() == signal) => Self::Cleanly,
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }

    /// systemd's `Result`.
    pub(super) fn result(self) -> &'static str {
        match self {
            Self::Cleanly => "success",
            Self::ExitCode(_) => "exit-code",
            Self::Signal(_) => "signal",
        }
    }

    /// systemd's two words for a server that ended so and is not started again.
    pub(super) fn state(self) -> (&'static str, &'static str) {
        if self == Self::Cleanly { ("inactive", "dead") } else { ("failed", "failed") }
    }
}

/// The starts that still count.
#[derive(Debug, Default)]
pub(super) struct Starts(VecDeque<Instant>);

impl Starts {
    /// Counts a start, unless there were too many.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|&first| now.duration_since(first) >= START_INTERVAL) {
            self.0.pop_front();
        }
        if self.0.len() == START_LIMIT {
            return false;
        }
        self.0.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_starts_in_ten_minutes() {
        let mut starts = Starts::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        for n in 0..5 {
            assert!(starts.allow(at(n * 30)));
        }
        assert!(!starts.allow(at(599)));
        assert!(starts.allow(at(600)), "the first no longer counts");
        assert!(!starts.allow(at(601)));
    }
}
