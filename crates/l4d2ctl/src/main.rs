//! `l4d2ctl`: left4me's command line.

mod cli;
mod commands;
mod duration;
mod ending;
mod player;
mod problem;
mod source;
mod text;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First, while there is one thread: this program is also the embedded supervisor's parts and the demo's simulations.
    let called = l4d2host::embedded::run_if_called(std::env::args_os())
        .or_else(|| srcds_sim::run_if_called(std::env::args_os()));
    called.unwrap_or_else(cli::run)
}
