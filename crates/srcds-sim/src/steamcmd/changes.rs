//! How much an update changes, for whoever measures how much it writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest;
use super::tree::{Item, Tree};

/// The files of `to` that lie there otherwise than in `from`, and their bytes. Each counts whole, as an overlay has it whole,
/// even where only its mode is another.
pub(super) fn between(from: u64, to: u64, bulk: u64) -> (u64, u64) {
    let (old, new) = (both_passes(from, bulk), both_passes(to, bulk));
    let remade: Vec<&PathBuf> = new
        .iter()
        .filter(|(dir, item)| **item == Item::Remade && below(&old, dir) != below(&new, dir))
        .map(|(dir, _)| dir)
        .collect();
    let is_other =
        |path: &PathBuf, item: &Item| old.get(path) != Some(item) || remade.iter().any(|dir| path.starts_with(dir));
    let sizes = new.iter().filter(|(path, item)| is_other(path, item)).filter_map(|(_, item)| match item {
        Item::File { bytes, .. } => Some(bytes.len()),
        _ => None,
    });
    let manifest = (from != to).then(|| manifest::text(to).len() as u64);
    sizes.chain(manifest).fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

fn both_passes(build: u64, bulk: u64) -> BTreeMap<PathBuf, Item> {
    ["windows", "linux"].into_iter().flat_map(|platform| Tree::new(platform, build, bulk).0).collect()
}

fn below<'a>(tree: &'a BTreeMap<PathBuf, Item>, dir: &Path) -> Vec<(&'a PathBuf, &'a Item)> {
    tree.iter().filter(|(path, _)| path.starts_with(dir)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::BUILD;
    use super::*;

    #[test]
    fn a_known_part_of_the_bulk_changes() {
        let small = between(BUILD, BUILD + 1, 0).1;
        assert!((10_000..100_000).contains(&small), "{small}");
        for (bulk, changed) in [(1, 1), (8, 1), (32, 1), (64, 2), (320, 10)] {
            for build in BUILD..BUILD + 40 {
                let bytes = between(build, build + 1, bulk).1 - between(build, build + 1, 0).1;
                assert_eq!(bytes, changed << 20, "{bulk} MiB, build {build}");
            }
        }
        assert_eq!(between(BUILD, BUILD, 8), (0, 0));
    }
}
