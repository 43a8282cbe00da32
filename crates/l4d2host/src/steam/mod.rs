//! `install`: SteamCMD brings the game, or brings it up to date.
//!
//! SteamCMD is closed and undocumented, so what it prints is only ever a hint: success is its exit code *and* what is on
//! disk afterwards. It runs on a pty, because on a pipe it says nothing for minutes, so its stdout and stderr are one
//! stream: a failure carries its last lines as the cause, and its exit code is ours. It never runs as root on a host with
//! a service user, since it replaces its own programs with what it downloads.

mod advice;
mod app_info;
mod ask;
mod check;
mod client;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod inside;
mod listener;
mod manifest;
mod output;
mod passes;
mod pty;
mod run;
mod session;
mod update;
mod whole;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use names::Layer;
use overlay::beneath::Dir;
use overlay::stack::open_layers;
use serde::Serialize;

use crate::generations::chain::{MANIFESTS, manifest_name};
use crate::generations::scan::scan;
use crate::generations::versions::Versions;
use crate::lock::Lock;
use crate::status::now;
use crate::{Error, ErrorKind, Held, Host, Result, Version, start};
pub use check::Checked;
pub(crate) use failure::free_space;
pub(crate) use inside::{become_steamcmd, enter, init};
use passes::Session;
use run::Target;
pub(crate) use whole::installed_build;
use whole::{check, not_whole};

/// Left 4 Dead 2 Dedicated Server.
const APP: &str = "222860";

/// What a fresh installation takes while it is made.
pub(crate) const FRESH_SIZE: u64 = 12 << 30;

/// How `install` goes about it.
#[derive(Debug, Clone)]
pub struct InstallRequest {
    /// SteamCMD; otherwise `LEFT4ME_STEAMCMD`, otherwise `steamcmd` on `PATH`.
    pub steamcmd: Option<PathBuf>,
    /// A Steam account that owns the game, whose login SteamCMD remembers; otherwise anonymous.
    pub user: Option<String>,
    /// Whether somebody sits at the terminal (`/dev/tty`) who may be asked for that account's password or code; otherwise
    /// a question is an error.
    pub ask: bool,
    /// How long to wait before the first retry; each later one waits twice as long.
    pub first_pause: Duration,
    /// SteamCMD that says nothing for this long hangs.
    pub silence_limit: Duration,
}

impl Default for InstallRequest {
    fn default() -> Self {
        let (first_pause, silence_limit) = (Duration::from_secs(2), Duration::from_secs(600));
        Self { steamcmd: None, user: None, ask: false, first_pause, silence_limit }
    }
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// A new step begins.
    Step {
        /// What it is.
        step: String,
    },
    /// SteamCMD, or we, are at work.
    Update {
        /// `windows` or `linux`; `manifest` where SteamCMD is done and we look at what it brought.
        pass: &'static str,
        /// SteamCMD's own word: `downloading`, `verifying update`, …; `hashing` is ours.
        phase: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all; 0 where it does not know.
        total: u64,
    },
    /// Nothing that stops it, but worth knowing.
    Warning {
        /// What it is.
        warning: String,
    },
}

/// What is installed now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The version that instances are started on from now on.
    pub version: Version,
    /// Bytes of the whole game, as Steam counts them.
    pub size_on_disk: u64,
    /// Bytes of the files that this install has brought.
    pub own_size: u64,
    /// Whether it is another version than before.
    pub changed: bool,
}

impl Host {
    /// Installs the game or brings it up to date. What instances have mounted is never written to: an update becomes a
    /// layer of its own, which is used by those that are started after it. For that the program is executed again, and has
    /// to call [`run_if_called`](crate::embedded::run_if_called) first.
    pub fn install(&self, request: &InstallRequest, on_progress: &mut dyn FnMut(&Progress)) -> Result<Installed> {
        let steamcmd = find_steamcmd(request.steamcmd.as_deref())?;
        let home = self.steam_home()?;
        let root = self.open()?;
        let _generations = self.lock_for_install(&root, Lock::Generations, on_progress)?;
        let session = Session { steamcmd: &steamcmd, home: &home, request };
        let versions = Versions::read(&root)?;
        let installed = match versions.current().cloned() {
            Some(current) => self.update(&root, &versions, &current, &session, on_progress)?,
            None => self.install_first(&root, &session, on_progress)?,
        };
        on_progress(&Progress::Step { step: "repairing ~/.steam".to_owned() });
        let layers = open_layers(&root, installed.version.layers())?;
        let game: Vec<Dir> = layers.into_iter().map(|(_, dir)| dir).collect();
        client::repair(&home, &steamcmd, &game, on_progress)?;
        Ok(installed)
    }

    /// SteamCMD's HOME.
    fn steam_home(&self) -> Result<PathBuf> {
        self.home().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the user who runs this has no home directory, which SteamCMD needs")
        })
    }

    fn lock_for_install(&self, root: &Dir, lock: Lock<'_>, on_progress: &mut dyn FnMut(&Progress)) -> Result<Held> {
        self.lock_and_tell(root, lock, &mut |who| on_progress(&Progress::Step { step: who.to_owned() }))
    }

    /// The first installation is written in place, where a later try finds what an earlier one has downloaded.
    fn install_first(
        &self,
        root: &Dir,
        session: &Session<'_>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Installed> {
        let _lock = self.lock_for_install(root, Lock::Installation, on_progress)?;
        self.refuse_while_running()?;
        // From now on until it is whole, what lies there is no game.
        Versions::default().write(root)?;
        let installation = root.open_dir("installation")?;
        warn_of_little_space(&installation, on_progress);
        let target = Target::Directory(self.root().join("installation"));
        session.run_passes(target, &installation, &installation, on_progress)?;
        let build = check(std::slice::from_ref(&installation)).map_err(|why| not_whole(&why))?;
        let manifest = scan(&installation, &mut hashing(on_progress))?;
        on_progress(&Progress::Step { step: "writing everything to disk".to_owned() });
        manifest.write(&root.open_dir(MANIFESTS)?, &manifest_name(&Layer::Installation))?;
        installation.sync_file_system()?;
        let mut versions = Versions::default();
        versions.add(build.build_id, Some(now()), Vec::new())?;
        versions.write(root)?;
        let version = versions.current().cloned().ok_or_else(|| start::not_installed(root))?;
        Ok(Installed { version, size_on_disk: build.size_on_disk, own_size: manifest.size(), changed: true })
    }

    fn refuse_while_running(&self) -> Result<()> {
        let running = self.running_instances()?;
        if running.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = running.iter().map(names::InstanceName::as_str).collect();
        let message = format!("instances run from the installation: {}", names.join(", "));
        Err(Error::new(ErrorKind::InstanceRunning, message)
            .hint(format!("stop them first: `l4d2ctl stop {}`", names[0])))
    }
}

/// Tells how far the hashing is.
fn hashing(on_progress: &mut dyn FnMut(&Progress)) -> impl FnMut(u64, u64) {
    move |done, total| on_progress(&Progress::Update { pass: "manifest", phase: "hashing".to_owned(), done, total })
}

/// SteamCMD's real path: its script finds its own files by the path that it is run by, so a link would mislead it.
pub(crate) fn find_steamcmd(given: Option<&Path>) -> Result<PathBuf> {
    let missing = |message: String| {
        Error::new(ErrorKind::SteamcmdMissing, message)
            .hint("Debian: `apt install steamcmd` (non-free, i386); or set LEFT4ME_STEAMCMD to its steamcmd.sh")
    };
    let named = given.map(Path::to_owned).or_else(|| std::env::var_os("LEFT4ME_STEAMCMD").map(PathBuf::from));
    let found = if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()) {
        path
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).chain([PathBuf::from("/usr/games")]);
        let found = places.find_map(|place| Some(place.join("steamcmd")).filter(|file| file.is_file()));
        found.ok_or_else(|| missing("there is no `steamcmd` on PATH".to_owned()))?
    };
    let real =
        found.canonicalize().map_err(|e| missing(format!("SteamCMD {} is not there", found.display())).because(e))?;
    let metadata = fs::metadata(&real).map_err(|e| Error::io(format!("can't look at {}", real.display()), e))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(missing(format!("SteamCMD {} is not an executable file", real.display())));
    }
    Ok(real)
}

/// Whether no game was ever whole there.
fn is_fresh(installation: &Dir) -> bool {
    !installation.exists(manifest::PATH).unwrap_or(false)
}

/// Only a warning: validating may need next to nothing, and SteamCMD itself says when it is too little.
fn warn_of_little_space(installation: &Dir, on_progress: &mut dyn FnMut(&Progress)) {
    let Some(free) = free_space(installation) else { return };
    if is_fresh(installation) && free < FRESH_SIZE {
        let (free, wanted) = (free >> 30, FRESH_SIZE >> 30);
        let warning = format!("{free} GiB are free, a fresh installation takes {wanted} GiB");
        on_progress(&Progress::Warning { warning });
    }
}
