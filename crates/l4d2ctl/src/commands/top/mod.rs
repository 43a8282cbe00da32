//! `l4d2ctl top`: all instances on a full screen, drawn anew every second.
//!
//! One thread looks (`watch`), this one draws (`view`) what is known (`model`) and hears keys (`keys`). What a key does to an
//! instance is a child process of the same program, so that nothing here knows how to start or stop anything.

mod act;
mod keys;
mod model;
mod screen;
mod view;
mod watch;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use l4d2host::{Error, ErrorKind};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event;

use super::open_host;
use crate::ending::before_the_end;
use crate::problem::Problem;
use crate::ui::{Ui, can_draw};
use act::Actions;
use keys::Wish;
use model::Model;
use screen::on_the_screen;
use watch::Watch;

/// How long a key, a signal and what was found out may wait to be seen.
const PAUSE: Duration = Duration::from_millis(200);

/// Watch all instances on a full screen
///
/// State, players, map, frames a second, processor, memory, traffic, time since
/// the start, every second; what is asked of consoles and logs (frames, traffic,
/// problems) and how often each was restarted, every ten. Traffic is in KB a
/// second, from and to players.
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
    before_the_end(screen::give_back_for_good).map_err(|error| Error::io("can't handle signals", error))?;
    let watch = Watch::begin().map_err(|error| Error::io("can't begin to look", error))?;
    let ended = on_the_screen(|terminal| draw(terminal, &watch));
    ended.map_err(|error| Error::io("can't draw on the terminal", error))?.map(|()| ExitCode::SUCCESS)
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
                screen::give_back().map_err(failed)?;
                act::console(&name);
                *terminal = screen::take().map_err(failed)?;
            }
        }
    }
}
