//! Reading the arguments and handing over to the command.

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    console, delete, demo, doctor, initialize, install, kick, logs, metrics, next, overlays, players, prune, rcon,
    reset, restart, rollback, rollout, say, start, status, stop, top, verify, versions,
};
use crate::problem::Problem;
use crate::ui::Ui;

/// Behind each command's own options come those that all have.
const LAST: usize = 900;

/// Runs many Left 4 Dead 2 servers on one host from one copy of the game.
///
/// LEFT4ME_ROOT names another root directory, LEFT4ME_SUPERVISOR (systemd or
/// embedded) who runs the servers, and LEFT4ME_STEAMCMD the SteamCMD that
/// brings the game.
#[derive(Debug, Parser)]
#[command(name = "l4d2ctl", version, max_term_width = 100, styles = crate::colour::HELP, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// Print JSON for programs: one document, or one a line where it streams
    #[arg(long, global = true, display_order = LAST)]
    json: bool,

    /// Wait so long for another command to be done; 0: not at all
    #[arg(long, allow_negative_numbers = true, global = true, value_name = "SECONDS", default_value_t = 60, display_order = LAST)]
    lock_timeout: u32,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::Args),
    Versions(versions::Args),
    Rollout(rollout::Args),
    Rollback(rollback::Args),
    Verify(verify::Args),
    Prune(prune::Args),
    Overlays(overlays::Args),
    Initialize(initialize::Args),
    Start(start::Args),
    Restart(restart::Args),
    Stop(stop::Args),
    Delete(delete::Args),
    Reset(reset::Args),
    Status(status::Args),
    Players(players::Args),
    Top(top::Args),
    Logs(logs::Args),
    Console(console::Args),
    Rcon(rcon::Args),
    Say(say::Args),
    Kick(kick::KickArgs),
    Ban(kick::BanArgs),
    Metrics(metrics::Args),
    Doctor(doctor::Args),
    Demo(demo::Args),
}

pub(crate) fn command() -> clap::Command {
    Cli::command()
}

pub(crate) fn run() -> ExitCode {
    // Asked for before parsing, as a usage error is one, too. What follows `--` is for a server.
    let json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
    let ui = Ui::new(json, Duration::ZERO);
    match Cli::try_parse() {
        Ok(cli) => {
            let ui = Ui::new(json, Duration::from_secs(cli.lock_timeout.into()));
            ui.end(dispatch(cli, &ui))
        }
        Err(error) if json && is_no_command(&error) => {
            let error = l4d2host::Error::new(l4d2host::ErrorKind::Usage, "a command is missing");
            ui.end(Err(error.hint(next::step(&ui)).into()))
        }
        Err(error) if json && error.use_stderr() => ui.end(Err(Problem::usage(&error))),
        Err(error) => {
            if is_no_command(&error) || !error.use_stderr() {
                // --help and --version are no errors. Nobody is left to tell if printing fails.
                let _ = error.print();
            } else {
                // What was typed is in it, and clap would print it as it is.
                ui.note(error.render().to_string().replace("\n  tip: ", "\nhint: ").trim_end());
            }
            if is_no_command(&error) {
                ui.note(&format!("\nhint: {}", next::step(&ui)));
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// Whether there was no command at all.
fn is_no_command(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand)
}

fn dispatch(cli: Cli, ui: &Ui) -> Result<ExitCode, Problem> {
    match cli.command {
        Command::Install(args) => install::run(ui, args),
        Command::Versions(args) => versions::run(ui, args),
        Command::Rollout(args) => rollout::run(ui, args),
        Command::Rollback(args) => rollback::run(ui, args),
        Command::Verify(args) => verify::run(ui, args),
        Command::Prune(args) => prune::run(ui, args),
        Command::Overlays(args) => overlays::run(ui, args),
        Command::Initialize(args) => initialize::run(ui, args),
        Command::Start(args) => start::run(ui, args),
        Command::Restart(args) => restart::run(ui, args),
        Command::Stop(args) => stop::run(ui, args),
        Command::Delete(args) => delete::run(ui, args),
        Command::Reset(args) => reset::run(ui, args),
        Command::Status(args) => status::run(ui, args),
        Command::Top(args) => top::run(ui, args),
        Command::Players(args) => players::run(ui, args),
        Command::Logs(args) => logs::run(ui, args),
        Command::Console(args) => console::run(ui, args),
        Command::Rcon(args) => rcon::run(ui, args),
        Command::Say(args) => say::run(ui, args),
        Command::Kick(args) => kick::kick(ui, args),
        Command::Ban(args) => kick::ban(ui, args),
        Command::Metrics(args) => metrics::run(ui, args),
        Command::Doctor(args) => doctor::run(ui, args),
        Command::Demo(args) => demo::run(ui, args),
    }
}
