//! SteamCMD's passes, and their tries: what fails by chance is done again.

use std::path::Path;
use std::time::Duration;

use overlay::beneath::Dir;

use super::failure::Failure;
use super::output::Event;
use super::run::{Run, Target};
use super::{APP, InstallRequest, Progress};
use crate::Result;

/// Valve took the app from the anonymous package for Linux in November 2024. Bringing the Windows files first and Linux'
/// after them works where that alone does not; nobody outside knows why. Linux last, so that its programs win.
const PASSES: [&str; 2] = ["windows", "linux"];

/// Who installs, and how.
pub(super) struct Session<'a> {
    pub(super) steamcmd: &'a Path,
    pub(super) home: &'a Path,
    pub(super) request: &'a InstallRequest,
}

impl Session<'_> {
    /// Runs SteamCMD's passes. `writes` is the directory that they write to, `installation` names the game in messages.
    pub(super) fn run_passes(
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

/// What has been tried again so far, in all passes.
pub(super) struct Retries {
    done: u32,
    pause: Duration,
}

impl Retries {
    pub(super) fn new(request: &InstallRequest) -> Self {
        Self { done: 0, pause: request.first_pause }
    }

    /// Whether a failure may be tried again.
    pub(super) fn are_left_for(&self, failure: Failure) -> bool {
        self.done < failure.retries()
    }

    /// Waits before the next try, each time twice as long.
    pub(super) fn pause(&mut self, run: &Run, failure: Failure, on_progress: &mut dyn FnMut(&Progress)) -> Result<()> {
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
