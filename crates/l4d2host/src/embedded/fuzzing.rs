//! The laws of what the embedded supervisor leaves for others to read, for `fuzz/`. Its files lie in the instance's own
//! directory, so anybody who is the service user may have written them.

use std::time::UNIX_EPOCH;

use super::console::{Entries, file_name, position_of};
use super::processes;
use super::reader::parse;
use super::state::{State, parse_start_time};
use crate::InstanceState;

pub(crate) fn supervisor_state(input: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(input) else { return };
    let printed = serde_json::to_vec(&state).expect("can be written");
    assert_eq!(serde_json::from_slice::<State>(&printed).ok(), Some(state.clone()));
    let ended = state.ended();
    assert!(ended.is_final(), "nobody holds the lock, so it does not run: {ended:?}");
    let details = ended.clone().details();
    assert_eq!(details.main_pid, None, "a process of somebody else's: {ended:?}");
    let unit = ended.unit();
    let state = InstanceState::from_unit(&unit.active_state, &unit.sub_state);
    assert!([InstanceState::Failed, InstanceState::Stopped].contains(&state), "{state:?}");
}

/// A program's name, which may hold anything: the start time of such a process, and of any other text no panic.
pub(crate) fn proc_stat(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    assert!(parse_start_time(&text).is_none_or(|_| text.contains(')')));
    let stat = format!("812 ({text}) S 1 812 812 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 1000 100 0");
    assert_eq!(parse_start_time(&stat), Some(987_654));

    // What it uses is read from the bytes as they are.
    let _ = processes::parse(input);
    let stat =
        [b"812 (", input, b") S 7 812 812 0 -1 4194560 100 0 0 0 250 50 30 20 15 -5 6 0 987654 1000 512 0"].concat();
    let process = processes::parse(&stat).expect("a process");
    assert_eq!((process.parent, process.threads), (7, 6));
}

/// A line of the log, the name of a log file, and the line that the console makes of a text.
pub(crate) fn log_lines(input: &[u8]) {
    let entry = parse(input.to_vec(), 42);
    assert!(input.ends_with(&entry.message) && entry.cursor.as_deref() == Some("42"));
    assert!(entry.priority.is_none_or(|priority| priority <= 7), "syslog has eight: {:?}", entry.priority);
    assert!(entry.time.is_some() || entry.message == input);

    if let Some(position) = std::str::from_utf8(input).ok().and_then(position_of) {
        assert_eq!(file_name(position).as_bytes(), input, "a name that would never be found again");
        assert!(position.checked_mul(2).is_some(), "a position from which nobody could count on");
    }

    let mut entries = Entries::default();
    entries.push(1_764_000_000_123_456, 6, input);
    let line = entries.bytes.strip_suffix(b"\n").expect("a line").to_vec();
    let entry = parse(line, 42);
    assert_eq!((entry.message.as_slice(), entry.priority), (input, Some(6)));
    let since = entry.time.expect("a time").duration_since(UNIX_EPOCH).expect("after 1970");
    assert_eq!(since.as_micros(), 1_764_000_000_123_456);
}
