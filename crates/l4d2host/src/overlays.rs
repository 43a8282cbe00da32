//! Which overlays there are, that those of a spec are, and which instances use them.

use std::collections::BTreeMap;

use names::{InstanceName, Layer, OverlayRef};
use overlay::beneath::Dir;
use rustix::io::Errno;
use serde::Serialize;

use crate::closest::closest;
use crate::instance::{self, Instance};
use crate::spec::Spec;
use crate::texts::{as_text, as_texts};
use crate::{Error, ErrorKind, Host, Result};

/// What makes a directory an overlay where nobody names it: it is laid out like the game.
const GAME_DIRECTORY: &str = "left4dead2";

/// How many components a ref has at most that is looked for. Deeper ones can be used, and are known where a spec names them.
const DEPTH: usize = 4;

/// An overlay, and who uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverlayStatus {
    /// Its ref.
    #[serde(serialize_with = "as_text")]
    pub overlay: OverlayRef,
    /// It is there. An instance whose overlay is not can't be started.
    pub exists: bool,
    /// The instances whose spec names it, sorted. Damaged ones are none: it is not known what they name.
    #[serde(serialize_with = "as_texts")]
    pub instances: Vec<InstanceName>,
}

impl Host {
    /// The overlays of these refs, or all: those that are found and those that specs name, sorted. A ref that is neither there
    /// nor named is an error.
    pub fn overlays(&self, wanted: &[OverlayRef]) -> Result<Vec<OverlayStatus>> {
        let root = self.open_for_reading()?;
        let mut used: BTreeMap<OverlayRef, Vec<InstanceName>> = BTreeMap::new();
        for name in instance::names(&root)? {
            if let Ok(Some(found)) = Instance::read(&root, &name) {
                for entry in found.spec.overlays {
                    used.entry(entry.overlay).or_default().push(name.clone());
                }
            }
        }
        if wanted.is_empty() {
            for overlay in refs(&root)? {
                used.entry(overlay).or_default();
            }
        } else {
            wanted
                .iter()
                .filter(|overlay| !used.contains_key(overlay))
                .try_for_each(|overlay| check(&root, overlay))?;
            let mut of_all = std::mem::take(&mut used);
            used.extend(wanted.iter().map(|overlay| (overlay.clone(), of_all.remove(overlay).unwrap_or_default())));
        }
        let status = |(overlay, instances)| Ok(OverlayStatus { exists: exists(&root, &overlay)?, overlay, instances });
        used.into_iter().map(status).collect()
    }
}

/// Each overlay of a spec is there.
pub(crate) fn check_overlays(root: &Dir, spec: &Spec) -> Result<()> {
    spec.overlays.iter().try_for_each(|entry| check(root, &entry.overlay))
}

/// An overlay is there. A link to one, or behind one, is none: root's helper would not follow it either.
fn check(root: &Dir, overlay: &OverlayRef) -> Result<()> {
    let path = Layer::Overlay(overlay.clone()).relative_path();
    let place = root.label_of(&path);
    let why = match root.open_dir(&path).map_err(|error| (error.errno(), error)) {
        Ok(_) => return Ok(()),
        Err((Some(Errno::NOENT), _)) => format!("looked for it at {place}"),
        Err((Some(Errno::LOOP), _)) => format!("{place} is, or lies behind, a symbolic link"),
        Err((Some(Errno::NOTDIR), _)) => format!("{place} is not a directory"),
        Err((_, error)) => return Err(error.into()),
    };
    Err(Error::new(ErrorKind::OverlayMissing, format!("overlay {overlay} is not there: {why}"))
        .hint(format!("{}put the overlay's files into {place}", meant(root, overlay))))
}

fn exists(root: &Dir, overlay: &OverlayRef) -> Result<bool> {
    match check(root, overlay) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::OverlayMissing => Ok(false),
        Err(error) => Err(error),
    }
}

/// "did you mean REF? " where an overlay is there whose every component is the same or close.
fn meant(root: &Dir, wanted: &OverlayRef) -> String {
    let meant = || {
        let mut dir = root.open_dir("overlays").ok()?;
        let mut meant = Vec::new();
        for component in wanted.to_string().split('/') {
            let found = match dir.open_dir(component) {
                Ok(_) => component.to_owned(),
                Err(_) => {
                    let names = dir.entries().ok()?;
                    closest(component, names.iter().filter_map(|name| name.to_str()))?.to_owned()
                }
            };
            dir = dir.open_dir(&found).ok()?;
            meant.push(found);
        }
        meant.join("/").parse::<OverlayRef>().ok().filter(|meant| meant != wanted)
    };
    meant().map_or_else(String::new, |meant| format!("did you mean {meant}? Otherwise "))
}

/// A directory; none where there is nothing, something else, or a link.
fn open(dir: &Dir, name: &str) -> Result<Option<Dir>> {
    match dir.open_dir(name).map_err(|error| (error.errno(), error)) {
        Ok(dir) => Ok(Some(dir)),
        Err((Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP), _)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// The overlays that are there: directories laid out like the game, wherever they lie.
pub(crate) fn refs(root: &Dir) -> Result<Vec<OverlayRef>> {
    let mut found = Vec::new();
    let mut folders: Vec<(Option<OverlayRef>, Dir)> = Vec::new();
    folders.extend(open(root, "overlays")?.map(|dir| (None, dir)));
    while let Some((path, dir)) = folders.pop() {
        let names = dir.entries()?;
        if let Some(path) = &path
            && names.iter().any(|name| name == GAME_DIRECTORY)
        {
            found.push(path.clone());
            continue;
        }
        // A name that is no part of a ref leads to no overlay.
        for name in names.iter().filter_map(|name| name.to_str()) {
            let inside = path.as_ref().map_or_else(|| name.to_owned(), |path| format!("{path}/{name}"));
            if let Ok(inside) = inside.parse::<OverlayRef>()
                && inside.as_str().split('/').count() <= DEPTH
                && let Some(dir) = open(&dir, name)?
            {
                folders.push((Some(inside), dir));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn overlays_are_what_is_laid_out_like_the_game() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        for dir in [
            "overlays/standard/left4dead2/left4dead2",
            "overlays/users/42/custom/left4dead2",
            "overlays/users/42/empty",
            "overlays/a/b/c/d/left4dead2",
            "overlays/a/b/c/d2/too/left4dead2",
            "overlays/.hidden/left4dead2",
            "overlays/with space/left4dead2",
            "overlays/-x/left4dead2",
            "elsewhere/left4dead2",
        ] {
            fs::create_dir_all(path(dir)).unwrap();
        }
        fs::write(path("overlays/left4dead2"), "a file of that name in the directory of all").unwrap();
        std::os::unix::fs::symlink("../elsewhere", path("overlays/link")).unwrap();
        let root = Dir::open_root(&scratch.path().canonicalize().unwrap()).unwrap();
        let found: Vec<String> = refs(&root).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a/b/c/d", "standard", "users/42/custom"]);
        fs::remove_dir_all(path("overlays")).unwrap();
        assert_eq!(refs(&root).unwrap(), []);
    }
}
