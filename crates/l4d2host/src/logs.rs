//! An instance's log, from either supervisor.

use std::time::SystemTime;

use crate::Result;

/// What to read of a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The last so many lines first. Predecessor's default: 200.
    pub lines: u32,
    /// Go on with what is written from then on.
    pub follow: bool,
    /// Begin after this entry instead.
    pub after_cursor: Option<String>,
    /// Ask for time, priority and cursor of each entry, which the journal charges for.
    pub details: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { lines: 200, follow: true, after_cursor: None, details: false }
    }
}

/// One line of a log. The message is whatever the game printed: hostile, maybe not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was logged; none without [`LogOptions::details`].
    pub time: Option<SystemTime>,
    /// syslog priority, 0 to 7; none without [`LogOptions::details`].
    pub priority: Option<u8>,
    /// Where [`LogOptions::after_cursor`] resumes; none without [`LogOptions::details`].
    pub cursor: Option<String>,
    /// The line, without its newline.
    pub message: Vec<u8>,
}

/// The entries, oldest first; ends with the log, or never when it follows. Dropping it leaves nothing behind.
pub type LogStream = Box<dyn Iterator<Item = Result<LogEntry>>>;
