//! The simulations as a program of their own: `srcds-sim [simulate] srcds_linux|many|steamcmd ARGUMENTS…`, or by either name.

use std::process::ExitCode;

const USAGE: &str = "\
SIMULATIONS of a Left 4 Dead 2 server and of SteamCMD, for tests and demonstrations: no game runs, nothing is downloaded.

usage: srcds-sim srcds_linux [OPTION | +CVAR VALUE]…   the game, in the current directory's left4dead2/
       srcds-sim many --count N [--first-port P] [--address A] [--loss FRACTION] [+CVAR VALUE]…
                                                       so many games in one process that answer A2S and nothing else
       srcds-sim steamcmd [+COMMAND VALUE…]…           SteamCMD

example: srcds-sim srcds_linux -game left4dead2 -strictportbind +hostport 27015 +map c1m1_hotel";

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| ["srcds_linux", "many", "steamcmd"].iter().any(|known| word == known)) {
        args.insert(1, "simulate".into());
    }
    let help = args.get(1).is_some_and(|word| word == "--help" || word == "-h");
    srcds_sim::run_if_called(args.into_iter()).unwrap_or_else(|| {
        if help {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}
