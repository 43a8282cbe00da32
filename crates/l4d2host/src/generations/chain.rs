//! The layers of one version of the game, opened, with what was recorded of each.

use names::{GenerationId, Layer};
use overlay::beneath::Dir;
use overlay::stack::open_layers;

use super::manifest::{Manifest, as_path};
use super::merge::{Merged, merge};
use super::scan::{OnBytes, scan};
use super::versions::Version;
use crate::{Error, ErrorKind, Result};

/// Highest precedence first, as always.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) layers: Vec<Dir>,
    pub(crate) manifests: Vec<Manifest>,
}

/// The directory of manifests below the root.
pub(crate) const MANIFESTS: &str = "manifests";

/// What a layer's manifest is called there.
pub(crate) fn manifest_name(layer: &Layer) -> String {
    match layer {
        Layer::Generation(id) => id.as_str().to_owned(),
        Layer::Installation | Layer::Overlay(_) => "installation".to_owned(),
    }
}

/// Opens the layers of a version, or says what is left to do where one is gone.
pub(crate) fn open(root: &Dir, layers: Vec<Layer>) -> Result<Vec<(Layer, Dir)>> {
    open_layers(root, layers).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "a layer of this build of the game can't be opened").because(error).hint(
            "`l4d2ctl rollback BUILD` goes to another one (`l4d2ctl versions` shows them), and from there `l4d2ctl install` \
             brings it anew",
        )
    })
}

impl Chain {
    /// Opens the layers of `version`. Of one that has no manifest (a game that was not installed by left4me) it is made
    /// now, from what is there.
    pub(crate) fn open(root: &Dir, version: &Version, on_bytes: OnBytes<'_>) -> Result<Self> {
        Self::of(root, &version.chain, on_bytes)
    }

    /// The same for these generations above the installation.
    pub(crate) fn of(root: &Dir, generations: &[GenerationId], on_bytes: OnBytes<'_>) -> Result<Self> {
        let recorded = root.open_dir(MANIFESTS)?;
        let layers = generations.iter().cloned().map(Layer::Generation).chain([Layer::Installation]);
        let layers = open(root, layers.collect())?;
        let mut manifests = Vec::with_capacity(layers.len());
        for (layer, _) in &layers {
            let name = manifest_name(layer);
            manifests.push(match Manifest::read(&recorded, &name)? {
                Some(manifest) => manifest,
                None => {
                    let manifest = scan(&root.open_dir(layer.relative_path())?, on_bytes)?;
                    manifest.write(&recorded, &name)?;
                    manifest
                }
            });
        }
        Ok(Self { layers: layers.into_iter().map(|(_, dir)| dir).collect(), manifests })
    }

    /// The manifest of the lowest layer.
    pub(crate) fn installation(&self) -> &Manifest {
        &self.manifests[self.manifests.len() - 1]
    }

    /// What the layers show together.
    pub(crate) fn merged(&self) -> Merged {
        merge(&self.manifests.iter().collect::<Vec<_>>())
    }
}

/// Reads a file of a merged tree from the layer that it comes from.
pub(crate) fn read(merged: &Merged, layers: &[Dir], path: &str, cap: usize) -> Option<overlay::Result<Vec<u8>>> {
    let (number, _) = merged.get(path.as_bytes())?;
    Some(layers[*number].read(as_path(path.as_bytes()), cap))
}
