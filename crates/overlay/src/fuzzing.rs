//! What must hold of whatever is handed to the parsers of this crate. A function breaks where a law does; `fuzz/` calls
//! them, by chance and by libFuzzer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use names::fuzzing::Target;

use crate::mountinfo::{self, Entry};
use crate::record::Record;
use crate::trusted;

/// The parsers of this crate.
pub const TARGETS: &[Target] =
    &[("mountinfo", mountinfo), ("mountinfo_escapes", mountinfo_escapes), ("record", record), ("root_file", root_file)];

fn mountinfo(input: &[u8]) {
    let entries: Vec<Entry> = mountinfo::parse(input).collect();
    let whole = |line: &&[u8]| line.windows(3).any(|window| window == b" - ");
    assert!(entries.len() <= input.split(|&b| b == b'\n').filter(whole).count());
    let size: usize = entries.iter().map(|entry| entry.mount_point.as_os_str().len() + entry.source.len()).sum();
    assert!(size <= input.len(), "escapes never make anything longer");
    let ours: Vec<Entry> = mountinfo::overlays_of(input, "left4me-one").collect();
    assert!(ours.iter().all(|entry| entry.fs_type == b"overlay" && entry.source == b"left4me-one"));
    let of_all = entries.into_iter().filter(|entry| entry.fs_type == b"overlay" && entry.source == b"left4me-one");
    assert_eq!(ours, of_all.collect::<Vec<_>>());
}

/// A mount point and a source, a line each, as the kernel would print them: both come back, and nothing they hold makes
/// a second mount of the line.
fn mountinfo_escapes(input: &[u8]) {
    let mut parts = input.splitn(2, |&b| b == b'\0');
    let (place, source) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (place_there, source_there) = (escape(place), escape(source));
    let line = [&b"95 22 0:52 / "[..], &place_there, b" rw shared:7 - overlay ", &source_there, b" rw\n"].concat();
    let entries: Vec<Entry> = mountinfo::parse(&line).collect();
    let [entry] = entries.as_slice() else { panic!("{} mounts in {line:?}", entries.len()) };
    assert_eq!((entry.id, entry.device), (95, (0, 52)));
    assert_eq!((entry.mount_point.as_os_str(), entry.source.as_slice()), (OsStr::from_bytes(place), source));
}

/// As the kernel escapes (fs/proc_namespace.c, `mangle` and `seq_path`).
fn escape(text: &[u8]) -> Vec<u8> {
    let octal = |byte: u8| vec![b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)];
    text.iter().flat_map(|&b| if b" \t\n\\#".contains(&b) { octal(b) } else { vec![b] }).collect()
}

fn record(input: &[u8]) {
    let Some(record) = Record::parse(input) else { return };
    assert_eq!(Record::parse(record.print().as_bytes()), Some(record));
}

fn root_file(input: &[u8]) {
    let Some(path) = trusted::parse(input) else { return };
    let text = path.as_os_str().as_bytes();
    assert_eq!([text, b"\n"].concat(), input, "taken as it is");
    assert!(path.is_absolute() && path != Path::new("/") && !text.iter().any(u8::is_ascii_control));
    assert!(path.components().skip(1).all(|part| matches!(part, Component::Normal(_))));
    // What `components` passes over.
    assert!(text[1..].split(|&b| b == b'/').all(|part| ![&b""[..], b"."].contains(&part)), "{}", path.display());
}
