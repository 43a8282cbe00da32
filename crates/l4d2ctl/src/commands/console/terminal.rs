//! The terminal, given back as it was, whatever ends the program.

use std::io::IsTerminal;

use l4d2host::Error;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::ending::before_the_end;

/// Whether somebody sits there.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The terminal's modes at the beginning. The line editor takes its own back when it returns and when it panics; a signal
/// lets it do neither.
pub(super) struct Kept(Termios);

impl Kept {
    /// Keeps the modes, and sees that signals put them back before they end the program, as they would have. With `quiet`
    /// keys are neither shown nor gathered to lines from now on: those that are typed while a command runs are the line
    /// editor's when it has returned, Ctrl-D too. Without, who edits no lines sees what is typed.
    pub(super) fn new(quiet: bool) -> Result<Self, Error> {
        let modes =
            tcgetattr(stdin()).map_err(|errno| Error::io("can't ask for the terminal's modes", errno.into()))?;
        let back = modes.clone();
        before_the_end(move || put_back(&back)).map_err(|error| Error::io("can't handle signals", error))?;
        let kept = Self(modes);
        if quiet {
            let mut modes = kept.0.clone();
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(stdin(), OptionalActions::Now, &modes)
                .map_err(|errno| Error::io("can't set the terminal's modes", errno.into()))?;
        }
        Ok(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        put_back(&self.0);
    }
}

fn put_back(modes: &Termios) {
    // A terminal that has gone needs nothing.
    let _ = tcsetattr(stdin(), OptionalActions::Now, modes);
}
