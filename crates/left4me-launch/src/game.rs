//! Becoming the game.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use landlock::{Ruleset, RulesetAttr, RulesetStatus, Scope};

use crate::arguments::read_launch;
use crate::filter::refuse_calls;
use crate::{Error, Result};

/// The script that starts the game. From the merged directory: it changes to its own, and the installation's copy would
/// ignore every overlay without a word.
const PROGRAM: &str = "./srcds_run";

/// What the game inherits. Not `LD_LIBRARY_PATH` or `LD_PRELOAD`: the script sets its own; not what a supervisor or a
/// user's session has besides.
const ENVIRONMENT: [&str; 7] = ["HOME", "PATH", "LANG", "USER", "LOGNAME", "SHELL", "TERM"];

/// Replaces this process by the game in `merged`, with the arguments in the file `staged_launch`. Returns only to say why
/// that did not work. The caller must be single-threaded: the confinement is the calling thread's.
pub fn exec_game(merged: &Path, staged_launch: &Path) -> Result<Infallible> {
    let arguments = read_launch(staged_launch)?;
    std::env::set_current_dir(merged).map_err(|error| Error::on("change to", merged, error))?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| Error::new(format!("can't set no_new_privs: {}", std::io::Error::from(errno))))?;
    confine_reach()?;
    refuse_calls()?;
    let error = Command::new(PROGRAM).args(arguments).env_clear().envs(environment()).exec();
    Err(Error::on("run", &merged.join("srcds_run"), error))
}

/// All instances run as one user, who may signal every one of his processes, and connect to every abstract socket of the
/// network's namespace, which has no file whose mode could say no. A Landlock domain with both in its scope (Linux 6.12)
/// lets the game reach only what descends from this process. An older kernel can't, and a container may forbid it, which
/// looks the same; it is said and no error, because the rest of the confinement does not depend on it.
fn confine_reach() -> Result<()> {
    let status = Ruleset::default()
        .scope(Scope::Signal | Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| Error::new(format!("can't confine signals and sockets with Landlock: {error}")))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        // Never a reason not to start the game, so not `eprintln!`, which panics where the log is full.
        helper::say(
            "note: signals and abstract sockets can't be confined here (Landlock, Linux 6.12, allowed by the container \
             if there is one): the game may signal other instances",
        );
    }
    Ok(())
}

fn environment() -> Vec<(&'static str, OsString)> {
    ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect()
}
