//! The simulations as a program of their own: `srcds-sim [simulate] srcds_linux|steamcmd ARGUMENTS…`, or by either name.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == "srcds_linux" || word == "steamcmd") {
        args.insert(1, "simulate".into());
    }
    srcds_sim::run_if_called(args.into_iter()).unwrap_or_else(|| {
        eprintln!("usage: srcds-sim srcds_linux|steamcmd ARGUMENTS…\nSIMULATIONS of a game server and of SteamCMD.");
        ExitCode::from(2)
    })
}
