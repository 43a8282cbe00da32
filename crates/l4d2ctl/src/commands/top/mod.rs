//! `l4d2ctl top`: all instances on a full screen, drawn anew every second.
//!
//! One thread looks (`watch`), this one draws (`view`) what is known (`model`) and hears keys (`keys`). What a key does to an
//! instance is a child process of the same program, so that nothing here knows how to start or stop anything.

mod act;
mod keys;
mod model;
mod view;
mod watch;

use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use l4d2host::{Error, ErrorKind};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::open_host;
use crate::problem::Problem;
use crate::ui::{Ui, can_draw};
use act::Actions;
use keys::Wish;
use model::Model;
use watch::Watch;

/// How long a key, a signal and what was found out may wait to be seen.
const PAUSE: Duration = Duration::from_millis(200);

/// Watch all instances on a full screen
///
/// State, players, map, frames a second, processor, memory, traffic, time since
/// the start and restarts, every second; what is asked of consoles and logs
/// (frames, traffic, restarts, problems) every ten to thirty. Traffic is in KB
/// a second, from and to players.
///
/// Keys: arrows choose, Enter shows one with its players and its log, o sorts
/// by the next column and O turns it round, / shows only names with a text in
/// them. s starts, x stops, r restarts, c opens the console. q leaves. Where
/// players are on it, it asks before it stops anything.
///
/// Example: l4d2ctl top
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn run(ui: &Ui, Args {}: Args) -> Result<ExitCode, Problem> {
    // Before the screen is taken: whatever is wrong with the host is said as by any command.
    let host = open_host(ui)?;
    host.instance_names()?;
    drop(host);
    if ui.is_json() || !std::io::stdin().is_terminal() || !can_draw(&std::io::stdout()) {
        let error = Error::new(ErrorKind::Usage, "top draws on a terminal, and here is none that it can draw on");
        return Err(error.hint("`l4d2ctl status`, with `--json` for programs, shows the same once").into());
    }
    end_with_the_terminal().map_err(|error| Error::io("can't handle signals", error))?;
    let watch = Watch::begin();
    // Takes the screen, and gives it back also when this program panics.
    let mut terminal = ratatui::try_init().map_err(|error| Error::io("can't draw on the terminal", error))?;
    let ended = draw(&mut terminal, &watch);
    if ratatui::try_restore().is_err() {
        // The terminal has gone. Dropping this would complain on it, which panics.
        std::mem::forget(terminal);
    }
    ended.map(|()| ExitCode::SUCCESS)
}

/// Ends this program by a signal, and when its terminal has gone, and gives the screen back before that. In a thread of its
/// own, whatever the others do: crossterm reads a terminal that has gone again and again, and returns to nobody.
fn end_with_the_terminal() -> std::io::Result<()> {
    let (read, write) = UnixStream::pair()?;
    let which = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        // Handlers run in this order: whoever is woken finds the number.
        signal_hook::flag::register_usize(number, Arc::clone(&which), usize::try_from(number).unwrap_or_default())?;
        signal_hook::low_level::pipe::register(number, write.try_clone()?)?;
    }
    std::thread::Builder::new().name("end".to_owned()).spawn(move || {
        let stdin = rustix::stdio::stdin();
        // Of stdin nothing is asked: that it has gone is always told.
        let mut fds = [PollFd::new(&read, PollFlags::IN), PollFd::new(&stdin, PollFlags::empty())];
        while let Ok(0) | Err(Errno::INTR) = poll(&mut fds, None) {}
        // One that has gone takes nothing back.
        let _ = ratatui::try_restore();
        match i32::try_from(which.load(Ordering::SeqCst)) {
            // As it would have ended without us.
            Ok(number) if number != 0 => drop(signal_hook::low_level::emulate_default_handler(number)),
            _ => std::process::exit(1),
        }
    })?;
    Ok(())
}

/// Draws and hears until `q`.
fn draw(terminal: &mut DefaultTerminal, watch: &Watch) -> Result<(), Problem> {
    let failed = |error| Problem::from(Error::io("can't draw on the terminal", error));
    let mut model = Model::default();
    let mut actions = Actions::default();
    let mut changed = true;
    loop {
        if let Some(news) = watch.news() {
            model.take(news);
            changed = true;
        }
        changed |= actions.look(&mut model);
        if changed {
            terminal.draw(|frame| view::draw(frame, &mut model)).map_err(failed)?;
        }
        changed = event::poll(PAUSE).map_err(failed)?;
        if !changed {
            continue;
        }
        match keys::hear(&mut model, &event::read().map_err(failed)?) {
            Wish::Nothing => {}
            Wish::Leave => return Ok(()),
            Wish::Show(name) => watch.show(name),
            Wish::Do(verb, name) => actions.begin(&mut model, verb, name),
            Wish::Console(name) => {
                ratatui::try_restore().map_err(failed)?;
                act::console(&name);
                *terminal = ratatui::try_init().map_err(failed)?;
                terminal.clear().map_err(failed)?;
            }
        }
    }
}
