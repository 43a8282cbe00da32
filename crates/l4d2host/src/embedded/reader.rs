//! Reading an instance's log: the last lines, those after a cursor, and those to come.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, UNIX_EPOCH};

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::fd::OwnedFd;
use rustix::fs::{fstat, inotify};
use rustix::io::Errno;

use super::console::{DIR, FILE_SIZE, LINE_SIZE, file_name, files, io};
use crate::{Error, ErrorKind, LogEntry, LogOptions, LogStream, Result};

/// What is read of a file at once.
const CHUNK: usize = 64 * 1024;

/// More than a line takes in a file, with what stands before its text.
const LONGEST_LINE: usize = LINE_SIZE + 64;

/// More than a file takes: it may end with what was read of the game at once.
const LONGEST_FILE: u64 = FILE_SIZE + 1024 * 1024;

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
    let watch = if options.follow { Some(watch(&root.open_dir(format!("runtime/{name}"))?, &dir)?) } else { None };
    let position = match &options.after_cursor {
        Some(cursor) => position_of_cursor(&dir, cursor)?,
        None => position_of_last(&dir, options.lines)?,
    };
    Ok(Box::new(Reader { dir, watch, position, file: None, buffer: VecDeque::new(), ended: false }))
}

/// Tells when something is written, and when the instance is deleted: then the log's directory goes from its parent,
/// which the log's own watch would not hear of as long as we have it open.
fn watch(parent: &Dir, dir: &Dir) -> Result<OwnedFd> {
    let failed = |errno: Errno| io("watch", dir, errno.into());
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).map_err(failed)?;
    let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
    inotify::add_watch(&watch, dir.proc_path(), flags).map_err(failed)?;
    inotify::add_watch(&watch, parent.proc_path(), inotify::WatchFlags::DELETE).map_err(failed)?;
    Ok(watch)
}

/// Where the line after the one with this cursor begins. One beyond the end is of a log that was deleted since: all of
/// the new one comes after it.
fn position_of_cursor(dir: &Dir, cursor: &str) -> Result<u64> {
    let foreign = || Error::new(ErrorKind::Usage, format!("{cursor:?} is not a cursor of this log"));
    // The kernel counts no further.
    let position: u64 = cursor.parse().ok().filter(|&position| position <= u64::MAX / 2).ok_or_else(foreign)?;
    let files = files(dir)?;
    let oldest = files.first().copied().unwrap_or(0);
    let Some(start) = files.into_iter().rev().find(|&start| start <= position) else { return Ok(oldest) };
    let Some(before) = (position - start).checked_sub(1) else { return Ok(position) };
    let mut byte = [0_u8];
    match dir.open_file(file_name(start))?.read_at(&mut byte, before).map_err(|e| io("read", dir, e))? {
        0 => Ok(oldest),
        _ if byte == *b"\n" => Ok(position),
        _ => Err(foreign()),
    }
}

/// Where the last `lines` lines begin, looking backwards.
fn position_of_last(dir: &Dir, lines: u32) -> Result<u64> {
    let files = files(dir)?;
    let mut missing = lines;
    let mut first = true;
    for &start in files.iter().rev() {
        let file = match dir.open_file(file_name(start)) {
            Ok(file) => file,
            // Rotated away since it was listed.
            Err(error) if error.errno() == Some(Errno::NOENT) => break,
            Err(error) => return Err(error.into()),
        };
        let mut end = file.metadata().map_err(|e| io("read", dir, e))?.len();
        if missing == 0 {
            return Ok(start + end);
        }
        let mut buffer = vec![0_u8; CHUNK];
        // None that a supervisor wrote, and it may have no line in it for a terabyte: what comes after it is shown.
        if end > LONGEST_FILE {
            return Ok(start + end);
        }
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
    watch: Option<OwnedFd>,
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
        let found = self.buffer.iter().position(|&b| b == b'\n');
        // Longer than a supervisor writes lines: given out in pieces, as one without an end would fill the memory.
        let (length, end) = match found {
            Some(length) => (length, 1),
            None if self.buffer.len() > LONGEST_LINE => (LONGEST_LINE, 0),
            None => return None,
        };
        let line: Vec<u8> = self.buffer.drain(..length + end).take(length).collect();
        self.position += (length + end) as u64;
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
            if fstat(&self.dir).is_ok_and(|stat| stat.st_nlink == 0) {
                return Ok(false);
            }
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

pub(super) fn parse(line: Vec<u8>, end: u64) -> LogEntry {
    let mut fields = line.splitn(3, |&b| b == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
    let (micros, priority) = (number(), number());
    let priority = priority.and_then(|priority| u8::try_from(priority).ok()).filter(|&priority| priority <= 7);
    match (micros, priority, fields.next()) {
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
