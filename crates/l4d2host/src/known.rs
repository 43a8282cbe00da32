//! What has a name on this host, for whoever completes a word: read as it lies there, whoever asks, with nothing made,
//! locked or run.

use names::{GenerationId, InstanceName, OverlayRef};
use overlay::beneath::Dir;

use crate::generations::versions::Versions;
use crate::host::root_from_environment;
use crate::{Result, instance, overlays};

/// The names below one root directory. Unlike a [`crate::Host`] it may be anybody's.
#[derive(Debug)]
pub struct Known {
    root: Dir,
}

impl Known {
    /// What lies below the root directory that the environment names.
    pub fn from_environment() -> Result<Self> {
        Ok(Self { root: Dir::open_root(&root_from_environment()?)? })
    }

    /// The names of all instances, sorted.
    pub fn instances(&self) -> Result<Vec<InstanceName>> {
        instance::names(&self.root)
    }

    /// The overlays, sorted.
    pub fn overlays(&self) -> Result<Vec<OverlayRef>> {
        overlays::refs(&self.root)
    }

    /// The builds that instances can be started on, newest first.
    pub fn builds(&self) -> Result<Vec<GenerationId>> {
        let versions = Versions::read(&self.root)?;
        Ok(versions.all().iter().rev().map(|version| version.id.clone()).collect())
    }
}
