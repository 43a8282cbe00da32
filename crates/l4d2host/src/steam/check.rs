//! `install --check`: whether Steam has another build than the one installed last. Nothing of ours is written, and nobody is
//! kept waiting.
//!
//! SteamCMD answers from a cache as long as it has one, however old, and `app_info_update` does not change that. So the cache
//! is removed first. Without it, printing waits for no answer of Steam's: the app is asked for before a second login, which
//! does wait; where even that was too early, the next run finds in the cache what this one has asked for.

use std::fs;
use std::path::Path;

use overlay::beneath::Dir;
use rustix::io::Errno;
use serde::Serialize;

use super::app_info::{Public, Told, read};
use super::failure::Failure;
use super::passes::Retries;
use super::run::{Ended, Run, Target};
use super::{APP, InstallRequest, Progress, find_steamcmd};
use crate::generations::versions::Versions;
use crate::lock::Lock;
use crate::{Error, ErrorKind, Host, Result};

/// Where SteamCMDs of different ages and packages keep it, in HOME. Most hosts have one of them.
const CACHES: [&str; 4] = ["Steam/appcache", ".steam/appcache", ".steam/steam/appcache", ".local/share/Steam/appcache"];
const CACHE: &str = "appinfo.vdf";

/// What `l4d2ctl` ends with when there is a newer build; no failure has it.
const UPDATE_EXIT_CODE: u8 = 10;

/// What is installed, and what Steam has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The build that was installed last, 0 where that is not known; none where there is no whole game.
    pub installed: Option<u64>,
    /// The build that Steam gives to everybody.
    pub newest: u64,
    /// Since when, in seconds since 1970, where Steam says it.
    pub newest_since: Option<u64>,
    /// Whether it is here already: it was installed before, and rolled back from, or Steam has gone back to it.
    pub is_here: bool,
}

impl Checked {
    /// Whether an install would bring a build that is not here. It may be an older one: Steam has then taken a build back,
    /// and clients play the older.
    #[must_use]
    pub fn is_update(&self) -> bool {
        !self.is_here
    }
}

impl Host {
    /// Asks Steam for the newest build. An error means that it could not be told; its exit code is never 0 or 10.
    pub fn check_for_update(
        &self,
        request: &InstallRequest,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Checked> {
        self.check(request, on_progress).map_err(|error| match error.exit_code() {
            // SteamCMD's own exit code, which would say something else here.
            0 | UPDATE_EXIT_CODE => error.with_exit_code(1),
            _ => error,
        })
    }

    fn check(&self, request: &InstallRequest, on_progress: &mut dyn FnMut(&Progress)) -> Result<Checked> {
        let root = self.open()?;
        let steamcmd = find_steamcmd(request.steamcmd.as_deref())?;
        let home = self.steam_home()?;
        on_progress(&Progress::Step { step: "asking Steam for the newest build".to_owned() });
        // Two SteamCMDs with one HOME would update themselves at the same time. No start needs this lock.
        let _generations = self.lock_for_install(&root, Lock::Generations, on_progress)?;
        remove_caches(&home, on_progress)?;
        let run = Run::new(&steamcmd, &home, Target::Directory(home.clone()), request)?
            .hinting("nothing was changed; `l4d2ctl install --check` asks again")?;
        let Public { build_id: newest, updated: newest_since } = ask(&run, &root, request, on_progress)?;
        // Any of them, and not just the current one: who went back does not want to be told of the newer one every day.
        let versions = Versions::read(&root)?;
        let is_here = versions.all().iter().any(|version| version.build_id == newest);
        let installed = versions.all().last().map(|version| version.build_id);
        Ok(Checked { installed, newest, newest_since, is_here })
    }
}

/// Runs SteamCMD until it tells, again after what passes by itself.
fn ask(run: &Run, root: &Dir, request: &InstallRequest, on_progress: &mut dyn FnMut(&Progress)) -> Result<Public> {
    let mut retries = Retries::new(request);
    loop {
        let (ended, text) = run.app_info(on_progress)?;
        let told = read(&text);
        // A build that was told is told, whatever went wrong afterwards.
        let failure = match (told, Failure::of(&ended)) {
            (Told::Build(public), _) => return Ok(public),
            (_, Some(failure)) => failure,
            (Told::NoBuild, None) => return Err(not_told(request.user.as_deref(), &ended)),
            (Told::Nothing | Told::Silence, None) => Failure::AppInfo,
        };
        if !retries.are_left_for(failure) {
            return Err(explain(failure, told, &ended, root, request.user.as_deref()));
        }
        retries.pause(run, failure, on_progress)?;
    }
}

/// Steam has not said which build is the public one.
fn not_told(user: Option<&str>, ended: &Ended) -> Error {
    Error::new(ErrorKind::LicenceRequired, "Steam does not tell this account which build is the newest")
        .because(said(ended))
        .hint(match user {
            Some(_) => "use an account that owns Left 4 Dead 2",
            None => "`l4d2ctl install --check --steam-user NAME` with an account that owns Left 4 Dead 2",
        })
}

fn explain(failure: Failure, told: Told, ended: &Ended, root: &Dir, user: Option<&str>) -> Error {
    match (failure, told) {
        (Failure::AppInfo, Told::Nothing) if user.is_none() => {
            Error::new(ErrorKind::SteamcmdFailed, format!("Steam tells nothing of app {APP}"))
                .because(said(ended))
                .hint(
                    "it may tell an account that owns the game: `l4d2ctl install --check --steam-user NAME`; or \
                    `l4d2ctl install`, which brings the newest build if there is another",
                )
        }
        (Failure::Network | Failure::AppInfo | Failure::Hang, _) => {
            failure.error(ended, root, user).hint("check the connection to Steam, then `l4d2ctl install --check` again")
        }
        (Failure::Unknown, _) => failure.error(ended, root, user).hint("`l4d2ctl install --check` tries again"),
        _ => failure.error(ended, root, user),
    }
}

fn said(ended: &Ended) -> String {
    format!("SteamCMD's last lines:\n{}", ended.last_lines.join("\n"))
}

/// Removes the caches, and nothing else: no link is followed on the way from HOME to them.
fn remove_caches(home: &Path, on_progress: &mut dyn FnMut(&Progress)) -> Result<()> {
    // Links on the way to a home directory are the administrator's. One that is not there yet SteamCMD makes.
    let Ok(home) = home.canonicalize() else { return Ok(()) };
    let dir = Dir::open_root(&home)?;
    for place in CACHES {
        let Ok(cache) = dir.open_dir(place) else { continue };
        match cache.remove_file(CACHE) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                let label = cache.label_of(CACHE);
                let message = format!("can't remove {label}, from which SteamCMD would answer");
                let hint = "it and the directory that it lies in must belong to the user who runs this";
                return Err(Error::io(message, errno.into()).hint(hint));
            }
        }
    }
    // A link to one of the others has nothing behind it now.
    for path in CACHES.map(|place| home.join(place).join(CACHE)) {
        if fs::metadata(&path).is_ok() {
            let path = path.display();
            let warning = format!("{path} can't be reached without symbolic links and stays: the answer may be old");
            on_progress(&Progress::Warning { warning });
        }
    }
    Ok(())
}
