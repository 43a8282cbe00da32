//! Which builds there are, who runs on them, and going back to one.

use names::{InstanceName, Layer};
use serde::Serialize;

use super::chain::{self, MANIFESTS, manifest_name};
use super::manifest::Manifest;
use super::versions::{Version, Versions};
use crate::lock::Lock;
use crate::texts::as_texts;
use crate::{Error, ErrorKind, Host, Result, start};

/// A version, and what it is to the instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionStatus {
    /// Its name, build and age.
    #[serde(flatten)]
    pub version: Version,
    /// Instances are started on it.
    pub current: bool,
    /// Bytes of the files that it has of its own, above the version that it was made from; none where that is not known.
    pub own_size: Option<u64>,
    /// The instances that run on it, or come back on it after a crash or at boot.
    #[serde(serialize_with = "as_texts")]
    pub instances: Vec<InstanceName>,
    /// The instances whose next start will be on it, and that do not run on it now.
    #[serde(serialize_with = "as_texts")]
    pub next_start: Vec<InstanceName>,
}

impl Host {
    /// The builds of the game that instances can be started on, oldest first.
    pub fn versions(&self) -> Result<Vec<VersionStatus>> {
        let root = self.open_for_reading()?;
        let versions = Versions::read(&root)?;
        if versions.all().is_empty() {
            // Of a root directory that was just made nothing else is there to be looked at.
            return Ok(Vec::new());
        }
        let mut in_use = self.in_use(&root)?;
        let names = self.instance_names()?;
        let manifests = root.open_dir(MANIFESTS).ok();
        let mut list = Vec::new();
        for version in versions.all() {
            let top = version.layers().into_iter().next().unwrap_or(Layer::Installation);
            let own = manifests.as_ref().and_then(|dir| Manifest::read(dir, &manifest_name(&top)).ok()?);
            let own_size = own.map(|manifest| manifest.size());
            let instances: Vec<_> = in_use.versions.remove(&version.id).into_iter().flatten().collect();
            let current = versions.current() == Some(version);
            let next = names.iter().filter(|name| current && !instances.contains(name)).cloned();
            let next_start = next.collect();
            list.push(VersionStatus { version: version.clone(), current, own_size, instances, next_start });
        }
        Ok(list)
    }

    /// Makes another version the current one: that of this name or build, or otherwise the one before the current one.
    /// What runs goes on as it is.
    pub fn rollback(&self, to: Option<&str>) -> Result<Version> {
        let root = self.open()?;
        let _lock = self.lock(&root, Lock::Installation)?;
        let mut versions = Versions::read(&root)?;
        let current = versions.current().cloned().ok_or_else(|| start::not_installed(&root))?;
        let wanted = match to {
            Some(text) => versions.meant_by(text)?.clone(),
            None => before(&versions, &current)?,
        };
        chain::open(&root, wanted.layers())?;
        if wanted != current {
            versions.set_current(&wanted.id)?;
            versions.write(&root)?;
        }
        Ok(wanted)
    }
}

fn before(versions: &Versions, current: &Version) -> Result<Version> {
    let older = versions.all().iter().take_while(|version| *version != current).last();
    older.cloned().ok_or_else(|| {
        let message = format!("there is no build before {}, which is the current one", current.id.as_str());
        Error::new(ErrorKind::NotFound, message).hint("`l4d2ctl versions` shows which there are")
    })
}
