//! Which layers are in use: those that somebody has mounted, or will mount without asking again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use names::{GenerationId, InstanceName, Layer};
use overlay::beneath::{Dir, TEMPORARY};
use overlay::record::Record;
use overlay::stack::staged_layers;
use rustix::io::Errno;

use super::chain::manifest_name;
use super::prune::FOLD;
use super::versions::{Version, Versions};
use crate::host::is_configured;
use crate::lock::{self, Lock};
use crate::staging::staged_version;
use crate::supervisor::systemd::{self, Systemd};
use crate::{Host, InstanceState, Result, Supervisor, SupervisorKind, embedded, instance, query, rollout};

/// What instances run on, or will when they come back by themselves.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    /// The chains of generations, each of some instance's stack.
    chains: BTreeSet<Vec<GenerationId>>,
    /// Somebody runs on layers of which nothing is on record: any may be it.
    any: bool,
    /// The instances by the version that they were started on, where that is on record.
    pub(crate) versions: BTreeMap<GenerationId, BTreeSet<InstanceName>>,
}

impl InUse {
    /// Whether anybody uses the installation, with or without something above it.
    pub(crate) fn installation(&self) -> bool {
        self.any || !self.chains.is_empty()
    }

    /// Whether anybody uses a generation.
    pub(crate) fn generation(&self, id: &GenerationId) -> bool {
        self.any || self.chains.iter().any(|chain| chain.contains(id))
    }

    /// Whether anybody runs on a version.
    pub(crate) fn version(&self, version: &Version) -> bool {
        self.any || self.chains.contains(&version.chain) || self.versions.contains_key(&version.id)
    }

    fn add(&mut self, layers: Vec<Layer>) {
        let generation = |layer| match layer {
            Layer::Generation(id) => Some(id),
            Layer::Overlay(_) | Layer::Installation => None,
        };
        self.chains.insert(layers.into_iter().filter_map(generation).collect());
    }
}

impl Host {
    /// What instances have mounted (root's records say that), and what those that run, or start again by themselves after
    /// a crash or at boot, have staged. Both supervisors are asked. What can't be found out is an error, and not "no".
    pub(crate) fn in_use(&self, root: &Dir) -> Result<InUse> {
        let mut in_use = InUse::default();
        let mut names: BTreeSet<InstanceName> = instance::names(root)?.into_iter().collect();
        // Before the supervisors are asked: whoever was about to start what is staged, and goes on with that when its
        // l4d2ctl is killed, has the instance's lock until a supervisor knows of it.
        let mut starting = BTreeSet::new();
        for name in &names {
            if lock::is_held(root, Lock::Instance(name))? {
                starting.insert(name.clone());
            }
        }
        let is_configured = is_configured(root)?;
        let mut running: BTreeSet<InstanceName> = self.units_at_work(is_configured)?.into_iter().collect();
        let held = embedded::all_held(root)?;
        running.extend(held.iter().cloned());
        names.extend(running.iter().cloned());
        for name in names.iter().filter(|name| running.contains(*name) || starting.contains(*name)) {
            match staged_layers(root, name) {
                Ok(layers) => in_use.add(layers),
                // Root's record says what is mounted for a unit; of an embedded server's mount only its files tell.
                Err(error) if error.errno() == Some(Errno::NOENT) => in_use.any |= held.contains(name),
                Err(error) => return Err(error.into()),
            }
            if let Some((version, _)) = staged_version(root, name)?.filter(|_| running.contains(name)) {
                in_use.versions.entry(version).or_default().insert(name.clone());
            }
        }
        // Those that a rollout which is under way, or was killed, may go back to.
        for version in rollout::former_versions(root)? {
            in_use.versions.entry(version).or_default();
        }
        if is_configured {
            for record in records()? {
                in_use.add(record.layers.into_iter().map(|(_, layer)| layer).collect());
            }
        }
        Ok(in_use)
    }

    /// The units that do anything, or will at boot, of our supervisor and of systemd.
    fn units_at_work(&self, is_configured: bool) -> Result<Vec<InstanceName>> {
        let mut units: Vec<_> = self.supervisor().units()?.into_iter().collect();
        if self.supervisor_kind() == SupervisorKind::Embedded
            && is_configured
            && let Some(prefix) = systemd::installed_prefix()?
        {
            units.extend(Systemd::new(prefix).units()?);
        }
        let at_work =
            units.into_iter().filter(|(_, unit)| unit.enabled || query::state(unit) != InstanceState::Stopped);
        Ok(at_work.map(|(name, _)| name).collect())
    }

    /// Removes the generations that no version names and nobody uses, and manifests of none: what a killed command has left,
    /// or what was in use when it was no longer needed. The generations are locked; a start uses only what a version names.
    pub(crate) fn sweep_generations(&self, root: &Dir, versions: &Versions) -> Result<Vec<GenerationId>> {
        let (generations, tmp) = (root.open_dir("generations")?, root.open_dir("tmp")?);
        let manifests = root.open_dir("manifests")?;
        tmp.remove(SWEPT)?;
        tmp.remove(FOLD)?;
        let named: BTreeSet<&GenerationId> = versions.all().iter().flat_map(|version| &version.chain).collect();
        let there = generations.entries()?.into_iter().filter_map(|name| name.to_str()?.parse::<GenerationId>().ok());
        let mut unused: Vec<GenerationId> = there.filter(|id| !named.contains(id)).collect();
        if !unused.is_empty() {
            let in_use = self.in_use(root)?;
            unused.retain(|id| !in_use.generation(id));
        }
        for id in &unused {
            // At once, so that no half of it is ever there under its name.
            generations.make_movable(id.as_str())?;
            generations.rename_new(id.as_str(), &tmp, SWEPT)?;
            generations.sync()?;
            tmp.remove(SWEPT)?;
        }
        for name in manifests.entries()? {
            if is_of_none(name.to_str().unwrap_or_default(), &named, &generations)? {
                manifests.remove(&name)?;
            }
        }
        Ok(unused)
    }
}

/// Whether a file among the manifests is half, or of a generation that is not there.
fn is_of_none(name: &str, named: &BTreeSet<&GenerationId>, generations: &Dir) -> Result<bool> {
    if name.starts_with(TEMPORARY) {
        return Ok(true);
    }
    match name.parse::<GenerationId>() {
        Ok(id) if name != manifest_name(&Layer::Installation) => Ok(!named.contains(&id) && !generations.exists(name)?),
        _ => Ok(false),
    }
}

/// What is being removed, in `tmp/`.
const SWEPT: &str = "generation";

/// Root's records of what is mounted, which everybody may read.
fn records() -> Result<Vec<Record>> {
    let dir = match Dir::open_root(Path::new(names::RECORD_DIR)) {
        Ok(dir) => dir,
        Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let names = dir.entries()?.into_iter().filter_map(|name| InstanceName::try_from(name.as_os_str()).ok());
    let records = names.map(|name| Ok(Record::read(&dir, &name)?)).collect::<Result<Vec<_>>>()?;
    Ok(records.into_iter().flatten().collect())
}
