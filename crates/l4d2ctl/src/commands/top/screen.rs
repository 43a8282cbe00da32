//! The terminal as a screen: taken, and given back whatever happens.

use std::io::{Result, stdout};

use ratatui::DefaultTerminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

/// What the standard library ends a program with that panicked.
const PANICKED: i32 = 101;

/// Takes the screen for `work`. A panic, in whichever thread, gives it back before it is told of, and ends the program: the
/// others would go on drawing.
pub(super) fn on_the_screen<T>(work: impl FnOnce(&mut DefaultTerminal) -> T) -> Result<T> {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back_for_good();
        tell(panic);
        std::process::exit(PANICKED);
    }));
    let mut terminal = take()?;
    let done = work(&mut terminal);
    if give_back().is_err() {
        // The terminal has gone. Dropping this would complain on it, which panics.
        std::mem::forget(terminal);
    }
    Ok(done)
}

/// Takes it again, after [`give_back`].
pub(super) fn take() -> Result<DefaultTerminal> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen)?;
    DefaultTerminal::new(CrosstermBackend::new(stdout()))
}

/// Gives the terminal back as it was, with its cursor.
pub(super) fn give_back() -> Result<()> {
    // What is not in its raw mode is in no worse state for what follows.
    let cooked = disable_raw_mode();
    execute!(stdout(), LeaveAlternateScreen, Show)?;
    cooked
}

/// The same before the program's end, from any thread: nobody draws on it any more.
pub(super) fn give_back_for_good() {
    let held = stdout().lock();
    // A terminal that has gone takes nothing back.
    let _ = give_back();
    std::mem::forget(held);
}
