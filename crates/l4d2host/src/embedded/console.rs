//! What the game printed: `runtime/NAME/log`, bounded in size.
//!
//! A file is named by the position of its first byte in all that was ever logged, so a position is enough to resume
//! from, also after the oldest file has gone. A line is `MICROSECONDS PRIORITY TEXT`: the time since 1970, and syslog's
//! priority, 6 for the game and 5 for the supervisor's own remarks.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{SystemTime, UNIX_EPOCH};

use overlay::beneath::Dir;

use crate::{Error, Result};

pub(super) const DIR: &str = "log";

/// A file takes no more than this, and there are at most so many: 16 MiB an instance.
pub(super) const FILE_SIZE: u64 = 8 * 1024 * 1024;
const FILES: usize = 2;

/// A longer line is broken, so that one without an end costs no memory.
pub(super) const LINE_SIZE: usize = 16 * 1024;

const GAME: u8 = 6;
const REMARK: u8 = 5;

pub(super) fn file_name(position: u64) -> String {
    format!("console-{position:020}.log")
}

/// The positions at which the files of a log begin, oldest first.
pub(super) fn files(dir: &Dir) -> Result<Vec<u64>> {
    let mut files: Vec<u64> = dir.entries()?.iter().filter_map(|name| position_of(name.to_str()?)).collect();
    files.sort_unstable();
    Ok(files)
}

/// The position that a file of a log is named by; none for any other file. Only one that [`file_name`] gives: a reader
/// would look for another (`console-5.log`) again and again under its right name. And none that nothing can be added to.
pub(super) fn position_of(name: &str) -> Option<u64> {
    let position = name.strip_prefix("console-")?.strip_suffix(".log")?.parse().ok()?;
    (position <= u64::MAX / 2 && file_name(position) == name).then_some(position)
}

pub(super) fn io(what: &str, dir: &Dir, error: std::io::Error) -> Error {
    Error::io(format!("can't {what} {}", dir.label()), error)
}

/// The end that is written to.
///
/// Writing never fails for the caller: a full disk must not end a server. What can't be written is lost, and counted.
pub(super) struct Console {
    dir: Dir,
    file: File,
    start: u64,
    size: u64,
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// How many lines were lost since the last that could be written.
    lost: u64,
}

impl Console {
    pub(super) fn open(runtime: &Dir) -> Result<Self> {
        let dir = runtime.make_dir(DIR, 0o700)?;
        let start = files(&dir)?.last().copied().unwrap_or(0);
        let mut file = dir.open_or_create(file_name(start), 0o600)?;
        let mut metadata = file.metadata().map_err(|e| io("read", &dir, e))?;
        if metadata.nlink() > 1 {
            // A file of some other place has this name, too: only the name is ours to write to.
            dir.remove(file_name(start))?;
            file = dir.create_file(file_name(start), b"", 0o600)?;
            metadata = file.metadata().map_err(|e| io("read", &dir, e))?;
        }
        let size = metadata.len();
        Ok(Self { dir, file, start, size, line: Vec::new(), lost: 0 })
    }

    /// Logs what the game printed, line by line.
    pub(super) fn write(&mut self, text: &[u8]) {
        let time = now_micros();
        let mut entries = Entries::default();
        for piece in text.split_inclusive(|&b| b == b'\n') {
            let (piece, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            self.line.extend_from_slice(piece);
            while self.line.len() > LINE_SIZE {
                let rest = self.line.split_off(LINE_SIZE);
                entries.push(time, GAME, &self.line);
                self.line = rest;
            }
            if ends {
                entries.push(time, GAME, &self.line);
                self.line.clear();
            }
        }
        self.append(&entries);
    }

    /// Logs a line of the supervisor's own.
    pub(super) fn note(&mut self, text: &str) {
        let mut entries = Entries::default();
        entries.push(now_micros(), REMARK, format!("left4me: {text}").as_bytes());
        self.append(&entries);
    }

    /// Logs a last line that never ended.
    pub(super) fn flush(&mut self) {
        if !self.line.is_empty() {
            self.write(b"\n");
        }
    }

    fn append(&mut self, entries: &Entries) {
        let written = self.say_what_was_lost().and_then(|()| self.try_append(entries));
        if written.is_err() {
            self.lost += entries.count;
        }
    }

    fn say_what_was_lost(&mut self) -> Result<()> {
        if self.lost == 0 {
            return Ok(());
        }
        let mut entries = Entries::default();
        let text = format!("left4me: {} lines before this one could not be written (is the disk full?)", self.lost);
        entries.push(now_micros(), REMARK, text.as_bytes());
        self.try_append(&entries)?;
        self.lost = 0;
        Ok(())
    }

    fn try_append(&mut self, entries: &Entries) -> Result<()> {
        if self.size >= FILE_SIZE {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all_at(&entries.bytes, self.size) {
            // Away with what was written of it, or half a line would stand there; if that fails, too, it is overwritten.
            let _ = self.file.set_len(self.size);
            return Err(io("write", &self.dir, error));
        }
        self.size += entries.bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        let old = files(&self.dir)?;
        // First, as on a full disk the new file needs what this frees.
        for start in old.iter().rev().skip(FILES - 1) {
            self.dir.remove(file_name(*start))?;
        }
        let start = self.start + self.size;
        self.file = self.dir.create_file(file_name(start), b"", 0o600)?;
        (self.start, self.size) = (start, 0);
        Ok(())
    }
}

/// Lines as they stand in a file.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) bytes: Vec<u8>,
    count: u64,
}

impl Entries {
    pub(super) fn push(&mut self, micros: u64, priority: u8, line: &[u8]) {
        self.bytes.extend_from_slice(format!("{micros} {priority} ").as_bytes());
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.count += 1;
    }
}

fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_log_gives_its_files_are_its_files() {
        for position in [0, 5, 8_388_608, u64::MAX / 2] {
            assert_eq!(position_of(&file_name(position)), Some(position));
        }
        // A reader went round in circles for ever looking for the first, and counted over the end from the last.
        for name in ["console-5.log", "console-+0000000000000000005.log", "console-.log", &file_name(u64::MAX)] {
            assert_eq!(position_of(name), None, "{name}");
        }
    }
}
