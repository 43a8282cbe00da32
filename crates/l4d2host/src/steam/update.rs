//! An update: what SteamCMD does to a game that instances run from becomes one more layer above it.
//!
//! SteamCMD works on an overlay over the current version (see `inside`) or, where there are no user namespaces, on a copy.
//! What then differs from the version below is laid down as the new generation, whole and on disk, renamed into its place,
//! and counts from the moment `versions.json` names it. What a killed update leaves in `tmp/update`, the next one goes on
//! with, if it is of the same version.

use std::ffi::OsStr;

use names::{GenerationId, Layer, print_layers};
use overlay::beneath::Dir;
use rustix::io::Errno;

use super::inside::PLACE;
use super::passes::Session;
use super::run::Target;
use super::whole::{Build, check_manifest, check_programs, not_whole};
use super::{Installed, Progress, hashing, inside, manifest};
use crate::embedded::{Probe, probe};
use crate::generations::chain::{self, Chain};
use crate::generations::finish_fold;
use crate::generations::generation;
use crate::generations::lay::{How, can_share, lay};
use crate::generations::manifest::{Entry, Manifest, as_path};
use crate::generations::merge::{Merged, difference, merge};
use crate::generations::scan::{look_at, scan};
use crate::generations::versions::Versions;
use crate::lock::Lock;
use crate::status::now;
use crate::{Error, ErrorKind, Host, Result, Version, start};

/// What SteamCMD keeps for itself: that it was there is no change of the game.
const STEAMS_OWN: &[u8] = b"steamapps";

/// How many generations a version may consist of; the next one stands on the installation alone.
const MAX_CHAIN: usize = 16;

/// An update that needs more than this is unusual; how much one needs, only SteamCMD knows.
const LITTLE_SPACE: u64 = 2 << 30;

/// What SteamCMD has made of the game.
struct Made {
    /// The whole tree, and which of `layers` each name comes from.
    tree: Merged,
    layers: Vec<Dir>,
}

impl Host {
    /// Brings the newest build above `current`. The generations are locked.
    pub(super) fn update(
        &self,
        root: &Dir,
        versions: &Versions,
        current: &Version,
        session: &Session<'_>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Installed> {
        if !Versions::are_written(root)? {
            let _lock = self.lock_for_install(root, Lock::Installation, on_progress)?;
            versions.write(root)?;
        }
        finish_fold(root)?;
        self.sweep_generations(root, versions)?;
        let made = self.make_layer(root, current, session, on_progress);
        // What failed for want of room gives back what it took; anything else is kept for the next try.
        if made.as_ref().map_or_else(|error| error.kind() == ErrorKind::DiskFull, |_| true) {
            root.open_dir("tmp")?.remove("update")?;
        }
        made
    }

    fn make_layer(
        &self,
        root: &Dir,
        current: &Version,
        session: &Session<'_>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Installed> {
        let chain = Chain::open(root, current, &mut hashing(on_progress))?;
        let made = self.make(root, current, &chain, session, on_progress)?;
        let build = check(&made).map_err(|why| not_whole(&why))?;
        let own_size = self.put(root, current, &chain, &made, build, on_progress)?;
        let version = Versions::read(root)?.current().cloned().ok_or_else(|| start::not_installed(root))?;
        let changed = version != *current;
        Ok(Installed { version, size_on_disk: build.size_on_disk, own_size, changed })
    }

    /// Has SteamCMD do its work, and looks at what came of it.
    fn make(
        &self,
        root: &Dir,
        current: &Version,
        chain: &Chain,
        session: &Session<'_>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Made> {
        let place = open_place(root, &current.layers())?;
        let installation = root.open_dir("installation")?;
        warn_of_little_space(&installation, on_progress);
        match probe(&place, "probe")? {
            Probe::Mounts => {
                place.make_dir("upper", 0o755)?;
                // Overlayfs wants it empty.
                place.remove("work")?;
                place.create_dir("work", 0o700)?;
                let upper = place.open_dir("upper")?;
                let target = Target::Overlay(self.root().to_owned());
                session.run_passes(target, &upper, &installation, on_progress)?;
                let written = scan_or_begin_anew(&upper, &place, "upper", on_progress)?;
                let manifests: Vec<&Manifest> = std::iter::once(&written).chain(&chain.manifests).collect();
                let mut layers = vec![upper];
                for layer in &chain.layers {
                    layers.push(layer.open_dir(".")?);
                }
                Ok(Made { tree: merge(&manifests), layers })
            }
            Probe::NoMount(why) | Probe::NoNamespaces(why) => {
                let warning = format!("updating a copy of the whole game, as it can't be done on an overlay: {why}");
                on_progress(&Progress::Warning { warning });
                copy(chain, &place, on_progress)?;
                let copy = place.open_dir(COPY)?;
                let target = Target::Directory(self.root().join(PLACE).join(COPY));
                session.run_passes(target, &copy, &installation, on_progress)?;
                let tree = scan_or_begin_anew(&copy, &place, COPIED, on_progress)?;
                Ok(Made { tree: merge(&[&tree]), layers: vec![copy] })
            }
        }
    }

    /// Makes a version of what differs from the current one, if anything does. Says how many bytes it has of its own.
    fn put(
        &self,
        root: &Dir,
        current: &Version,
        chain: &Chain,
        made: &Made,
        build: Build,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<u64> {
        let tree = Manifest::of(&made.tree);
        let below = as_it_is(chain.merged(), &chain.layers, &made.tree, |source| source == 0);
        let mut layer = difference(&below, &tree);
        let is_same = layer.0.keys().all(|path| is_steams_own(path));
        if is_same && build.build_id == current.build_id {
            return Ok(0);
        }
        if let Some(known) = known(root, current, &tree, build.build_id)? {
            let _lock = self.lock_for_install(root, Lock::Installation, on_progress)?;
            let mut versions = Versions::read(root)?;
            versions.set_current(&known)?;
            versions.write(root)?;
            return Ok(0);
        }
        let mut below = current.chain.clone();
        if below.len() >= MAX_CHAIN {
            // Each layer costs a look for every name that is missing. What is linked once more takes no room.
            let installation = merge(&[chain.installation()]);
            let is_above = |source| source == 0 || source + 1 < made.layers.len();
            let lowest = &chain.layers[chain.layers.len() - 1..];
            layer = difference(&as_it_is(installation, lowest, &made.tree, is_above), &tree);
            below.clear();
        }
        on_progress(&Progress::Step { step: "writing everything to disk".to_owned() });
        let place = root.open_dir(PLACE)?;
        let id = generation::make(root, build.build_id, &layer, (&made.tree, &made.layers), (&place, LAYER))?;
        let _lock = self.lock_for_install(root, Lock::Installation, on_progress)?;
        let mut versions = Versions::read(root)?;
        versions.add(build.build_id, Some(now()), std::iter::once(id).chain(below).collect())?;
        versions.write(root)?;
        Ok(layer.size())
    }
}

/// Another version that is there already and just this: one that was rolled back from, say.
fn known(root: &Dir, current: &Version, tree: &Manifest, build_id: u64) -> Result<Option<GenerationId>> {
    let versions = Versions::read(root)?;
    let others = versions.all().iter().filter(|version| version.build_id == build_id && version.id != current.id);
    for version in others {
        let chain = match Chain::open(root, version, &mut |_, _| {}) {
            Ok(chain) => chain,
            // One that is damaged is not just this: it is brought anew.
            Err(error) if error.kind() == ErrorKind::Corrupt => continue,
            Err(error) => return Err(error),
        };
        let there = Manifest::of(&chain.merged());
        if difference(&there, tree).0.keys().all(|path| is_steams_own(path)) {
            return Ok(Some(version.id.clone()));
        }
    }
    Ok(None)
}

/// The directory of a copy, and that of the layer that is being laid down, in the update's place.
const COPY: &str = "copy";
const LAYER: &str = "layer";

/// The file that says that a copy is whole.
const COPIED: &str = "copied";

/// Opens the update's place: as an earlier update left it, if that was of the same layers, and empty otherwise.
fn open_place(root: &Dir, layers: &[Layer]) -> Result<Dir> {
    let wanted = print_layers(layers)?.into_bytes();
    let tmp = root.open_dir("tmp")?;
    let begun = match root.read(format!("{PLACE}/{}", inside::LAYERS), inside::MAX_LAYERS_FILE) {
        Ok(begun) => Some(begun),
        Err(error) if error.errno() == Some(Errno::NOENT) => None,
        Err(error) => return Err(error.into()),
    };
    if begun != Some(wanted.clone()) {
        tmp.remove("update")?;
    }
    let place = tmp.make_dir("update", 0o700)?;
    place.put_file(OsStr::new(inside::LAYERS), &wanted, 0o600)?;
    Ok(place)
}

fn warn_of_little_space(installation: &Dir, on_progress: &mut dyn FnMut(&Progress)) {
    let Some(free) = super::free_space(installation).filter(|free| *free < LITTLE_SPACE) else { return };
    let warning = format!("{} MiB are free: an update may need more, and changes nothing if it does", free >> 20);
    on_progress(&Progress::Warning { warning });
}

/// Copies the current version for SteamCMD to work on, or refuses where there is no room for it.
fn copy(chain: &Chain, place: &Dir, on_progress: &mut dyn FnMut(&Progress)) -> Result<()> {
    if place.exists(COPIED)? {
        return Ok(());
    }
    place.remove(COPY)?;
    let merged = chain.merged();
    let size = Manifest::of(&merged).size();
    let free = super::free_space(place).unwrap_or(u64::MAX);
    if free < size && !can_share(&merged, &chain.layers, place)? {
        let message = format!("a copy of the game needs {} MiB, and {} MiB are free", size >> 20, free >> 20);
        return Err(Error::new(ErrorKind::DiskFull, message)
            .hint("with user namespaces allowed no copy is needed: `l4d2ctl doctor` says how"));
    }
    on_progress(&Progress::Step { step: "copying the game".to_owned() });
    let to = place.create_dir(COPY, 0o755)?;
    lay(&merged, &chain.layers, &to, How::Copy)?;
    to.sync_file_system()?;
    Ok(place.put_file(OsStr::new(COPIED), b"", 0o600)?)
}

/// What the layers below show where something above them has written the same as is on record: if a file there has been
/// damaged since, that is a repair and not the same.
fn as_it_is(mut below: Merged, layers: &[Dir], tree: &Merged, is_above: impl Fn(usize) -> bool) -> Manifest {
    for (path, &(source, entry)) in tree {
        let Some((number, recorded)) = below.get(path).copied() else { continue };
        if is_above(source) && matches!(entry, Entry::File { .. } | Entry::Link { .. }) && entry == recorded {
            let now = look_at(&layers[number], as_path(path));
            below.insert(path.clone(), (number, now.unwrap_or(Entry::Whiteout)));
        }
    }
    Manifest::of(&below)
}

fn is_steams_own(path: &[u8]) -> bool {
    path.strip_prefix(STEAMS_OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Looks at what SteamCMD has left. What can't be a layer it would not look at again, and the next try would come no further:
/// so what that would go on with is taken away.
fn scan_or_begin_anew(
    tree: &Dir,
    place: &Dir,
    goes_on_with: &str,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Manifest> {
    match scan(tree, &mut hashing(on_progress)) {
        Ok(manifest) => Ok(manifest),
        Err(error) => {
            place.remove(goes_on_with)?;
            Err(error.hint("nothing was changed; `l4d2ctl install` begins the update anew"))
        }
    }
}

/// The same as for a directory, of the merged tree.
fn check(made: &Made) -> std::result::Result<Build, String> {
    let bytes = chain::read(&made.tree, &made.layers, manifest::PATH, manifest::MAX_SIZE);
    let bytes = bytes.ok_or_else(|| format!("{} is missing", manifest::PATH))?.map_err(|error| error.to_string())?;
    let build = check_manifest(&bytes, manifest::PATH)?;
    let entry = |path: &str| made.tree.get(path.as_bytes()).map(|&(_, entry)| entry);
    let is_there = [
        ("srcds_run", matches!(entry("srcds_run"), Some(Entry::File { .. }))),
        ("bin", matches!(entry("bin"), Some(Entry::Dir { .. }))),
    ];
    check_programs(is_there, str::to_owned)?;
    Ok(build)
}
