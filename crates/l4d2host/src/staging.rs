//! Staging: the one complete plan that a start, a restart and a reboot run from.
//!
//! A snapshot in `instances/NAME/staged`, replaced as a whole. The helper and the launcher read nothing else.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use names::{GenerationId, InstanceName, Layer, print_layers};
use overlay::beneath::Dir;
use rustix::io::Errno;

use crate::aside::Aside;
use crate::initialize::read_rcon_password;
use crate::instance::{Instance, PORT_ARGUMENT, is_damage};
use crate::{Error, ErrorKind, Result, Revision, Version};

/// The largest `server.cfg` of an overlay that is copied.
const MAX_CFG: usize = 1024 * 1024;

/// The largest `version` file: a name and a number.
const MAX_VERSION: usize = 64;

/// Where Source looks for cfg files, from the game's root.
const CFG_DIR: [&str; 2] = ["left4dead2", "cfg"];

/// A staged plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staged {
    layers: Vec<u8>,
    launch: Vec<u8>,
    revision: Vec<u8>,
    /// Which version of the game, for people and programs; what is mounted, the layers say. None in a plan that an older
    /// left4me staged.
    version: Option<Vec<u8>>,
    /// By file name: what is copied into the upper's cfg directory.
    cfg: BTreeMap<String, Vec<u8>>,
}

impl Staged {
    /// The plan that the instance's spec asks for now, with this version of the game.
    pub(crate) fn plan(root: &Dir, name: &InstanceName, instance: &Instance, version: &Version) -> Result<Self> {
        let layers =
            print_layers(&instance.layers(version)).map_err(|e| Error::new(ErrorKind::Corrupt, e.to_string()))?;
        let launch = left4me_launch::print_launch(&instance.launch())
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("instance {name}: {e}")))?;
        let revision = format!("{}\n", instance.revision.as_str()).into_bytes();
        let mut cfg = alias_cfgs(root, instance)?;
        let password = read_rcon_password(&root.open_dir(format!("instances/{name}"))?)?;
        cfg.insert("server.cfg".to_owned(), server_cfg(instance, &cfg, &password).into_bytes());
        let version = Some(format!("{} {}\n", version.id.as_str(), version.build_id).into_bytes());
        Ok(Self { layers: layers.into_bytes(), launch: launch.into_bytes(), revision, version, cfg })
    }

    /// What is staged in an instance's directory; `None` where nothing is, or what is there is damaged.
    pub(crate) fn read(instance: &Dir) -> Result<Option<Self>> {
        match Self::read_whole(instance) {
            Ok(staged) => Ok(Some(staged)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_whole(instance: &Dir) -> overlay::Result<Self> {
        let dir = instance.open_dir("staged")?;
        let cfg_dir = dir.open_dir("cfg")?;
        let mut cfg = BTreeMap::new();
        for entry in cfg_dir.entries()? {
            let Ok(file) = entry.into_string() else { continue };
            cfg.insert(file.clone(), cfg_dir.read(&file, 2 * MAX_CFG)?);
        }
        Ok(Self {
            layers: dir.read("layers", MAX_CFG)?,
            launch: dir.read("launch", 16 * MAX_CFG)?,
            revision: dir.read("revision", 64)?,
            version: match dir.read("version", MAX_VERSION) {
                Ok(version) => Some(version),
                Err(error) if error.errno() == Some(Errno::NOENT) => None,
                Err(error) => return Err(error),
            },
            cfg,
        })
    }

    /// Writes the plan into an empty directory.
    pub(crate) fn write(&self, dir: &Dir) -> Result<()> {
        dir.create_file("layers", &self.layers, 0o600)?;
        dir.create_file("launch", &self.launch, 0o600)?;
        dir.create_file("revision", &self.revision, 0o600)?;
        if let Some(version) = &self.version {
            dir.create_file("version", version, 0o600)?;
        }
        let cfg = dir.create_dir("cfg", 0o700)?;
        for (name, bytes) in &self.cfg {
            cfg.create_file(name, bytes, 0o600)?;
        }
        Ok(())
    }

    /// Makes this the staged plan of `name`, at once and on disk. One that is staged already costs no write.
    pub(crate) fn put(&self, tmp: &Dir, root: &Dir, name: &InstanceName, old: Option<&Self>) -> Result<()> {
        let instance = root.open_dir(format!("instances/{name}"))?;
        if old == Some(self) {
            // There, but maybe not on disk: a start that was killed after its rename has not come to this.
            return Ok(instance.sync()?);
        }
        let temporary = Aside::Staged.of(name);
        let dir = tmp.create_dir(&temporary, 0o700)?;
        self.write(&dir)?;
        dir.sync_file_system()?;
        if instance.exists("staged")? {
            tmp.exchange(&temporary, &instance, "staged")?;
        } else {
            tmp.rename_new(&temporary, &instance, "staged")?;
        }
        instance.sync()?;
        tmp.remove(&temporary)?;
        Ok(())
    }

    /// Copies the cfg files into the upper, before anything is mounted: through the mount they would be copied up with a
    /// layer's owner and mode. Those of `old` that are no longer wanted go. The game made what lies there: whatever is
    /// in the way is replaced, and nothing is followed.
    pub(crate) fn put_cfg(&self, upper: &Dir, old: Option<&Self>) -> Result<()> {
        let mut dir = upper.open_dir(".")?;
        let mut parents = Vec::new();
        for name in CFG_DIR {
            let next = dir.replace_with_dir(name, 0o755)?;
            parents.push(std::mem::replace(&mut dir, next));
        }
        let stale = old.iter().flat_map(|old| old.cfg.keys()).filter(|file| !self.cfg.contains_key(*file));
        for file in stale {
            dir.remove(file)?;
        }
        for (file, bytes) in &self.cfg {
            let same = dir.read_owned(file, 2 * MAX_CFG).is_ok_and(|there| there == *bytes);
            if !same {
                dir.put_file(OsStr::new(file), bytes, 0o600)?;
            }
        }
        // Also what needed no write: a start that was killed may have left it without.
        for dir in parents.iter().chain([&dir]) {
            dir.sync()?;
        }
        Ok(())
    }
}

/// The revision that is staged; `None` where nothing is.
pub(crate) fn staged_revision(root: &Dir, name: &InstanceName) -> Result<Option<Revision>> {
    match root.read(format!("instances/{name}/staged/revision"), 64) {
        Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(|text| Revision::parse(text.trim_end()))),
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The version of the game that is staged, by its name and its build; none where nothing is staged, or an older left4me
/// staged it, or what is there is damaged.
pub(crate) fn staged_version(root: &Dir, name: &InstanceName) -> Result<Option<(GenerationId, u64)>> {
    match root.read(format!("instances/{name}/staged/version"), MAX_VERSION) {
        Ok(bytes) => Ok(parse_version(&bytes)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse_version(bytes: &[u8]) -> Option<(GenerationId, u64)> {
    let (id, build) = std::str::from_utf8(bytes).ok()?.trim_end().split_once(' ')?;
    Some((id.parse().ok()?, build.parse().ok()?))
}

/// Whether an instance is staged on another version than this one.
pub(crate) fn is_staged_on_another(staged: Option<&GenerationId>, version: &Version) -> bool {
    // A plan without a version was staged when there was but the installation.
    staged.map_or(!version.chain.is_empty(), |id| *id != version.id)
}

/// The port that the staged plan starts the game with; none where nothing is staged that could be read.
pub(crate) fn staged_port(root: &Dir, name: &InstanceName) -> Option<u16> {
    let launch = root.read(format!("instances/{name}/staged/launch"), 16 * MAX_CFG).ok()?;
    let arguments = left4me_launch::parse_launch(&launch).ok()?;
    let at = arguments.iter().position(|argument| argument == PORT_ARGUMENT)?;
    arguments.get(at + 1)?.parse().ok()
}

/// The `server.cfg` of each overlay that has an alias and such a file, as `server_<alias>.cfg`.
fn alias_cfgs(root: &Dir, instance: &Instance) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut cfgs = BTreeMap::new();
    for entry in &instance.spec.overlays {
        let Some(alias) = &entry.alias else { continue };
        let overlay = root.open_dir(Layer::Overlay(entry.overlay.clone()).relative_path())?;
        match overlay.read("left4dead2/cfg/server.cfg", MAX_CFG) {
            Ok(bytes) => drop(cfgs.insert(format!("server_{alias}.cfg"), bytes)),
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(cfgs)
}

/// Source takes the last of two settings: so the lowest overlay's file first, then the spec's lines, and the password
/// after everything that could set another.
fn server_cfg(instance: &Instance, aliases: &BTreeMap<String, Vec<u8>>, password: &str) -> String {
    let mut lines = vec!["// Written by left4me at every start: change the spec instead.".to_owned()];
    let entries = instance.spec.overlays.iter().rev();
    let files = entries.filter_map(|entry| entry.alias.as_ref()).map(|alias| format!("server_{alias}.cfg"));
    lines.extend(files.filter(|file| aliases.contains_key(file)).map(|file| format!("exec {file}")));
    lines.extend(instance.spec.config.iter().cloned());
    lines.push(format!("rcon_password \"{password}\"\n"));
    lines.join("\n")
}
