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
use crate::host::configured_root;
use crate::staging::staged_version;
use crate::{Host, InstanceState, Result, embedded, instance, query, rollout};

/// What instances run on, or will when they come back by themselves.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    /// The chains of generations, each of some instance's stack.
    chains: BTreeSet<Vec<GenerationId>>,
    /// The instances by the version that they were started on, where that is on record.
    pub(crate) versions: BTreeMap<GenerationId, BTreeSet<InstanceName>>,
}

impl InUse {
    /// Whether anybody uses the installation, with or without something above it.
    pub(crate) fn installation(&self) -> bool {
        !self.chains.is_empty()
    }

    /// Whether anybody uses a generation.
    pub(crate) fn generation(&self, id: &GenerationId) -> bool {
        self.chains.iter().any(|chain| chain.contains(id))
    }

    /// Whether anybody runs on a version.
    pub(crate) fn version(&self, version: &Version) -> bool {
        self.chains.contains(&version.chain) || self.versions.contains_key(&version.id)
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
        let units = self.supervisor().units()?;
        let mut names: BTreeSet<InstanceName> = instance::names(root)?.into_iter().collect();
        names.extend(units.keys().cloned());
        for name in names {
            let unit = units.get(&name);
            let at_work = unit.is_some_and(|unit| unit.enabled || query::state(unit) != InstanceState::Stopped);
            if !at_work && !embedded::is_held(root, &name)? {
                continue;
            }
            match staged_layers(root, &name) {
                Ok(layers) => in_use.add(layers),
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some((version, _)) = staged_version(root, &name) {
                in_use.versions.entry(version).or_default().insert(name);
            }
        }
        // Those that a rollout which is under way, or was killed, may go back to.
        for version in rollout::former_versions(root)? {
            in_use.versions.entry(version).or_default();
        }
        if configured_root()?.as_deref() == Some(self.root()) {
            for record in records()? {
                in_use.add(record.layers.into_iter().map(|(_, layer)| layer).collect());
            }
        }
        Ok(in_use)
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
