//! What lies on a disk of ours, and whether it is the old or the new, whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::game::{Builds, Thing};

pub(super) const ROOT: &str = "var/lib/left4me";
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

/// Everything that commands answer for, by its path below the root directory; the links of units by `enabled/NAME`, the
/// builds of the game by `build/NUMBER/PATH`, and by `current` which one is started.
pub(super) type Look = BTreeMap<String, Thing>;

/// Looks at a disk that is mounted at `tree`.
pub(super) fn look(tree: &Path) -> Result<Look> {
    let mut look = Look::new();
    let root = tree.join(ROOT);
    for part in ["instances", "runtime", ".steam"] {
        walk(&root, &root.join(part), &mut look)?;
    }
    look_at_builds(&root, &mut look).context("the builds of the game")?;
    for link in fs::read_dir(tree.join(WANTS))?.flatten() {
        let name = link.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_prefix("left4me-server@").and_then(|name| name.strip_suffix(".service")) {
            look.insert(format!("enabled/{name}"), Thing::at(&link.path())?);
        }
    }
    Ok(look)
}

fn walk(root: &Path, path: &Path, look: &mut Look) -> Result<()> {
    let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    let part = name.strip_prefix("runtime/").and_then(|rest| rest.split_once('/')).map(|(_, part)| part);
    // Root's, and there while something is mounted.
    if part == Some("work") {
        return Ok(());
    }
    look.insert(name.clone(), Thing::at(path)?);
    if metadata.is_dir() && part != Some("merged") {
        for entry in fs::read_dir(path).with_context(|| format!("can't list {name}"))? {
            walk(root, &entry?.path(), look)?;
        }
    }
    Ok(())
}

/// What `versions.json` does not name is not looked at: it is nothing yet, or nothing any more.
fn look_at_builds(root: &Path, look: &mut Look) -> Result<()> {
    let mountpoint = std::env::temp_dir().join(format!("left4me-builds-{}", std::process::id()));
    fs::create_dir_all(&mountpoint)?;
    let builds = Builds::read(root)?;
    for build in &builds.all {
        let tree = build.tree(root, &mountpoint).with_context(|| format!("build {}", build.number))?;
        look.extend(tree.into_iter().map(|(path, thing)| (format!("build/{}/{path}", build.number), thing)));
    }
    if let Some(current) = builds.current {
        let content = current.to_string().into_bytes();
        look.insert("current".to_owned(), Thing { mode: 0, owner: 0, content });
    }
    Ok(fs::remove_dir(&mountpoint)?)
}

/// What is on the disk, and what was there before the command and would be after it.
pub(super) struct Disk<'a> {
    pub(super) is: &'a Look,
    pub(super) before: &'a Look,
    pub(super) after: &'a Look,
}

impl Disk<'_> {
    /// The new, whole. With `more`, a server may have written more into its upper by now.
    pub(super) fn is_new(&self, more: bool) -> Result<()> {
        for part in parts(self.after).chain(parts(self.before)).chain(parts(self.is)) {
            let wrong = differences(&part, self.is, self.after);
            ensure!(wrong.is_empty(), "{part} is not what was acknowledged: {wrong}");
        }
        for path in self.after.keys().filter(|path| path.starts_with("runtime/")) {
            ensure!(self.is.contains_key(path) || is_the_games(path), "{path} is missing");
            ensure!(!is_cfg(path) || self.is.get(path) == self.after.get(path), "{path} is not what was staged");
        }
        let added = self.is.keys().find(|path| path.starts_with("runtime/") && !self.after.contains_key(*path));
        ensure!(more || added.is_none(), "{added:?} is still there");
        Ok(())
    }

    /// Each part is the old one or the new one, whole: a build that was not there or is to go may also be missing. With
    /// `library`, Steam's library is anything: it is brought file by file.
    pub(super) fn is_old_or_new(&self, library: bool) -> Result<()> {
        for part in parts(self.after).chain(parts(self.before)).chain(parts(self.is)) {
            if library && part == ".steam" {
                continue;
            }
            let (new, old) = (differences(&part, self.is, self.after), differences(&part, self.is, self.before));
            ensure!(new.is_empty() || old.is_empty(), "{part} is neither the old ({old}) nor the new ({new})");
        }
        for (path, is) in self.is.iter().filter(|(path, _)| is_cfg(path)) {
            let whole = [self.before, self.after].into_iter().any(|look| look.get(path) == Some(is));
            ensure!(whole, "{path} is half: {:?}", String::from_utf8_lossy(&is.content));
        }
        Ok(())
    }

    /// Whether anything but runtime directories changed.
    pub(super) fn has_changed(&self) -> bool {
        parts(self.after).chain(parts(self.before)).any(|part| !differences(&part, self.is, self.before).is_empty())
    }
}

/// What changes as a whole: an instance, a unit's link, a build of the game, which one is current, and Steam's library.
fn parts(look: &Look) -> impl Iterator<Item = String> {
    let of = |path: &String| {
        let mut words = path.split('/');
        match (words.next()?, words.next()) {
            (kind @ ("instances" | "enabled" | "build"), Some(name)) => Some(format!("{kind}/{name}")),
            (kind @ ("current" | ".steam"), _) => Some(kind.to_owned()),
            _ => None,
        }
    };
    look.keys().filter_map(of).collect::<std::collections::BTreeSet<_>>().into_iter()
}

/// In what a part differs; a new password can't be foretold, but how it looks.
fn differences(part: &str, is: &Look, expected: &Look) -> String {
    let of = |look: &Look| -> Look {
        let below = format!("{part}/");
        look.iter()
            .filter(|(path, _)| *path == part || path.starts_with(&below))
            .map(|(p, e)| (p.clone(), e.clone()))
            .collect()
    };
    let (is, expected) = (of(is), of(expected));
    let mut wrong: Vec<String> = Vec::new();
    for (path, entry) in &expected {
        match is.get(path) {
            None => wrong.push(format!("{path} is missing")),
            Some(found) if found == entry || is_a_new_password(path, found) => {}
            Some(found) => wrong.push(format!("{path} is {} bytes, mode {:o}", found.content.len(), found.mode)),
        }
    }
    wrong.extend(is.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("{path} is there")));
    wrong.join(", ")
}

fn is_a_new_password(path: &str, entry: &Thing) -> bool {
    let text = String::from_utf8_lossy(&entry.content);
    let digits = text.strip_suffix('\n').unwrap_or_default();
    path == "instances/fresh/rcon_password" && digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file that was staged in an upper.
fn is_cfg(path: &str) -> bool {
    path.starts_with("runtime/") && path.contains("/upper/left4dead2/cfg/server")
}

/// What a server wrote: its log, or overlayfs for it.
fn is_the_games(path: &str) -> bool {
    path.contains("/upper/left4dead2/logs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, &str)]) -> Look {
        let entry = |content: &str| Thing { mode: 0, owner: 0, content: content.into() };
        entries.iter().map(|(path, content)| ((*path).to_owned(), entry(content))).collect()
    }

    #[test]
    fn half_of_each_is_neither() {
        let before = of(&[("instances/a/spec.yaml", "old"), ("instances/a/instance.json", "old")]);
        let after = of(&[("instances/a/spec.yaml", "new"), ("instances/a/instance.json", "new")]);
        let disk = |is: &Look| Disk { is, before: &before, after: &after }.is_old_or_new(false).is_ok();
        assert!(disk(&before) && disk(&after));
        for half in ["", "old"] {
            assert!(!disk(&of(&[("instances/a/spec.yaml", "new"), ("instances/a/instance.json", half)])));
        }
        assert!(!disk(&of(&[("instances/a/spec.yaml", "new")])));
        assert!(!disk(&Look::new()), "gone is neither");
    }

    #[test]
    fn a_build_is_whole_or_is_not() {
        let before = of(&[("build/1/a", "1"), ("current", "1")]);
        let after = of(&[("build/1/a", "1"), ("build/2/a", "2"), ("build/2/b", "2"), ("current", "2")]);
        let disk =
            |is: &[(&str, &str)]| Disk { is: &of(is), before: &before, after: &after }.is_old_or_new(true).is_ok();
        assert!(disk(&[("build/1/a", "1"), ("build/2/a", "2"), ("build/2/b", "2"), ("current", "1")]));
        assert!(!disk(&[("build/1/a", "1"), ("build/2/a", "2"), ("build/2/b", ""), ("current", "2")]), "an empty file");
        assert!(!disk(&[("build/1/a", "1"), ("build/2/a", "2"), ("current", "1")]), "a file too few");
        assert!(!disk(&[("build/2/a", "2"), ("build/2/b", "2"), ("current", "2")]), "the old one is lost");
        assert!(!disk(&[("build/1/a", "1"), ("build/3/a", "3"), ("current", "1")]), "one that nobody asked for");
        assert!(!disk(&[("build/1/a", "1")]), "none is current");
    }

    #[test]
    fn only_the_new_is_acknowledged() {
        let (before, after) = (of(&[("enabled/a", "x")]), of(&[("runtime/a/upper", "")]));
        let disk = |is: &Look, more| Disk { is, before: &before, after: &after }.is_new(more).is_ok();
        assert!(disk(&after, false));
        assert!(!disk(&before, false) && !disk(&Look::new(), false));
        let more = of(&[("runtime/a/upper", ""), ("runtime/a/upper/x", "")]);
        assert!(disk(&more, true) && !disk(&more, false));
    }

    #[test]
    fn an_empty_file_in_an_upper_is_half() {
        let cfg = "runtime/a/upper/left4dead2/cfg/server.cfg";
        let after = of(&[(cfg, "whole")]);
        let disk = |is: &Look| Disk { is, before: &Look::new(), after: &after }.is_old_or_new(false).is_ok();
        assert!(disk(&after) && disk(&Look::new()) && !disk(&of(&[(cfg, "")])));
    }
}
