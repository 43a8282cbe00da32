//! A question of SteamCMD's, for a password or a code, passed on to whoever sits at the terminal.
//!
//! The answer goes from the terminal to SteamCMD and nowhere else: not into arguments, which everybody can read in
//! `/proc`, and not into a log. SteamCMD itself remembers the login.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::interrupt::Interrupted;
use crate::{Error, Result};

/// Nobody types more; a terminal hands over at most a line of 4 KiB.
const MAX_ANSWER: usize = 4096;

/// How long to wait at a time; the person may take as long as they want.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Asks at the terminal, without showing what is typed; the answer ends with its newline. None without a terminal, or
/// where it is closed.
pub(super) fn ask(prompt: &str, interrupted: &Interrupted) -> Result<Option<Vec<u8>>> {
    let Ok(terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else { return Ok(None) };
    let failed = |e| Error::io("can't ask at the terminal", e);
    let mut hidden = Hidden::new(terminal).map_err(failed)?;
    write!(hidden.terminal, "SteamCMD asks: {} ", prompt.trim()).map_err(failed)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") && answer.len() < MAX_ANSWER {
        let event = interrupted.wait_for(Some(&hidden.terminal), None, PATIENCE)?;
        if event.hung_up {
            return Ok(None);
        }
        if !event.readable {
            continue;
        }
        let mut chunk = [0_u8; MAX_ANSWER];
        let length = hidden.terminal.read(&mut chunk).map_err(failed)?;
        if length == 0 {
            return Ok(None);
        }
        answer.extend_from_slice(&chunk[..length]);
    }
    writeln!(hidden.terminal).map_err(failed)?;
    Ok(Some(answer))
}

/// A terminal that does not show what is typed, until it is dropped.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn new(terminal: File) -> std::io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that went away has nothing to be restored.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
