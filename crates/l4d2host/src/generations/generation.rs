//! Making a generation: a layer laid down by links, whole and on disk, and renamed into its place. It counts when
//! `versions.json` names it; as long as nothing does, it is swept.

use names::{GenerationId, Layer};
use overlay::beneath::Dir;

use super::chain::{MANIFESTS, manifest_name};
use super::lay::{How, lay};
use super::manifest::Manifest;
use super::merge::Merged;
use super::versions::Versions;
use crate::Result;

/// Makes the generation of `build_id` that consists of `layer`. The files come from `layers`, as `tree` numbers them; until
/// it is whole it lies in `aside`, under `name`.
pub(crate) fn make(
    root: &Dir,
    build_id: u64,
    layer: &Manifest,
    (tree, layers): (&Merged, &[Dir]),
    (aside, name): (&Dir, &str),
) -> Result<GenerationId> {
    let generations = root.open_dir("generations")?;
    let taken = |id: &GenerationId| Ok(generations.exists(id.as_str())?);
    let id = Versions::read(root)?.free_id(build_id, taken)?;
    let sources = layer.0.iter().map(|(path, &entry)| {
        // A mark of a deletion comes from nowhere.
        let number = tree.get(path).map_or(0, |&(number, _)| number);
        (path.clone(), (number, entry))
    });
    aside.remove(name)?;
    let dir = aside.create_dir(name, 0o755)?;
    lay(&sources.collect(), layers, &dir, How::Link)?;
    layer.write(&root.open_dir(MANIFESTS)?, &manifest_name(&Layer::Generation(id.clone())))?;
    dir.sync_file_system()?;
    aside.rename_new(name, &generations, id.as_str())?;
    generations.sync()?;
    Ok(id)
}
