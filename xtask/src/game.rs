//! The builds of the game on a disk, seen with other eyes than `l4d2ctl`'s: `versions.json` is read here, and the kernel
//! shows what its layers are together.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::build::succeed;
use crate::onlooker::entries;

/// What `versions.json` says; no builds where there is no such file.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    pub(crate) current: Option<u64>,
    pub(crate) all: Vec<Build>,
}

/// One build that instances can be started on.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) number: u64,
    /// The generations above the installation, the uppermost first.
    pub(crate) generations: Vec<String>,
}

/// What a name in a tree stands for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    /// A file's bytes or a link's target.
    pub(crate) content: Vec<u8>,
}

impl Thing {
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let content = match metadata.file_type() {
            kind if kind.is_file() => fs::read(path)?,
            kind if kind.is_symlink() => fs::read_link(path)?.as_os_str().as_bytes().to_vec(),
            _ => Vec::new(),
        };
        Ok(Self { mode: metadata.mode(), owner: metadata.uid(), content })
    }
}

/// SteamCMD's own record of the build that it brought.
const RECORD: &str = "steamapps/appmanifest_222860.acf";

/// Every name in a tree but Steam's own files.
pub(crate) type Tree = BTreeMap<String, Thing>;

impl Builds {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let bytes = match fs::read(root.join("versions.json")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).context("versions.json"),
        };
        let document: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("versions.json is {:?}", String::from_utf8_lossy(&bytes)))?;
        let mut builds = Self::default();
        for version in document["versions"].as_array().context("versions.json has no versions")? {
            let number = version["build_id"].as_u64().context("a version has no build")?;
            let generations = version["generations"].as_array().context("a version has no generations")?;
            let generations = generations.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            if version["id"] == document["current"] {
                builds.current = Some(number);
            }
            builds.all.push(Build { number, generations });
        }
        let is_one = builds.current.is_some() || (builds.all.is_empty() && document["current"].is_null());
        ensure!(is_one, "the current version is none of those that are there: {document}");
        Ok(builds)
    }

    /// The builds' numbers, oldest first.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.all.iter().map(|build| build.number).collect()
    }

    /// The generations are those that are named and no others, and each layer has its manifest.
    pub(crate) fn check_no_garbage(&self, root: &Path) -> Result<()> {
        let mut named: Vec<String> = self.all.iter().flat_map(|build| build.generations.clone()).collect();
        named.sort_unstable();
        named.dedup();
        let there = entries(root.join("generations"));
        ensure!(there == named, "generations/ holds {there:?}, and {named:?} are named");
        if !self.all.is_empty() {
            named.push("installation".to_owned());
        }
        let there = entries(root.join("manifests"));
        ensure!(there == named, "manifests/ holds {there:?}, and {named:?} are named");
        Ok(())
    }
}

impl Build {
    /// What this build is, by the kernel. `mountpoint` is an empty directory of ours.
    pub(crate) fn tree(&self, root: &Path, mountpoint: &Path) -> Result<Tree> {
        for generation in &self.generations {
            ensure!(root.join("generations").join(generation).is_dir(), "generation {generation} is not there");
        }
        if self.generations.is_empty() {
            return tree(&root.join("installation"));
        }
        // Relative, as mount(8) cuts long options.
        let layers = self.generations.iter().map(|name| format!("generations/{name}:")).collect::<String>();
        let options = format!("ro,userxattr,lowerdir={layers}installation");
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "-o", &options, "left4me-onlooker"]).arg(mountpoint).current_dir(root);
        succeed(&mut mount)?;
        let seen = tree(mountpoint);
        succeed(Command::new("umount").arg(mountpoint))?;
        seen
    }
}

/// What is in a directory.
pub(crate) fn tree(dir: &Path) -> Result<Tree> {
    let mut seen = Tree::new();
    walk(dir, dir, &mut seen)?;
    Ok(seen)
}

fn walk(top: &Path, dir: &Path, seen: &mut Tree) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("can't list {}", dir.display()))? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = path.strip_prefix(top)?.to_string_lossy().into_owned();
        ensure!(!kind.is_char_device(), "{name} is a device");
        if kind.is_dir() {
            walk(top, &path, seen)?;
        }
        // What Steam keeps for itself between two runs is no part of the game; its record of the build is.
        if !name.starts_with("steamapps/") || name == RECORD {
            seen.insert(name, Thing::at(&path)?);
        }
    }
    Ok(())
}

/// In what a tree differs from another one, for people; nothing where it does not.
pub(crate) fn differences(is: &Tree, expected: &Tree) -> Vec<String> {
    let missing = expected.iter().filter_map(|(path, thing)| match is.get(path) {
        None => Some(format!("{path} is missing")),
        Some(found) if found == thing => None,
        Some(found) if found.content == thing.content => Some(format!(
            "{path} has mode {:o} of {} and not {:o} of {}",
            found.mode, found.owner, thing.mode, thing.owner
        )),
        Some(found) => Some(format!("{path} has {} other bytes, mode {:o}", found.content.len(), found.mode)),
    });
    let added = is.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("{path} is there"));
    missing.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_differ() {
        let thing = |mode, content: &str| Thing { mode, owner: 0, content: content.into() };
        let of = |things: &[(&str, Thing)]| -> Tree {
            things.iter().map(|(path, thing)| ((*path).to_owned(), thing.clone())).collect()
        };
        let expected = of(&[("a", thing(1, "a")), ("b", thing(1, "b")), ("c", thing(1, "c")), ("d", thing(1, ""))]);
        assert!(differences(&expected, &expected).is_empty());
        let is = of(&[("a", thing(1, "a")), ("b", thing(2, "b")), ("c", thing(1, "x")), ("e", thing(1, ""))]);
        let found = differences(&is, &expected);
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn a_current_version_that_is_not_there_is_found() {
        let dir = std::env::temp_dir().join(format!("xtask-builds-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let read = |text: &str| {
            fs::write(dir.join("versions.json"), text).unwrap();
            Builds::read(&dir)
        };
        let version = r#"{"id":"7","build_id":7,"generations":["7"]}"#;
        let builds = read(&format!(r#"{{"current":"7","versions":[{version}]}}"#)).unwrap();
        assert_eq!((builds.current, builds.numbers()), (Some(7), vec![7]));
        assert!(builds.check_no_garbage(&dir).is_err());
        assert!(read(&format!(r#"{{"current":"8","versions":[{version}]}}"#)).is_err());
        assert!(read("").is_err() && read("{").is_err());
        assert!(read(r#"{"current":null,"versions":[]}"#).unwrap().check_no_garbage(&dir).is_ok());
        fs::remove_dir_all(&dir).unwrap();
        assert!(Builds::read(&dir).unwrap().all.is_empty());
    }
}
