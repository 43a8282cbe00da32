//! The journal of an instance, from the helper's `journalctl`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use names::InstanceName;
use serde_json::Value;

use crate::heard::NamedLines;
use crate::process::{exit_code, spawn_error};
use crate::{Error, ErrorKind, LogEntry, LogStream, Result};

/// journald's own limit for a field is 48 MiB; a line is cut where nobody could read it any more.
const MAX_LINE: u64 = 1024 * 1024;

/// The entries that `command` prints; ends the child when dropped.
pub(super) fn stream(command: Command, json: bool) -> Result<LogStream> {
    let lines = Journal::begin(command)?;
    Ok(if json { Box::new(lines.map(|line| parse(&line?))) } else { Box::new(lines.map(|line| line.map(plain))) })
}

/// What the servers printed, each line with its instance, from a `command` that prints JSON. A line that can't be read,
/// as one that was cut, is left out.
pub(super) fn of_all(command: Command) -> Result<NamedLines> {
    let named = |line: Vec<u8>| {
        let value: Value = serde_json::from_slice(&line).ok()?;
        let name = InstanceName::from_unit(value.get("_SYSTEMD_UNIT")?.as_str()?)?;
        Some((name, entry(&value)))
    };
    Ok(Box::new(Journal::begin(command)?.filter_map(move |line| line.map(named).transpose())))
}

struct Journal {
    child: Child,
    lines: BufReader<ChildStdout>,
    ended: bool,
}

impl Iterator for Journal {
    /// A line, without its newline.
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut line = Vec::new();
        match self.lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Err(error) => {
                self.ended = true;
                Some(Err(Error::io("can't read the journal", error)))
            }
            Ok(0) => {
                self.ended = true;
                self.end()
            }
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Some(Ok(line))
            }
        }
    }
}

impl Journal {
    fn begin(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| spawn_error("/usr/bin/sudo", e))?;
        let stdout = child.stdout.take().ok_or_else(|| Error::new(ErrorKind::Internal, "a child has no stdout"))?;
        Ok(Self { child, lines: BufReader::with_capacity(64 * 1024, stdout), ended: false })
    }

    /// The child has closed its output: how did it end?
    fn end(&mut self) -> Option<Result<Vec<u8>>> {
        match self.child.wait() {
            Ok(status) if status.success() => None,
            Ok(status) => Some(Err(Error::child("can't read the journal", exit_code(status)))),
            Err(error) => Some(Err(Error::io("can't wait for journalctl", error))),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // sudo runs as root and can't be killed by us; it and journalctl end when their output has no reader, which is
        // what dropping `lines` next makes of it. Where there is no sudo in between, this ends the child at once.
        let _ = self.child.kill();
        let _ = self.child.try_wait();
    }
}

fn plain(message: Vec<u8>) -> LogEntry {
    LogEntry { time: None, priority: None, cursor: None, message }
}

/// One line of `journalctl -o json`. A field that is not UTF-8 is an array of bytes, one that is repeated an array of
/// values, one that is too large null.
pub(super) fn parse(line: &[u8]) -> Result<LogEntry> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|e| Error::new(ErrorKind::Internal, "can't read what journalctl printed").because(e))?;
    Ok(entry(&value))
}

fn entry(value: &Value) -> LogEntry {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let micros = text("__REALTIME_TIMESTAMP").and_then(|time| time.parse().ok());
    LogEntry {
        time: micros.map(|micros| UNIX_EPOCH + Duration::from_micros(micros)),
        priority: text("PRIORITY").and_then(|priority| priority.parse().ok()).filter(|&priority| priority <= 7),
        cursor: text("__CURSOR").map(str::to_owned),
        message: value.get("MESSAGE").map(message).unwrap_or_default(),
    }
}

fn message(field: &Value) -> Vec<u8> {
    match field {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(values) => match values.iter().map(byte).collect() {
            Some(bytes) => bytes,
            None => values.first().map(message).unwrap_or_default(),
        },
        _ => Vec::new(),
    }
}

fn byte(value: &Value) -> Option<u8> {
    value.as_u64().and_then(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_each_of_their_forms() {
        let read = |message: &str| parse(format!(r#"{{"MESSAGE":{message}}}"#).as_bytes()).unwrap().message;
        assert_eq!(read(r#""text""#), b"text");
        assert_eq!(read("[255,27,65]"), [255, 27, 65]);
        assert_eq!(read(r#"["first","second"]"#), b"first");
        assert_eq!(read("null"), b"");
        assert_eq!(read("[]"), b"");
        assert!(parse(b"{").is_err());
    }

    #[test]
    fn time_priority_and_cursor() {
        let line = br#"{"MESSAGE":"m","PRIORITY":"6","__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1764000000123456"}"#;
        let entry = parse(line).unwrap();
        assert_eq!(entry.time, Some(UNIX_EPOCH + Duration::from_micros(1_764_000_000_123_456)));
        assert_eq!((entry.priority, entry.cursor.as_deref()), (Some(6), Some("s=1;i=2")));
        for priority in ["8", "255", "256", "-1", "x"] {
            let line = format!(r#"{{"MESSAGE":"m","PRIORITY":"{priority}"}}"#);
            assert_eq!(parse(line.as_bytes()).unwrap().priority, None, "{priority}: there are eight");
        }
    }
}
