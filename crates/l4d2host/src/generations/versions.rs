//! Which builds of the game there are, and which one is started: `versions.json`, the one file that counts.
//!
//! A *version* is a build that instances can be started on: a chain of generations above the installation. Whatever lies
//! in `generations/` and is named by no version is what a killed command left, and is swept. So an update, a rollback and a
//! prune each have one moment at which they have happened: when this file is replaced.

use std::ffi::OsStr;

use names::{GenerationId, Layer};
use overlay::beneath::Dir;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::closest::did_you_mean;
use crate::{Error, ErrorKind, Result, steam};

/// Its name in the root directory.
const FILE: &str = "versions.json";

/// The version of its format.
const FORMAT: u32 = 1;

const MAX_SIZE: usize = 1024 * 1024;

/// A build of the game that instances can be started on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its name: the build's number, and `-2` and so on after it where there are several of one build.
    #[serde(serialize_with = "as_text")]
    pub id: GenerationId,
    /// Steam's number for the build.
    pub build_id: u64,
    /// When it was installed, in seconds since 1970; none where the game was there before left4me counted versions.
    pub installed_at: Option<u64>,
    /// The generations above the installation that it consists of, highest precedence first.
    #[serde(skip)]
    pub(crate) chain: Vec<GenerationId>,
}

fn as_text<S: serde::Serializer>(id: &GenerationId, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

impl Version {
    /// The layers of its game, highest precedence first.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        self.chain.iter().cloned().map(Layer::Generation).chain([Layer::Installation]).collect()
    }
}

/// All versions, oldest first, and the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The place in `all` of the one that is started; none as long as the game is being installed for the first time.
    current: Option<usize>,
    all: Vec<Version>,
}

/// The same as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    current: Option<String>,
    versions: Vec<WrittenVersion>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenVersion {
    id: String,
    build_id: u64,
    installed_at: Option<u64>,
    generations: Vec<String>,
}

impl Versions {
    /// What the file says. Where there is none, a game that is there all the same (brought by other means, or by an older
    /// left4me) is the one version.
    pub(crate) fn read(root: &Dir) -> Result<Self> {
        match root.read(FILE, MAX_SIZE) {
            Ok(bytes) => Self::parse(&bytes).map_err(|why| {
                Error::new(ErrorKind::Corrupt, format!("{} can't be used: {why}", root.label_of(FILE)))
                    .hint("put it back from a backup; without the file, instances start on the installation alone")
            }),
            Err(error) if error.errno() == Some(Errno::NOENT) => Self::found(root),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a file says which versions there are.
    pub(crate) fn are_written(root: &Dir) -> Result<bool> {
        Ok(root.exists(FILE)?)
    }

    fn found(root: &Dir) -> Result<Self> {
        if !root.exists("installation/srcds_run")? {
            return Ok(Self::default());
        }
        let build_id = match steam::installed_build(&[root.open_dir("installation")?]) {
            Some(Ok(build)) => build,
            _ => 0,
        };
        let mut versions = Self::default();
        versions.add(build_id, None, Vec::new())?;
        Ok(versions)
    }

    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if written.format != FORMAT {
            return Err(format!("it has format {}, this program knows {FORMAT}", written.format));
        }
        let id = |text: String| text.parse::<GenerationId>().map_err(|error| error.to_string());
        let mut versions = Self::default();
        for WrittenVersion { id: name, build_id, installed_at, generations } in written.versions {
            let chain = generations.into_iter().map(id).collect::<std::result::Result<_, _>>()?;
            let version = Version { id: id(name)?, build_id, installed_at, chain };
            if versions.get(&version.id).is_some() {
                return Err(format!("version {} is in it twice", version.id.as_str()));
            }
            versions.all.push(version);
        }
        let find = |current: String| {
            let place = versions.all.iter().position(|version| version.id.as_str() == current);
            place.ok_or_else(|| format!("the current version {current:?} is not in it"))
        };
        versions.current = written.current.map(find).transpose()?;
        if versions.current.is_none() && !versions.all.is_empty() {
            return Err("no version is current".to_owned());
        }
        Ok(versions)
    }

    pub(crate) fn print(&self) -> Result<Vec<u8>> {
        let text = |id: &GenerationId| id.as_str().to_owned();
        let version = |version: &Version| WrittenVersion {
            id: text(&version.id),
            build_id: version.build_id,
            installed_at: version.installed_at,
            generations: version.chain.iter().map(text).collect(),
        };
        let written = Written {
            format: FORMAT,
            current: self.current().map(|version| text(&version.id)),
            versions: self.all.iter().map(version).collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&written)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("can't write {FILE}")).because(e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Replaces the file: from now on this is so. On disk when it returns.
    pub(crate) fn write(&self, root: &Dir) -> Result<()> {
        Ok(root.put_file(OsStr::new(FILE), &self.print()?, 0o644)?)
    }

    /// The one that instances are started on.
    pub(crate) fn current(&self) -> Option<&Version> {
        self.all.get(self.current?)
    }

    /// All, oldest first.
    pub(crate) fn all(&self) -> &[Version] {
        &self.all
    }

    /// The one with this name.
    pub(crate) fn get(&self, id: &GenerationId) -> Option<&Version> {
        self.all.iter().find(|version| version.id == *id)
    }

    /// The same, which must be there.
    pub(crate) fn require(&self, id: &GenerationId) -> Result<&Version> {
        self.get(id).ok_or_else(|| not_there(self, id.as_str()))
    }

    /// A name that is free for a version of this build, and for a generation of it: `taken` also says which are not.
    pub(crate) fn free_id(&self, build_id: u64, taken: impl Fn(&GenerationId) -> Result<bool>) -> Result<GenerationId> {
        let named = |id: &GenerationId| self.all.iter().any(|version| version.id == *id || version.chain.contains(id));
        let names = std::iter::once(build_id.to_string()).chain((2_u32..).map(|number| format!("{build_id}-{number}")));
        for name in names {
            let id: GenerationId = name.parse()?;
            if !named(&id) && !taken(&id)? {
                return Ok(id);
            }
        }
        Err(Error::new(ErrorKind::Internal, format!("no name is free for build {build_id}")))
    }

    /// Adds the newest version and makes it the current one.
    pub(crate) fn add(&mut self, build_id: u64, installed_at: Option<u64>, chain: Vec<GenerationId>) -> Result<()> {
        let id = match chain.first() {
            Some(top) if self.get(top).is_none() => top.clone(),
            _ => self.free_id(build_id, |_| Ok(false))?,
        };
        self.all.push(Version { id, build_id, installed_at, chain });
        self.current = Some(self.all.len() - 1);
        Ok(())
    }

    /// Makes this one the current version; one that is not there changes nothing and is an error.
    pub(crate) fn set_current(&mut self, id: &GenerationId) -> Result<()> {
        let place = self.all.iter().position(|version| version.id == *id);
        self.current = Some(place.ok_or_else(|| not_there(self, id.as_str()))?);
        Ok(())
    }

    /// Keeps the versions that `wanted` says yes to, and always the current one.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Version) -> bool) {
        let current = self.current().map(|version| version.id.clone());
        self.all.retain(|version| current.as_ref() == Some(&version.id) || wanted(version));
        self.current = current.and_then(|id| self.all.iter().position(|version| version.id == id));
    }

    /// Every version's chain, to be changed.
    pub(crate) fn chains_mut(&mut self) -> impl Iterator<Item = &mut Vec<GenerationId>> {
        self.all.iter_mut().map(|version| &mut version.chain)
    }

    /// The newest version that is meant by what somebody typed: its name, or the number of its build.
    pub(crate) fn meant_by(&self, text: &str) -> Result<&Version> {
        let named = self.all.iter().find(|version| version.id.as_str() == text);
        let built = || self.all.iter().rev().find(|version| version.build_id.to_string() == text);
        named.or_else(built).ok_or_else(|| not_there(self, text))
    }
}

fn not_there(versions: &Versions, text: &str) -> Error {
    let there: Vec<&str> = versions.all.iter().map(|version| version.id.as_str()).collect();
    let close = did_you_mean(text, there.iter().copied());
    Error::new(ErrorKind::NotFound, format!("there is no build {text:?} of the game"))
        .hint(format!("{close}there are: {}; `l4d2ctl versions` shows them", there.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_back() {
        let mut versions = Versions::default();
        assert_eq!(Versions::parse(&versions.print().unwrap()).unwrap(), versions);
        versions.add(17, None, Vec::new()).unwrap();
        let id = versions.free_id(18, |_| Ok(false)).unwrap();
        versions.add(18, Some(5), vec![id.clone()]).unwrap();
        let again = versions.free_id(18, |_| Ok(false)).unwrap();
        versions.add(18, Some(6), vec![again, id]).unwrap();
        assert_eq!(versions.all().iter().map(|v| v.id.as_str()).collect::<Vec<_>>(), ["17", "18", "18-2"]);
        versions.set_current(&"17".parse().unwrap()).unwrap();
        assert_eq!(Versions::parse(&versions.print().unwrap()).unwrap(), versions);
        assert_eq!(versions.meant_by("18").unwrap().id.as_str(), "18");
        assert_eq!(versions.free_id(17, |id| Ok(id.as_str() == "17-2")).unwrap().as_str(), "17-3");
        assert!(versions.meant_by("19").unwrap_err().to_string().contains("\"19\""));
    }

    #[test]
    fn what_is_no_such_file() {
        for (text, why) in [
            ("{", "EOF"),
            (r#"{"format":2,"current":null,"versions":[]}"#, "format 2"),
            (r#"{"format":1,"current":"1","versions":[]}"#, "is not in it"),
            (
                r#"{"format":1,"current":null,"versions":[{"id":"1","build_id":1,"installed_at":null,"generations":[]}]}"#,
                "no version is current",
            ),
            (
                r#"{"format":1,"current":"1","versions":[{"id":"1","build_id":1,"installed_at":null,"generations":["../x"]}]}"#,
                "not valid",
            ),
        ] {
            let error = Versions::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn pruned_versions_leave_the_current_one() {
        let mut versions = Versions::default();
        for build in 1..=4 {
            versions.add(build, None, Vec::new()).unwrap();
        }
        versions.set_current(&"2".parse().unwrap()).unwrap();
        versions.retain(|version| version.build_id == 4);
        assert_eq!(versions.all().iter().map(|v| v.build_id).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(versions.current().unwrap().build_id, 2);
    }
}
