//! Merging layers, and the layer that makes one tree of another. Decided on manifests alone, and never by looking at the
//! trees; `as_overlayfs` holds it against the kernel.

use std::collections::BTreeMap;

use super::manifest::{Entry, Manifest};

/// A merged tree: each name with what it is, and the number of the layer that it comes from.
pub(crate) type Merged = BTreeMap<Vec<u8>, (usize, Entry)>;

/// Merges layers as overlayfs shows them, highest precedence first; the last one is the lowest there is.
pub(crate) fn merge(layers: &[&Manifest]) -> Merged {
    let mut merged = Merged::new();
    for (number, layer) in layers.iter().enumerate().rev() {
        for (path, &entry) in &layer.0 {
            let below = merged.get(path).map(|&(_, entry)| entry);
            let hides = match (entry, below) {
                // Two directories are one, with the upper one's mode.
                (Entry::Dir { opaque: false, .. }, Some(Entry::Dir { .. })) => false,
                (_, below) => below.is_some(),
            };
            if hides {
                remove_tree(&mut merged, path);
            }
            let entry = match entry {
                Entry::Whiteout => {
                    merged.remove(path);
                    continue;
                }
                Entry::Dir { mode, .. } => Entry::Dir { mode, opaque: false },
                entry => entry,
            };
            merged.insert(path.clone(), (number, entry));
        }
    }
    merged
}

/// The layer that shows `now` above `below`: what differs, the directories that lead there, and a mark for each name that is
/// gone.
pub(crate) fn difference(below: &Manifest, now: &Manifest) -> Manifest {
    let mut layer = Manifest::default();
    let mut wanted = Vec::new();
    for (path, &entry) in &now.0 {
        match (entry, below.0.get(path)) {
            (entry, Some(same)) if entry == *same => {}
            (Entry::Dir { mode, .. }, Some(other)) => {
                layer.0.insert(path.clone(), Entry::Dir { mode, opaque: !other.is_dir() });
                wanted.push(path);
            }
            (entry, _) => {
                layer.0.insert(path.clone(), entry);
                wanted.push(path);
            }
        }
    }
    for path in below.0.keys().filter(|path| !now.0.contains_key(*path)) {
        // What lay in a directory that is gone, or that is a file now, needs no mark of its own.
        let stands = parents(path).next().is_none_or(|parent| now.0.get(parent).is_some_and(Entry::is_dir));
        if stands {
            layer.0.insert(path.clone(), Entry::Whiteout);
            wanted.push(path);
        }
    }
    for parent in wanted.into_iter().flat_map(|path| parents(path)) {
        if let (false, Some(&dir)) = (layer.0.contains_key(parent), now.0.get(parent)) {
            layer.0.insert(parent.to_vec(), dir);
        }
    }
    layer
}

/// The directories that a path leads through, the innermost first.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    ends.map(|(end, _)| &path[..end])
}

/// Takes away `path` and everything in it.
fn remove_tree(merged: &mut Merged, path: &[u8]) {
    let inside = [path, b"/"].concat();
    merged.remove(path);
    let names: Vec<Vec<u8>> = merged
        .range(inside.clone()..)
        .map(|(name, _)| name.clone())
        .take_while(|name| name.starts_with(&inside))
        .collect();
    for name in names {
        merged.remove(&name);
    }
}

impl Manifest {
    /// What merged layers consist of.
    pub(crate) fn of(merged: &Merged) -> Self {
        Self(merged.iter().map(|(path, &(_, entry))| (path.clone(), entry)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{DIR, OPAQUE, file, manifest};
    use super::*;

    #[test]
    fn layers_are_merged_as_overlayfs_does() {
        let base = manifest(&[
            ("a", DIR),
            ("a.x", file(1)),
            ("a/1", file(1)),
            ("a/2", file(1)),
            ("d", DIR),
            ("d/deep", DIR),
            ("d/deep/1", file(1)),
            ("f", file(1)),
            ("gone", DIR),
            ("gone/1", file(1)),
            ("same", file(1)),
        ]);
        let upper = manifest(&[
            ("a", Entry::Dir { mode: 0o700, opaque: false }),
            ("a/2", Entry::Whiteout),
            ("a/3", file(2)),
            ("d", file(2)),
            ("f", OPAQUE),
            ("f/in", file(2)),
            ("gone", Entry::Whiteout),
        ]);
        let whole = merge(&[&upper, &base]);
        let expected = manifest(&[
            ("a", Entry::Dir { mode: 0o700, opaque: false }),
            ("a.x", file(1)),
            ("a/1", file(1)),
            ("a/3", file(2)),
            ("d", file(2)),
            ("f", Entry::Dir { mode: 0o700, opaque: false }),
            ("f/in", file(2)),
            ("same", file(1)),
        ]);
        assert_eq!(Manifest::of(&whole), expected);
        assert_eq!((whole[&b"a/1"[..]].0, whole[&b"a/3"[..]].0), (1, 0));
    }

    #[test]
    fn a_difference_is_all_that_is_needed_and_no_more() {
        let trees = [
            manifest(&[]),
            manifest(&[("a", DIR), ("a/b", DIR), ("a/b/1", file(1)), ("a/c", file(1)), ("f", file(1))]),
            manifest(&[("a", DIR), ("a/b", DIR), ("a/b/1", file(2)), ("a/c", file(1)), ("f", file(1))]),
            manifest(&[("a", file(1)), ("f", DIR), ("f/1", file(1)), ("f/d", DIR)]),
            manifest(&[
                ("a", Entry::Dir { mode: 0o700, opaque: false }),
                ("a/b", DIR),
                ("f", Entry::Link { size: 1, hash: [0; 32] }),
            ]),
        ];
        for below in &trees {
            for now in &trees {
                let layer = difference(below, now);
                assert_eq!(Manifest::of(&merge(&[&layer, below])), *now, "{below:?} {now:?}");
                assert_eq!(layer.0.is_empty(), below == now);
            }
        }
        let one_byte = difference(&trees[1], &trees[2]);
        assert_eq!(one_byte, manifest(&[("a", DIR), ("a/b", DIR), ("a/b/1", file(2))]));
        let gone = difference(&trees[1], &trees[0]);
        assert_eq!(gone, manifest(&[("a", Entry::Whiteout), ("f", Entry::Whiteout)]));
    }
}
