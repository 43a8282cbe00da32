//! `l4d2ctl`: left4me's command line, as a library: the program is one call of it, and the man pages, the completions and
//! the reference are written from the same description of its arguments.

mod cli;
mod colour;
mod commands;
mod completion;
mod duration;
mod ending;
mod figures;
mod player;
mod problem;
mod progress;
mod source;
mod table;
mod text;
mod ui;

use std::process::ExitCode;

pub use completion::COMPLETE_VARIABLE;

/// Does what this process was called for.
pub fn run() -> ExitCode {
    // First, while there is one thread: this program is also the embedded supervisor's parts and the demo's simulations.
    let called = l4d2host::embedded::run_if_called(std::env::args_os())
        .or_else(|| srcds_sim::run_if_called(std::env::args_os()))
        .or_else(completion::run_if_called);
    called.unwrap_or_else(cli::run)
}

/// All commands and their arguments, with the text of `--help`.
pub fn command() -> clap::Command {
    cli::command()
}
