//! The laws of manifests, of versions, and of laying one tree above another, for `fuzz/`.

use super::manifest::{Entry, Manifest};
use super::merge::{difference, merge};
use super::versions::Versions;

/// What is read of a manifest can be printed and read again, and every path stays in its tree.
pub(crate) fn layer_manifest(input: &[u8]) {
    let Some(manifest) = Manifest::parse(input) else { return };
    assert_eq!(Manifest::parse(&manifest.print()).as_ref(), Some(&manifest));
    for path in manifest.0.keys() {
        let plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
        assert!(path.split(|&byte| byte == b'/').all(plain) && !path.contains(&0));
    }
}

pub(crate) fn versions(input: &[u8]) {
    let Ok(versions) = Versions::parse(input) else { return };
    assert_eq!(versions.current().is_none(), versions.all().is_empty());
    let printed = versions.print().expect("prints");
    assert_eq!(Versions::parse(&printed).expect("reads what it printed"), versions);
    if let Some(version) = versions.all().last() {
        assert_eq!(versions.meant_by(version.id.as_str()).expect("is there"), version);
    }
}

/// Three trees of few names: the layer that makes one of another does, and through a tree in between as well.
pub(crate) fn layers_above(input: &[u8]) {
    let mut trees = input.splitn(3, |&byte| byte == 0xff).map(tree);
    let (Some(first), Some(second), Some(third)) = (trees.next(), trees.next(), trees.next()) else { return };
    let (upper, lower) = (difference(&second, &third), difference(&first, &second));
    assert_eq!(Manifest::of(&merge(&[&lower, &first])), second);
    assert_eq!(Manifest::of(&merge(&[&upper, &lower, &first])), third);
    let folded = difference(&first, &third);
    assert_eq!(Manifest::of(&merge(&[&folded, &first])), third);
    assert_eq!(Manifest::parse(&folded.print()), Some(folded));
}

/// A tree, of two bytes a name: where, and what.
fn tree(bytes: &[u8]) -> Manifest {
    let mut manifest = Manifest::default();
    for pair in bytes.chunks_exact(2) {
        let (place, what) = (pair[0], pair[1]);
        // Up to three levels of three names each.
        let letters = [place & 3, place >> 2 & 3, place >> 4 & 3].map(|letter| b'a' + letter);
        let depth = usize::from(place >> 6).min(2) + 1;
        let path = letters[..depth].iter().map(|&letter| vec![letter]).collect::<Vec<_>>().join(&b'/');
        let mode = 0o600 | u32::from(what & 1);
        let entry = match what >> 6 {
            0 => Entry::Dir { mode, opaque: false },
            1 => Entry::Link { size: 1, hash: [what; 32] },
            _ => Entry::File { mode, size: 1, hash: [what; 32] },
        };
        // Only what a tree can hold: in directories that are there, and nothing below what is none.
        let parent_is_dir = match path.iter().rposition(|&byte| byte == b'/') {
            None => true,
            Some(end) => matches!(manifest.0.get(&path[..end]), Some(Entry::Dir { .. })),
        };
        let is_free = !manifest.0.contains_key(&path);
        if parent_is_dir && is_free {
            manifest.0.insert(path, entry);
        }
    }
    manifest
}
