//! An instance's own directory, `instances/NAME`: what should run, compiled from the spec.

use names::{InstanceName, Layer, Port};
use overlay::beneath::Dir;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::closest::closest;
use crate::spec::{Spec, SpecOverlay};
use crate::{Error, ErrorKind, Result, Revision, Version};

/// The version of `instance.json` that this program writes and reads.
const FORMAT: u32 = 1;

/// The largest `instance.json`: a spec's 256 KiB, escaped.
const MAX_SIZE: usize = 2 * 1024 * 1024;

/// The game's arguments before the spec's own. `-norestart`: the script would loop by itself, and the supervisor see one
/// healthy process. `-strictportbind`: the game would move to the next free port. `+ip`: RCON would bind one address.
const FIXED_ARGUMENTS: [&str; 6] = ["-game", "left4dead2", "-norestart", "-strictportbind", "+ip", "0.0.0.0"];

/// The argument before the port.
pub(crate) const PORT_ARGUMENT: &str = "+hostport";

/// What `instances/NAME/instance.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compiled {
    format: u32,
    revision: String,
    port: u16,
    overlays: Vec<CompiledOverlay>,
    arguments: Vec<String>,
    config: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompiledOverlay {
    #[serde(rename = "ref")]
    overlay: String,
    alias: Option<String>,
}

/// An instance as its files say it should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) revision: Revision,
    pub(crate) spec: Spec,
}

impl Instance {
    /// Reads the instance; `None` where there is no such directory.
    pub(crate) fn read(root: &Dir, name: &InstanceName) -> Result<Option<Self>> {
        loop {
            let Some(dir) = open(root, name)? else { return Ok(None) };
            let read = Self::read_in(&dir, name);
            // Whoever only looks has no lock, so the instance may be replaced and the old files removed meanwhile: what is
            // missing then is no damage. An open directory's inode is not given away, so the same is the same.
            if read.is_ok() || open(root, name)?.is_some_and(|now| now.id().ok() == dir.id().ok()) {
                return read.map(Some);
            }
        }
    }

    fn read_in(dir: &Dir, name: &InstanceName) -> Result<Self> {
        let damaged = |why: String| {
            Error::new(ErrorKind::Corrupt, format!("instance {name}: {why}"))
                .hint(format!("`l4d2ctl initialize {name} -f SPEC.yaml` writes its files anew"))
        };
        let bytes = dir.read("instance.json", MAX_SIZE).map_err(|error| match is_damage(&error) {
            true => damaged(error.to_string()),
            false => error.into(),
        })?;
        Self::parse(&bytes).map_err(damaged)
    }

    /// Reads the bytes of `instance.json`, or says what is wrong with them.
    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let compiled = serde_json::from_slice(bytes).map_err(|e| format!("instance.json can't be read: {e}"))?;
        Self::from_compiled(compiled)
    }

    /// The same of an instance that must be there.
    pub(crate) fn require(root: &Dir, name: &InstanceName) -> Result<Self> {
        Self::read(root, name)?.ok_or_else(|| not_found(root, name))
    }

    /// The bytes of `instance.json`.
    pub(crate) fn print(&self) -> Result<Vec<u8>> {
        let overlays = self.spec.overlays.iter().map(|entry| CompiledOverlay {
            overlay: entry.overlay.to_string(),
            alias: entry.alias.as_ref().map(ToString::to_string),
        });
        let compiled = Compiled {
            format: FORMAT,
            revision: self.revision.as_str().to_owned(),
            port: self.spec.port.get(),
            overlays: overlays.collect(),
            arguments: self.spec.arguments.clone(),
            config: self.spec.config.clone(),
        };
        serde_json::to_vec_pretty(&compiled)
            .map_err(|e| Error::new(ErrorKind::Internal, "can't write instance.json").because(e))
    }

    fn from_compiled(compiled: Compiled) -> std::result::Result<Self, String> {
        if compiled.format != FORMAT {
            return Err(format!("instance.json has format {}, this program knows {FORMAT}", compiled.format));
        }
        let revision = Revision::parse(&compiled.revision).ok_or("instance.json has no valid revision")?;
        let overlay = |entry: CompiledOverlay| -> std::result::Result<SpecOverlay, names::NameError> {
            let alias = entry.alias.map(|alias| alias.parse()).transpose()?;
            Ok(SpecOverlay { overlay: entry.overlay.parse()?, alias })
        };
        let port = Port::try_from(u64::from(compiled.port)).map_err(|e| e.to_string())?;
        let overlays = compiled.overlays.into_iter().map(overlay).collect::<std::result::Result<_, _>>();
        let overlays = overlays.map_err(|e| e.to_string())?;
        let spec = Spec { port, overlays, arguments: compiled.arguments, config: compiled.config };
        Ok(Self { revision, spec })
    }

    /// The stack above this version of the game, highest precedence first.
    pub(crate) fn layers(&self, version: &Version) -> Vec<Layer> {
        let overlays = self.spec.overlays.iter().map(|entry| Layer::Overlay(entry.overlay.clone()));
        overlays.chain(version.layers()).collect()
    }

    /// All arguments of the game.
    pub(crate) fn launch(&self) -> Vec<String> {
        let port = [PORT_ARGUMENT.to_owned(), self.spec.port.to_string()];
        let fixed = FIXED_ARGUMENTS.iter().map(|&argument| argument.to_owned());
        fixed.chain(port).chain(self.spec.arguments.iter().cloned()).collect()
    }
}

/// The instance's directory, if there is one.
fn open(root: &Dir, name: &InstanceName) -> Result<Option<Dir>> {
    match root.open_dir(format!("instances/{name}")) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Every instance that has a directory, by name; what does not follow the rule of names is none.
pub(crate) fn names(root: &Dir) -> Result<Vec<InstanceName>> {
    let entries = match root.open_dir("instances") {
        Ok(instances) => instances.entries()?,
        Err(error) if error.errno() == Some(Errno::NOENT) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut names: Vec<_> = entries.iter().filter_map(|entry| InstanceName::try_from(entry.as_os_str()).ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether an error in reading one of an instance's files says that the file is damaged: missing, of another kind, too
/// large. Any other (too many open files, a disk that fails) says nothing about it, and nothing may be made anew for it.
pub(crate) fn is_damage(error: &overlay::Error) -> bool {
    matches!(error.errno(), None | Some(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO))
}

/// There is no such instance; says which one was probably meant.
pub(crate) fn not_found(root: &Dir, name: &InstanceName) -> Error {
    let known = names(root).unwrap_or_default();
    let hint = match closest(name.as_str(), known.iter().map(InstanceName::as_str)) {
        Some(close) => format!("did you mean {close}? `l4d2ctl status` lists all"),
        None => format!("`l4d2ctl status` lists them; `l4d2ctl initialize {name} -f SPEC.yaml` makes it"),
    };
    Error::new(ErrorKind::NotFound, format!("there is no instance {name}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SpecSource;

    #[test]
    fn one_that_is_replaced_while_it_is_read_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open_root(&place.path().canonicalize().unwrap()).unwrap();
        let (tmp, instances) = (root.make_dir("tmp", 0o755).unwrap(), root.make_dir("instances", 0o755).unwrap());
        let source = SpecSource { file_name: "spec".to_owned(), bytes: b"port: 27015".to_vec() };
        let instance = Instance { revision: source.revision(), spec: source.parse().unwrap() };
        let put = |dir: &Dir| drop(dir.create_file("instance.json", &instance.print().unwrap(), 0o600).unwrap());
        put(&instances.create_dir("a", 0o700).unwrap());
        let name: InstanceName = "a".parse().unwrap();
        std::thread::scope(|scope| {
            let replacing = scope.spawn(|| {
                for _ in 0..1_500 {
                    put(&tmp.create_dir("a", 0o700).unwrap());
                    tmp.exchange("a", &instances, "a").unwrap();
                    tmp.remove("a").unwrap();
                }
            });
            while !replacing.is_finished() {
                assert_eq!(Instance::read(&root, &name).unwrap().as_ref(), Some(&instance));
            }
        });
    }
}
