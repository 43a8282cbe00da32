//! `rollout.json`: how far a rollout has come, written before each of its steps, so that one that was killed goes on.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use names::{GenerationId, InstanceName};
use overlay::beneath::Dir;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::generations::versions::Versions;
use crate::{Error, ErrorKind, Result};

/// Its name in the root directory.
const FILE: &str = "rollout.json";

/// The version of its format.
const FORMAT: u32 = 1;

const MAX_SIZE: usize = 1024 * 1024;

/// How far one instance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    /// It is being restarted, or watched after that.
    Moving,
    /// It has passed the gate.
    Moved,
    /// It is on its former version again.
    Back,
}

/// One instance that was, or is being, moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The version that it came from; none where that is not known.
    pub(super) from: Option<GenerationId>,
    pub(super) place: Place,
}

/// Why everything goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failed {
    pub(super) instance: String,
    pub(super) why: String,
}

/// A rollout that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// The version that instances are moved to.
    pub(super) target: GenerationId,
    pub(super) steps: BTreeMap<InstanceName, Step>,
    /// It failed, and goes back.
    pub(super) failed: Option<Failed>,
}

/// The same as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    target: String,
    instances: BTreeMap<String, WrittenStep>,
    failed: Option<Failed>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    from: Option<String>,
    is: Place,
}

impl State {
    pub(super) fn new(target: GenerationId) -> Self {
        Self { target, steps: BTreeMap::new(), failed: None }
    }

    /// What was left by one that has not ended, if there is one.
    pub(super) fn read(root: &Dir) -> Result<Option<Self>> {
        match root.read(FILE, MAX_SIZE) {
            Ok(bytes) => Self::parse(&bytes).map(Some).map_err(|why| {
                Error::new(ErrorKind::Corrupt, format!("{} can't be used: {why}", root.label_of(FILE)))
                    .hint("remove it: a rollout then begins anew, and does not know what instances came from")
            }),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file. On disk when it returns.
    pub(super) fn write(&self, root: &Dir) -> Result<()> {
        Ok(root.put_file(OsStr::new(FILE), &self.print()?, 0o644)?)
    }

    /// It has ended.
    pub(super) fn remove(root: &Dir) -> Result<()> {
        root.remove(FILE)?;
        Ok(root.sync()?)
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if written.format != FORMAT {
            return Err(format!("it has format {}, this program knows {FORMAT}", written.format));
        }
        let id = |text: &str| text.parse::<GenerationId>().map_err(|error| error.to_string());
        let step = |(name, step): (String, WrittenStep)| {
            let from = step.from.as_deref().map(id).transpose()?;
            let name = name.parse().map_err(|error: names::NameError| error.to_string())?;
            Ok((name, Step { from, place: step.is }))
        };
        let steps = written.instances.into_iter().map(step).collect::<std::result::Result<_, String>>()?;
        Ok(Self { target: id(&written.target)?, steps, failed: written.failed })
    }

    fn print(&self) -> Result<Vec<u8>> {
        let step = |(name, step): (&InstanceName, &Step)| {
            let from = step.from.as_ref().map(|id| id.as_str().to_owned());
            (name.as_str().to_owned(), WrittenStep { from, is: step.place })
        };
        let written = Written {
            format: FORMAT,
            target: self.target.as_str().to_owned(),
            instances: self.steps.iter().map(step).collect(),
            failed: self.failed.clone(),
        };
        let mut bytes = serde_json::to_vec_pretty(&written)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("can't write {FILE}")).because(e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What is to be the current version where all goes back: of those that instances came from the newest that is there.
    pub(super) fn former(&self, versions: &Versions) -> Option<GenerationId> {
        let mut newest_first = versions.all().iter().rev().map(|version| &version.id);
        newest_first.find(|id| self.steps.values().any(|step| step.from.as_ref() == Some(*id))).cloned()
    }

    /// Whether this is still what is to be done, with this version as the current one.
    pub(super) fn is_of(&self, versions: &Versions, current: &GenerationId) -> bool {
        self.target == *current || self.failed.is_some() && self.former(versions).as_ref() == Some(current)
    }

    /// The instances that are in this place.
    pub(super) fn all(&self, place: Place) -> impl Iterator<Item = &InstanceName> {
        self.steps.iter().filter(move |(_, step)| step.place == place).map(|(name, _)| name)
    }
}

/// The versions that instances may go back to, which are therefore needed.
pub(crate) fn former_versions(root: &Dir) -> Result<Vec<GenerationId>> {
    let steps = State::read(root)?.map(|state| state.steps).unwrap_or_default();
    Ok(steps.into_values().filter_map(|step| step.from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::new("3".parse().unwrap());
        let step = |from: Option<&str>, place| Step { from: from.map(|id| id.parse().unwrap()), place };
        state.steps.insert("a".parse().unwrap(), step(Some("1"), Place::Moved));
        state.steps.insert("b".parse().unwrap(), step(Some("2"), Place::Moving));
        state.steps.insert("c".parse().unwrap(), step(None, Place::Back));
        state
    }

    #[test]
    fn the_file_and_back() {
        let mut state = state();
        assert_eq!(State::parse(&state.print().unwrap()).unwrap(), state);
        state.failed = Some(Failed { instance: "b".to_owned(), why: "it crashed".to_owned() });
        assert_eq!(State::parse(&state.print().unwrap()).unwrap(), state);
        for (text, why) in [
            ("{", "EOF"),
            (r#"{"format":2,"target":"1","instances":{},"failed":null}"#, "format 2"),
            (r#"{"format":1,"target":"../x","instances":{},"failed":null}"#, "not valid"),
            (r#"{"format":1,"target":"1","instances":{"A":{"from":null,"is":"moved"}},"failed":null}"#, "not valid"),
        ] {
            let error = State::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn it_goes_on_only_with_what_it_was_about() {
        let mut versions = Versions::default();
        for build in 1..=4 {
            versions.add(build, None, Vec::new()).unwrap();
        }
        let mut state = state();
        let id = |text: &str| -> GenerationId { text.parse().unwrap() };
        assert_eq!(state.former(&versions), Some(id("2")));
        let is_of = |state: &State| ["1", "2", "3", "4"].map(|current| state.is_of(&versions, &id(current)));
        assert_eq!(is_of(&state), [false, false, true, false]);
        state.failed = Some(Failed { instance: "b".to_owned(), why: String::new() });
        assert_eq!(is_of(&state), [false, true, true, false]);
        versions.retain(|version| version.build_id != 2);
        assert_eq!(state.former(&versions), Some(id("1")));
    }
}
