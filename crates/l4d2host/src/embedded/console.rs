//! What the game printed: `runtime/NAME/log`, bounded in size.
//!
//! A file is named by the position of its first byte in all that was ever logged, so a position is enough to resume
//! from, also after the oldest file has gone. A line is `MICROSECONDS PRIORITY TEXT`: the time since 1970, and syslog's
//! priority, 6 for the game and 5 for the supervisor's own remarks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::fs::inotify;
use rustix::io::Errno;

use crate::{Error, ErrorKind, LogEntry, LogOptions, LogStream, Result};

const DIR: &str = "log";

/// A file takes no more than this, and there are at most so many: 16 MiB an instance.
const FILE_SIZE: u64 = 8 * 1024 * 1024;
const FILES: usize = 2;

/// A longer line is broken, so that one without an end costs no memory.
const LINE_SIZE: usize = 16 * 1024;

/// What is read of a file at once.
const CHUNK: usize = 64 * 1024;

const GAME: u8 = 6;
const REMARK: u8 = 5;

fn file_name(position: u64) -> String {
    format!("console-{position:020}.log")
}

/// The positions at which the files of a log begin, oldest first.
fn files(dir: &Dir) -> Result<Vec<u64>> {
    let position = |name: &str| name.strip_prefix("console-")?.strip_suffix(".log")?.parse().ok();
    let mut files: Vec<u64> = dir.entries()?.iter().filter_map(|name| position(name.to_str()?)).collect();
    files.sort_unstable();
    Ok(files)
}

fn io(what: &str, dir: &Dir, error: std::io::Error) -> Error {
    Error::io(format!("can't {what} {}", dir.label()), error)
}

/// The end that is written to.
pub(super) struct Console {
    dir: Dir,
    file: File,
    start: u64,
    size: u64,
    /// A line whose end has not come yet.
    line: Vec<u8>,
}

impl Console {
    pub(super) fn open(runtime: &Dir) -> Result<Self> {
        let dir = runtime.make_dir(DIR, 0o700)?;
        let start = files(&dir)?.last().copied().unwrap_or(0);
        let mut file = dir.open_or_create(file_name(start), 0o600)?;
        let size = file.seek(SeekFrom::End(0)).map_err(|e| io("read", &dir, e))?;
        Ok(Self { dir, file, start, size, line: Vec::new() })
    }

    /// Logs what the game printed, line by line.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<()> {
        let time = now_micros();
        let mut entries = Vec::with_capacity(text.len() + 64);
        for piece in text.split_inclusive(|&b| b == b'\n') {
            let (piece, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            self.line.extend_from_slice(piece);
            while self.line.len() > LINE_SIZE {
                let rest = self.line.split_off(LINE_SIZE);
                push_entry(&mut entries, time, GAME, &self.line);
                self.line = rest;
            }
            if ends {
                push_entry(&mut entries, time, GAME, &self.line);
                self.line.clear();
            }
        }
        self.append(&entries)
    }

    /// Logs a line of the supervisor's own.
    pub(super) fn note(&mut self, text: &str) -> Result<()> {
        let mut entry = Vec::new();
        push_entry(&mut entry, now_micros(), REMARK, format!("left4me: {text}").as_bytes());
        self.append(&entry)
    }

    /// Logs a last line that never ended.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.line.is_empty() { Ok(()) } else { self.write(b"\n") }
    }

    fn append(&mut self, entries: &[u8]) -> Result<()> {
        self.file.write_all(entries).map_err(|e| io("write", &self.dir, e))?;
        self.size += u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if self.size >= FILE_SIZE { self.rotate() } else { Ok(()) }
    }

    fn rotate(&mut self) -> Result<()> {
        self.start += self.size;
        self.size = 0;
        self.file = self.dir.create_file(file_name(self.start), b"", 0o600)?;
        let files = files(&self.dir)?;
        for old in files.iter().rev().skip(FILES) {
            self.dir.remove(file_name(*old))?;
        }
        Ok(())
    }
}

fn push_entry(entries: &mut Vec<u8>, micros: u64, priority: u8, line: &[u8]) {
    entries.extend_from_slice(format!("{micros} {priority} ").as_bytes());
    entries.extend_from_slice(line);
    entries.push(b'\n');
}

fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Reads the log of an instance.
pub(super) fn stream(root: &Dir, name: &InstanceName, options: &LogOptions) -> Result<LogStream> {
    let path = format!("runtime/{name}/{DIR}");
    let dir = match root.open_dir(&path) {
        Ok(dir) => dir,
        Err(error) if error.errno() == Some(Errno::NOENT) && !options.follow => {
            return Ok(Box::new(std::iter::empty()));
        }
        Err(error) if error.errno() == Some(Errno::NOENT) => {
            // To be there for whoever starts it: a watch needs something to watch.
            root.make_dirs(&path, 0o700)?
        }
        Err(error) => return Err(error.into()),
    };
    // Before the first look, so that nothing written in between is missed.
    let watch = if options.follow { Some(watch(&dir)?) } else { None };
    let position = match &options.after_cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::new(ErrorKind::Usage, format!("{cursor:?} is not a cursor of this log")))?,
        None => position_of_last(&dir, options.lines)?,
    };
    Ok(Box::new(Reader { dir, watch, position, file: None, buffer: VecDeque::new(), ended: false }))
}

fn watch(dir: &Dir) -> Result<rustix::fd::OwnedFd> {
    let failed = |errno: Errno| io("watch", dir, errno.into());
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).map_err(failed)?;
    let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
    inotify::add_watch(&watch, dir.proc_path(), flags).map_err(failed)?;
    Ok(watch)
}

/// Where the last `lines` lines begin, looking backwards.
fn position_of_last(dir: &Dir, lines: u32) -> Result<u64> {
    let files = files(dir)?;
    let mut missing = lines;
    let mut first = true;
    for &start in files.iter().rev() {
        let file = dir.open_file(file_name(start))?;
        let mut end = file.metadata().map_err(|e| io("read", dir, e))?.len();
        if missing == 0 {
            return Ok(start + end);
        }
        let mut buffer = vec![0_u8; CHUNK];
        while end > 0 {
            let begin = end.saturating_sub(CHUNK as u64);
            let chunk = &mut buffer[..usize::try_from(end - begin).unwrap_or(CHUNK)];
            file.read_exact_at(chunk, begin).map_err(|e| io("read", dir, e))?;
            for (index, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                // The very last newline ends the last line and begins none.
                if std::mem::take(&mut first) {
                    continue;
                }
                missing -= 1;
                if missing == 0 {
                    return Ok(start + begin + index as u64 + 1);
                }
            }
            end = begin;
        }
    }
    Ok(files.first().copied().unwrap_or(0))
}

struct Reader {
    dir: Dir,
    /// Says when there is more; none for a reader that does not follow.
    watch: Option<rustix::fd::OwnedFd>,
    /// Of the first byte that was not given out yet; what is in `buffer` comes after it.
    position: u64,
    file: Option<(u64, File)>,
    buffer: VecDeque<u8>,
    ended: bool,
}

impl Iterator for Reader {
    type Item = Result<LogEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if let Some(entry) = self.take_line() {
                return Some(Ok(entry));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Reader {
    fn take_line(&mut self) -> Option<LogEntry> {
        let length = self.buffer.iter().position(|&b| b == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=length).take(length).collect();
        self.position += length as u64 + 1;
        Some(parse(line, self.position))
    }

    /// Reads on, waiting for more where that is wanted; false at the end.
    fn fill(&mut self) -> Result<bool> {
        loop {
            let next = self.position + self.buffer.len() as u64;
            if self.read_at(next)? || self.open_file_of(next)? {
                return Ok(true);
            }
            let Some(watch) = &self.watch else { return Ok(false) };
            let mut events = [0_u8; 4096];
            match rustix::io::read(watch, &mut events) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(io("watch", &self.dir, errno.into())),
            }
        }
    }

    /// Reads what the open file has at a position; false if that is nothing.
    fn read_at(&mut self, position: u64) -> Result<bool> {
        let Some((start, file)) = &self.file else { return Ok(false) };
        let mut chunk = vec![0_u8; CHUNK];
        let count = file.read_at(&mut chunk, position - start).map_err(|e| io("read", &self.dir, e))?;
        self.buffer.extend(&chunk[..count]);
        Ok(count > 0)
    }

    /// Opens the file that holds a position, if it is another than the open one and has anything there. One that is gone
    /// is passed over.
    fn open_file_of(&mut self, position: u64) -> Result<bool> {
        let files = files(&self.dir)?;
        let start = files.iter().rev().find(|&&start| start <= position).or(files.first()).copied();
        let Some(start) = start.filter(|&start| self.file.as_ref().is_none_or(|(open, _)| *open != start)) else {
            return Ok(false);
        };
        let file = match self.dir.open_file(file_name(start)) {
            Ok(file) => file,
            // Rotated away since it was listed: the next look finds a newer one.
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        if position < start {
            self.buffer.clear();
            self.position = start;
        }
        self.file = Some((start, file));
        Ok(true)
    }
}

fn parse(line: Vec<u8>, end: u64) -> LogEntry {
    let mut fields = line.splitn(3, |&b| b == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
    let (micros, priority) = (number(), number());
    match (micros, priority.and_then(|priority| u8::try_from(priority).ok()), fields.next()) {
        (Some(micros), Some(priority), Some(message)) => LogEntry {
            time: Some(UNIX_EPOCH + Duration::from_micros(micros)),
            priority: Some(priority),
            cursor: Some(end.to_string()),
            message: message.to_vec(),
        },
        // Not ours: shown as it is.
        _ => LogEntry { time: None, priority: None, cursor: Some(end.to_string()), message: line },
    }
}
