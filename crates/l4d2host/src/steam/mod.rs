//! `install`: SteamCMD brings the game, or brings it up to date.
//!
//! SteamCMD is closed and undocumented, so what it prints is only ever a hint: success is its exit code *and* what is on
//! disk afterwards. It runs on a pty, because on a pipe it says nothing for minutes, so its stdout and stderr are one
//! stream: a failure carries its last lines as the cause, and its exit code is ours. It never runs as root on a host with
//! a service user, since it replaces its own programs with what it downloads.

mod app_info;
mod ask;
mod check;
mod client;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod inside;
mod manifest;
mod output;
mod pty;
mod run;
mod session;
mod update;

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
use failure::Failure;
pub(crate) use failure::free_space;
pub(crate) use inside::{become_steamcmd, enter, init};
use output::Event;
use run::{Run, Target};

/// Left 4 Dead 2 Dedicated Server.
const APP: &str = "222860";

/// Valve took the app from the anonymous package for Linux in November 2024. Bringing the Windows files first and Linux'
/// after them works where that alone does not; nobody outside knows why. Linux last, so that its programs win.
const PASSES: [&str; 2] = ["windows", "linux"];

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

/// What SteamCMD's own manifest says of a whole game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Build {
    build_id: u64,
    size_on_disk: u64,
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

/// Who installs, and how.
struct Session<'a> {
    steamcmd: &'a Path,
    home: &'a Path,
    request: &'a InstallRequest,
}

impl Session<'_> {
    /// Runs SteamCMD's passes. `writes` is the directory that they write to, `installation` names the game in messages.
    fn run_passes(
        &self,
        target: Target,
        writes: &Dir,
        installation: &Dir,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<()> {
        // SteamCMD answers "disk write failure" where this is missing.
        writes.make_dir("steamapps", 0o755)?;
        let run = Run::new(self.steamcmd, self.home, target, self.request)?;
        let mut retries = Retries::new(self.request);
        let places = Places { writes, installation };
        for pass in PASSES {
            on_progress(&Progress::Step { step: format!("installing app {APP}, {pass} pass") });
            run_pass(&run, pass, &places, self.request.user.as_deref(), &mut retries, on_progress)?;
        }
        Ok(())
    }
}

fn not_whole(why: &str) -> Error {
    Error::new(ErrorKind::SteamcmdFailed, format!("SteamCMD said success, but {why}"))
        .hint("`l4d2ctl install` tries again")
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

/// What has been tried again so far, in all passes.
struct Retries {
    done: u32,
    pause: Duration,
}

impl Retries {
    fn new(request: &InstallRequest) -> Self {
        Self { done: 0, pause: request.first_pause }
    }

    /// Whether a failure may be tried again.
    fn are_left_for(&self, failure: Failure) -> bool {
        self.done < failure.retries()
    }

    /// Waits before the next try, each time twice as long.
    fn pause(&mut self, run: &Run, failure: Failure, on_progress: &mut dyn FnMut(&Progress)) -> Result<()> {
        self.done += 1;
        let (pause, done, most) = (self.pause, self.done, failure.retries());
        let step = format!("SteamCMD: {failure}; trying again in {} s ({done} of {most})", pause.as_secs());
        on_progress(&Progress::Step { step });
        self.pause *= 2;
        run.pause(pause)
    }
}

/// Where the game is, and where SteamCMD's writes go, which is elsewhere in an update.
struct Places<'a> {
    writes: &'a Dir,
    installation: &'a Dir,
}

/// One pass, again after failures that pass by themselves.
fn run_pass(
    run: &Run,
    pass: &'static str,
    places: &Places<'_>,
    user: Option<&str>,
    retries: &mut Retries,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<()> {
    loop {
        let ended = run.pass(pass, on_progress)?;
        let Some(failure) = Failure::of(&ended) else {
            // A game that was whole before is so after a run that did nothing, too.
            if !ended.events.contains(&Event::Success) {
                let warning = format!(
                    "SteamCMD ended the {pass} pass without a word of success: it may have done nothing, and another \
                     `l4d2ctl install` does no harm"
                );
                on_progress(&Progress::Warning { warning });
            }
            return Ok(());
        };
        let failure = failure.with_free_space(places.installation);
        if !retries.are_left_for(failure) {
            return Err(failure.error(&ended, places.installation, user));
        }
        if failure == Failure::Corrupt {
            places.writes.open_dir("steamapps")?.remove("downloading")?;
        }
        retries.pause(run, failure, on_progress)?;
    }
}

/// The build of a game in these layers, highest precedence first, or why it is not whole; none where SteamCMD has left no
/// manifest.
pub(crate) fn installed_build(layers: &[Dir]) -> Option<std::result::Result<u64, String>> {
    let is_there = layers.iter().any(|layer| layer.exists(manifest::PATH).unwrap_or(false));
    is_there.then(|| check(layers).map(|installed| installed.build_id))
}

/// Whether what lies in these layers is a whole game, or why not. SteamCMD has said so of things that were none.
fn check(layers: &[Dir]) -> std::result::Result<Build, String> {
    let in_layers = |path: &str| layers.iter().find(|layer| layer.exists(path).unwrap_or(false));
    let missing = || format!("{} is missing", manifest::PATH);
    let layer = in_layers(manifest::PATH).ok_or_else(missing)?;
    let bytes = layer.read(manifest::PATH, manifest::MAX_SIZE).map_err(|error| error.to_string())?;
    let build = check_manifest(&bytes, &layer.label_of(manifest::PATH))?;
    let label = |path: &str| layers.last().map_or_else(|| path.to_owned(), |lowest| lowest.label_of(path));
    let is_there = [
        ("srcds_run", in_layers("srcds_run").is_some_and(|layer| layer.open_file("srcds_run").is_ok())),
        ("bin", in_layers("bin").is_some_and(|layer| layer.open_dir("bin").is_ok())),
    ];
    check_programs(is_there, label)?;
    Ok(build)
}

fn check_programs(is_there: [(&str, bool); 2], label: impl Fn(&str) -> String) -> std::result::Result<(), String> {
    match is_there.into_iter().find(|(_, is_there)| !is_there) {
        Some((path, _)) => Err(format!("{} is missing: are only the Windows files there?", label(path))),
        None => Ok(()),
    }
}

fn check_manifest(bytes: &[u8], label: &str) -> std::result::Result<Build, String> {
    let manifest = manifest::parse(&String::from_utf8_lossy(bytes)).ok_or_else(|| format!("{label} can't be read"))?;
    let value = |key: &str| manifest.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    if manifest.get("appid").map(String::as_str) != Some(APP) {
        return Err(format!("the manifest is not of app {APP}"));
    }
    // StateFlags is a set of bits; 4 alone means installed and nothing left to do.
    if value("stateflags") != 4 || value("buildid") == 0 {
        return Err(format!("the manifest says StateFlags {}, build {}", value("stateflags"), value("buildid")));
    }
    Ok(Build { build_id: value("buildid"), size_on_disk: value("sizeondisk") })
}
