//! `start`, `restart` and `stop`.

use names::{GenerationId, InstanceName};
use overlay::beneath::Dir;
use serde::Serialize;

use crate::aside::open_swept;
use crate::generations::chain;
use crate::generations::versions::Versions;
use crate::initialize::make_runtime;
use crate::instance::Instance;
use crate::lock::Lock;
use crate::overlays::check_overlays;
use crate::staging::Staged;
use crate::{Error, ErrorKind, Host, InstanceState, Result, Revision};

/// What `start` did.
#[derive(Debug, Clone, Serialize)]
pub struct Started {
    /// It ran already: nothing was staged.
    pub already_running: bool,
    /// The revision that it runs.
    pub revision: Option<Revision>,
}

impl Host {
    /// Stages the instance's whole plan and asks the supervisor to enable and start it: nothing else.
    pub fn start(&self, name: &InstanceName) -> Result<Started> {
        self.run(name, false, None)
    }

    /// The same, after stopping the instance if it runs. What can be refused is refused before that.
    pub fn restart(&self, name: &InstanceName) -> Result<Started> {
        self.run(name, true, None)
    }

    /// Whether a start or restart of this instance would be refused as things are, for its spec or its overlays. For who has to
    /// wait before, or has others to do first, and wants to know before anything is done. (The game may be about to come: a
    /// start waits for an install.)
    pub fn check_start(&self, name: &InstanceName) -> Result<()> {
        let root = self.open_for_reading()?;
        let instance = Instance::require(&root, name)?;
        check_overlays(&root, &instance.spec)?;
        let versions = Versions::read(&root)?;
        let Some(version) = versions.current() else { return Ok(()) };
        chain::open(&root, version.layers())?;
        Staged::plan(&root, name, &instance, version).map(drop)
    }

    /// The same on this version of the game, whichever is the current one.
    pub(crate) fn restart_on(&self, name: &InstanceName, version: &GenerationId) -> Result<Started> {
        self.run(name, true, Some(version))
    }

    fn run(&self, name: &InstanceName, restart: bool, on: Option<&GenerationId>) -> Result<Started> {
        let root = self.open()?;
        let lock = self.lock(&root, Lock::Instance(name))?;
        let tmp = open_swept(&root, name)?;
        let instance = Instance::require(&root, name)?;
        self.check_not_held_by_other(&root, name)?;
        let state = self.state_of(name)?;
        let runs = matches!(state, InstanceState::Running | InstanceState::Starting);
        if runs && !restart {
            let revision = crate::staging::staged_revision(&root, name)?;
            return Ok(Started { already_running: true, revision });
        }
        // Before anything changes: one that waits for it in vain is to leave everything as it was.
        let _installation = self.lock(&root, Lock::InstallationShared)?;
        let versions = Versions::read(&root)?;
        let version = match on {
            Some(id) => versions.require(id)?,
            None => versions.current().ok_or_else(|| not_installed(&root))?,
        };
        check_overlays(&root, &instance.spec)?;
        chain::open(&root, version.layers())?;
        make_runtime(&root, name)?;
        let plan = Staged::plan(&root, name, &instance, version)?;
        if runs || matches!(state, InstanceState::CrashLooping | InstanceState::Stopping | InstanceState::Unknown) {
            // What runs; or is between two runs of a server that keeps crashing, or at the end of one, or maybe just that:
            // what follows writes to the upper, which must not be mounted meanwhile.
            self.supervisor().disable(name, &lock)?;
        }
        stage(&plan, &tmp, &root, name)?;
        self.supervisor().enable(name, &lock)?;
        Ok(Started { already_running: false, revision: Some(instance.revision) })
    }

    /// Asks the supervisor to disable and stop the instance.
    pub fn stop(&self, name: &InstanceName) -> Result<()> {
        let root = self.open()?;
        let lock = self.lock(&root, Lock::Instance(name))?;
        if Instance::read(&root, name).is_ok_and(|instance| instance.is_none()) && !self.is_known(name)? {
            return Err(crate::instance::not_found(&root, name));
        }
        self.check_not_held_by_other(&root, name)?;
        self.supervisor().disable(name, &lock)
    }
}

pub(crate) fn not_installed(root: &Dir) -> Error {
    let message = format!("the game is not installed in {}", root.label_of("installation"));
    Error::new(ErrorKind::InstallationMissing, message).hint("`l4d2ctl install` brings it")
}

fn stage(plan: &Staged, tmp: &Dir, root: &Dir, name: &InstanceName) -> Result<()> {
    let dir = root.open_dir(format!("instances/{name}"))?;
    // One that is damaged is replaced like any other; only its aliases are then unknown.
    let old = Staged::read(&dir)?;
    plan.put(tmp, root, name, old.as_ref())?;
    // Writable, as the game may have taken that away: the modes of its root are the upper's.
    let upper = root.open_dir(format!("runtime/{name}"))?.open_dir_writable("upper")?;
    plan.put_cfg(&upper, old.as_ref())
}
