//! What is heard of one run of SteamCMD: its events, its last lines, and all that it printed.

use std::fs::File;
use std::io::{ErrorKind as Io, Read};
use std::time::Duration;

use rustix::io::Errno;

use super::Progress;
use super::output::{Event, Lines, parse};
use crate::interrupt::Interrupted;
use crate::{Error, Result};

/// How many of its last lines explain a failure, and how many events are kept to find the reason in.
const LAST_LINES: usize = 8;
const MAX_EVENTS: usize = 1000;

/// How much is kept of all that it prints. What Steam knows of an app has some ten KiB.
const MAX_TEXT: usize = 1024 * 1024;

/// How much is read after its end: a pty holds some 64 KiB.
const MAX_REST: usize = 256 * 1024;

/// What is heard of one run.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) pass: &'static str,
    pub(super) lines: Lines,
    pub(super) events: Vec<Event>,
    pub(super) last: Vec<String>,
    /// What it printed, from its beginning.
    pub(super) text: String,
}

impl Listener {
    /// Reads once; says how much there was.
    pub(super) fn listen(&mut self, master: &mut File, on_progress: &mut dyn FnMut(&Progress)) -> Result<usize> {
        let mut chunk = [0_u8; 4096];
        let length = match master.read(&mut chunk) {
            Ok(length) => length,
            // How Linux says that nobody has the other end any more.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => 0,
            Err(error) if error.kind() == Io::Interrupted => 0,
            Err(error) => return Err(Error::io("can't hear SteamCMD", error)),
        };
        for line in self.lines.push(&chunk[..length]) {
            self.hear(&line, on_progress);
        }
        Ok(length)
    }

    /// What the pty still holds after the end, up to a last line without a newline.
    pub(super) fn listen_to_the_rest(
        &mut self,
        master: &mut File,
        interrupted: &Interrupted,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<()> {
        let mut rest = 0;
        while rest < MAX_REST && interrupted.wait_for(Some(&*master), None, Duration::ZERO)?.readable {
            match self.listen(master, on_progress)? {
                0 => break,
                length => rest += length,
            }
        }
        for line in self.lines.push(b"\n") {
            self.hear(&line, on_progress);
        }
        Ok(())
    }

    fn hear(&mut self, line: &str, on_progress: &mut dyn FnMut(&Progress)) {
        if self.text.len() + line.len() < MAX_TEXT {
            self.text.push_str(line);
            self.text.push('\n');
        }
        let event = parse(line);
        match &event {
            Event::Update { phase, done, total } => {
                let (phase, done, total) = (phase.clone(), *done, *total);
                on_progress(&Progress::Update { pass: self.pass, phase, done, total });
            }
            Event::SelfUpdate(step) | Event::Notice(step) => {
                on_progress(&Progress::Step { step: format!("SteamCMD: {step}") });
            }
            _ => {}
        }
        if !matches!(event, Event::Update { .. } | Event::SelfUpdate(_)) && !line.trim().is_empty() {
            self.last.push(line.to_owned());
            self.last.drain(..self.last.len().saturating_sub(LAST_LINES));
        }
        if event != Event::Other {
            self.events.push(event);
            self.events.drain(..self.events.len().saturating_sub(MAX_EVENTS));
        }
    }
}
