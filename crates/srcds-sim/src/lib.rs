//! Simulations of what can't be had where tests and the demo run: the game server and SteamCMD.
//!
//! Both say that they are simulations wherever a user can see them. What they can be told to do, misbehaviour included,
//! is in this crate's README.

mod game;
mod steamcmd;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs a simulation if the arguments (the program's name first) ask for one: by the program's own name, `srcds_linux`
/// or `steamcmd`, or by `simulate NAME`. To be called first in `main`.
pub fn run_if_called(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<OsString> = args.collect();
    let own_name = Path::new(args.first()?).file_name()?.to_str()?;
    let (what, rest) = match own_name {
        "srcds_linux" | "steamcmd" => (own_name, &args[1..]),
        _ if args.get(1)? == "simulate" => (args.get(2)?.to_str()?, &args[3..]),
        _ => return None,
    };
    // Real arguments are text; one that is not is passed on as well as can be.
    let rest: Vec<String> = rest.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match what {
        "srcds_linux" => Some(game::run(&rest)),
        "many" => Some(game::many::run(&rest)),
        "steamcmd" => Some(steamcmd::run(&rest)),
        _ => None,
    }
}
