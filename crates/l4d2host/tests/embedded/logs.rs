//! The log: nothing lost, bounded, resumable.

use std::fs;

use l4d2host::{ErrorKind, InstanceState, LogOptions};

use crate::host::{TestHost, text};

pub(crate) const TESTS: &[crate::Test] = &[
    ("a_flood_is_rotated_and_loses_nothing_in_between", a_flood_is_rotated_and_loses_nothing_in_between),
    ("the_last_lines_and_those_after_a_cursor", the_last_lines_and_those_after_a_cursor),
    ("hostile_output_is_kept_as_it_is", hostile_output_is_kept_as_it_is),
    ("following_ends_when_the_instance_is_deleted", following_ends_when_the_instance_is_deleted),
];

/// All that is there now.
pub(crate) fn no_follow() -> LogOptions {
    LogOptions { lines: 1000, follow: false, ..LogOptions::default() }
}

/// More than both files hold.
const FLOOD: u32 = 400_000;

fn a_flood_is_rotated_and_loses_nothing_in_between(t: &TestHost) {
    t.game(&format!("seq -f 'flood %.0f of many lines that fill the log' {FLOOD}; exec sleep 1000"));
    let mut follower = t.log(true).map(|entry| text(&entry.unwrap())).filter(|line| line.starts_with("flood"));
    t.start();
    let number = |line: &str| line.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
    // Who follows may fall behind what is kept; what it gets is in order, up to the last.
    let mut last = number(&follower.next().unwrap());
    while last < FLOOD {
        let next = number(&follower.next().unwrap());
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    let kept: Vec<u32> = t.lines().iter().filter(|line| line.starts_with("flood")).map(|line| number(line)).collect();
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no gap");
    assert!(kept.len() > 100_000 && kept[0] > 1 && kept.last() == Some(&FLOOD), "{} kept", kept.len());
    let files: Vec<u64> = fs::read_dir(t.root.join("runtime/one/log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(files.len() == 2 && files.iter().all(|size| *size < 10 << 20), "{files:?}");
}

fn the_last_lines_and_those_after_a_cursor(t: &TestHost) {
    t.game("seq 5; exec sleep 1000");
    t.start();
    t.wait_for("5", 1);
    let read = |lines, after_cursor: Option<&str>| {
        let after_cursor = after_cursor.map(str::to_owned);
        let options = LogOptions { lines, follow: false, after_cursor, details: true };
        t.host.stream_instance_logs(&t.one, &options).map(|entries| entries.map(Result::unwrap).collect::<Vec<_>>())
    };
    let entries = read(1000, None).unwrap();
    let lines: Vec<String> = entries.iter().map(text).collect();
    assert_eq!(lines, ["left4me: started", "1", "2", "3", "4", "5"]);
    assert_eq!(entries.iter().map(|entry| entry.priority.unwrap()).collect::<Vec<_>>(), [5, 6, 6, 6, 6, 6]);
    assert!(entries.iter().all(|entry| entry.time.is_some_and(|time| time.elapsed().unwrap().as_secs() < 3600)));
    for lines in 0..=6 {
        assert_eq!(read(lines, None).unwrap(), entries[6 - lines as usize..], "{lines}");
    }
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(read(0, entry.cursor.as_deref()).unwrap(), entries[index + 1..], "{index}");
    }
    for cursor in ["", "x", "-1", "1", "s=0;i=1", "9223372036854775808", "99999999999999999999999"] {
        assert_eq!(read(0, Some(cursor)).unwrap_err().kind(), ErrorKind::Usage, "{cursor}");
    }
    // Of a log that has been deleted since.
    assert_eq!(read(0, Some("1000000")).unwrap(), entries);
    // The log goes on where it was, also over a new start.
    t.stop();
    t.start();
    t.wait_for("5", 2);
    let more = read(0, entries[5].cursor.as_deref()).unwrap();
    let more: Vec<String> = more.iter().map(text).collect();
    assert_eq!(more, ["left4me: asked to end", "left4me: ended", "left4me: started", "1", "2", "3", "4", "5"]);
}

fn hostile_output_is_kept_as_it_is(t: &TestHost) {
    t.game("printf '\\033[2J\\377\\000x\\n\\nlast\\n'; head -c 100000 /dev/zero | tr '\\0' y; echo; printf unended; exit 0");
    t.start();
    t.wait_for_end();
    let entries: Vec<Vec<u8>> = t.log(false).map(|entry| entry.unwrap().message).collect();
    assert!(entries.contains(&b"\x1b[2J\xff\0x".to_vec()) && entries.contains(&Vec::new()));
    let long: Vec<&Vec<u8>> = entries.iter().filter(|line| line.starts_with(b"y")).collect();
    assert_eq!(long.iter().map(|line| line.len()).sum::<usize>(), 100_000);
    assert!(long.iter().all(|line| line.len() <= 16 * 1024));
    assert_eq!(entries[entries.len() - 2..], [b"unended".to_vec(), b"left4me: ended".to_vec()]);
}

fn following_ends_when_the_instance_is_deleted(t: &TestHost) {
    t.game("exec sleep 1000");
    t.start();
    let mut log = t.log(true);
    assert_eq!(text(&log.next().unwrap().unwrap()), "left4me: started");
    t.host.delete(&t.one, None).unwrap();
    let rest: Vec<String> = log.map(|entry| text(&entry.unwrap())).collect();
    assert_eq!(rest, ["left4me: asked to end", "left4me: ended"]);
    assert!(t.host.all_statuses().unwrap().iter().all(|status| status.state != InstanceState::Running));
}
