//! Comparing every file of the game with what was recorded when it was installed.

use names::Layer;
use overlay::beneath::Dir;
use serde::Serialize;

use super::chain::{MANIFESTS, manifest_name};
use super::manifest::{Entry, Manifest};
use super::prune::finish_fold;
use super::scan::{Readable, scan_readable};
use super::versions::Versions;
use crate::lock::Lock;
use crate::{ErrorKind, Host, Progress, Result};

/// How a name in a layer differs from the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// It is gone.
    Missing,
    /// It was not there.
    Added,
    /// A file or link has other content.
    Content,
    /// It has another mode.
    Mode,
    /// It is of another kind, or a directory that hides others where it did not, or the other way round.
    Kind,
    /// It can't be read, or is a pipe, a socket or a device; of a directory, nothing in it.
    Unreadable,
    /// Nothing was recorded for the whole layer, or nothing that can be read.
    NotRecorded,
}

/// Something that is not as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The layer, as a stack names it: `installation` or `generation ID`.
    pub layer: String,
    /// The name in the layer, with bytes that are no text replaced; empty for the layer itself.
    pub path: String,
    /// What is the matter with it.
    pub difference: Difference,
    /// The current build does not use it: a layer above has the same name anew, and whole.
    pub covered: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many layers.
    pub layers: u64,
    /// How many names in them.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What is not as it was installed.
    pub damage: Vec<Damage>,
}

impl Host {
    /// Reads every file of every build of the game and compares it with what was recorded when it was installed.
    pub fn verify(&self, on_progress: &mut dyn FnMut(&Progress)) -> Result<Verified> {
        let root = self.open()?;
        let _lock = self.lock(&root, Lock::Generations)?;
        finish_fold(&root)?;
        let versions = Versions::read(&root)?;
        let mut layers: Vec<Layer> = versions.all().iter().flat_map(super::Version::layers).collect();
        layers.sort();
        layers.dedup();
        let recorded = root.open_dir(MANIFESTS)?;
        let mut verified = Verified::default();
        let mut complete = Vec::new();
        for layer in layers {
            let damaged =
                |difference| Damage { layer: layer.to_string(), path: String::new(), difference, covered: false };
            let manifest = match Manifest::read(&recorded, &manifest_name(&layer)) {
                Ok(Some(manifest)) => manifest,
                Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
                Ok(None) | Err(_) => {
                    verified.damage.push(damaged(Difference::NotRecorded));
                    continue;
                }
            };
            match root.open_dir(layer.relative_path()) {
                Ok(tree) => complete.push((layer, manifest, tree)),
                Err(error) if crate::instance::is_damage(&error) => verified.damage.push(damaged(Difference::Missing)),
                Err(error) => return Err(error.into()),
            }
        }
        let layers = if complete.len() == 1 { "layer" } else { "layers" };
        on_progress(&Progress::Step { step: format!("reading {} {layers}", complete.len()) });
        let mut hashing = |done, total| {
            on_progress(&Progress::Update { pass: "manifest", phase: "hashing".to_owned(), done, total });
        };
        let trees: Vec<_> = complete.iter().map(|(_, _, tree)| tree).collect();
        let found = scan_readable(&trees, &mut hashing)?;
        for ((layer, manifest, _), now) in complete.iter().zip(&found) {
            verified.add(&layer.to_string(), manifest, now);
        }
        verified.damage.sort_by(|one, other| one.layer.cmp(&other.layer));
        if let Some(current) = versions.current().filter(|_| !verified.damage.is_empty()) {
            look_above(&recorded, current, &mut verified.damage)?;
        }
        Ok(verified)
    }
}

impl Verified {
    /// A layer, as it was recorded and as it is now.
    fn add(&mut self, layer: &str, recorded: &Manifest, now: &Readable) {
        let damage = |path: &[u8], difference| {
            let path = String::from_utf8_lossy(path).into_owned();
            Damage { layer: layer.to_owned(), path, difference, covered: false }
        };
        for (path, difference) in compare(recorded, &now.manifest) {
            // What can't be looked at is not missing for that.
            let is_in =
                |closed: &Vec<u8>| path.strip_prefix(&closed[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
            if !now.refused.iter().any(is_in) {
                self.damage.push(damage(path, difference));
            }
        }
        self.damage.extend(now.refused.iter().map(|path| damage(path, Difference::Unreadable)));
        self.layers += 1;
        self.entries += now.manifest.0.len() as u64;
        self.bytes += now.manifest.size();
    }
}

/// Sees which damage the current build does not use, as it has the name from a layer above: what an `install` has repaired.
fn look_above(recorded: &Dir, current: &super::Version, damage: &mut [Damage]) -> Result<()> {
    let found: Vec<Damage> = damage.to_vec();
    let is_whole = |layer: &str, path: &str| {
        !found.iter().any(|other| other.layer == layer && (other.path == path || other.path.is_empty()))
    };
    let mut above: Vec<(String, Manifest)> = Vec::new();
    for layer in current.layers() {
        let label = layer.to_string();
        for damage in damage.iter_mut().filter(|damage| damage.layer == label) {
            let has = |(layer, manifest): &(String, Manifest)| {
                manifest.0.contains_key(damage.path.as_bytes()) && is_whole(layer, &damage.path)
            };
            damage.covered = above.iter().any(has);
        }
        match Manifest::read(recorded, &manifest_name(&layer)) {
            Ok(manifest) => above.extend(manifest.map(|manifest| (label, manifest))),
            // It is told already.
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn compare<'a>(recorded: &'a Manifest, now: &'a Manifest) -> Vec<(&'a [u8], Difference)> {
    let mut found = Vec::new();
    for (path, entry) in &recorded.0 {
        let difference = match (entry, now.0.get(path)) {
            (entry, Some(now)) if entry == now => continue,
            (_, None) => Difference::Missing,
            (Entry::File { size, hash, .. }, Some(Entry::File { size: size_now, hash: hash_now, .. })) => {
                if (size, hash) == (size_now, hash_now) { Difference::Mode } else { Difference::Content }
            }
            (Entry::Link { .. }, Some(Entry::Link { .. })) => Difference::Content,
            (Entry::Dir { opaque, .. }, Some(Entry::Dir { opaque: opaque_now, .. })) if opaque == opaque_now => {
                Difference::Mode
            }
            _ => Difference::Kind,
        };
        found.push((&path[..], difference));
    }
    let added = now.0.keys().filter(|path| !recorded.0.contains_key(*path));
    found.extend(added.map(|path| (&path[..], Difference::Added)));
    found.sort_by_key(|(path, _)| *path);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_differ() {
        let dir = |mode, opaque| Entry::Dir { mode, opaque };
        let file = |mode, content| Entry::File { mode, size: 1, hash: [content; 32] };
        let link = |content| Entry::Link { size: 1, hash: [content; 32] };
        let of = |entries: &[(&str, Entry)]| {
            Manifest(entries.iter().map(|(path, entry)| (path.as_bytes().to_vec(), *entry)).collect())
        };
        let recorded = [
            ("content", file(0o644, 1)),
            ("gone", Entry::Whiteout),
            ("kind", link(1)),
            ("link", link(1)),
            ("mode", file(0o644, 1)),
            ("mode d", dir(0o755, true)),
            ("opaque", dir(0o755, true)),
            ("same", file(0o644, 1)),
        ];
        let now = [
            ("added", dir(0o755, false)),
            ("content", file(0o644, 2)),
            ("kind", file(0o777, 1)),
            ("link", link(2)),
            ("mode", file(0o755, 1)),
            ("mode d", dir(0o700, true)),
            ("opaque", dir(0o755, false)),
            ("same", file(0o644, 1)),
        ];
        let (recorded, now) = (of(&recorded), of(&now));
        let found: Vec<_> = compare(&recorded, &now)
            .into_iter()
            .map(|(path, difference)| (std::str::from_utf8(path).unwrap(), difference))
            .collect();
        use Difference::{Added, Content, Kind, Missing, Mode};
        let expected = [
            ("added", Added),
            ("content", Content),
            ("gone", Missing),
            ("kind", Kind),
            ("link", Content),
            ("mode", Mode),
            ("mode d", Mode),
            ("opaque", Kind),
        ];
        assert_eq!(found, expected);
        assert_eq!(compare(&now, &now), []);
    }
}
