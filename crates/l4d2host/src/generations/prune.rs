//! Giving back what no longer needed builds take, and keeping stacks shallow.
//!
//! A generation can't simply go, as those above it are differences to it. So versions are dropped first; then the
//! generations between two that stay are folded into one, and those at the bottom, if nobody uses the game at all, into the
//! installation. All of that by links: it takes no room and moves no data. Instances that run keep the layers that they
//! have mounted, which go with a later prune.
//!
//! **Killed anywhere.** Dropping and folding happen when `versions.json` is replaced, and what it does not name is swept.
//! Folding into the installation has three steps, each of which shows the same game: the new tree takes its place (layers
//! above it then bring what it has already), its manifest follows (see [`finish_fold`]), and `versions.json` no longer
//! names the layers.

use std::collections::BTreeMap;
use std::ffi::OsString;

use names::{GenerationId, Layer};
use overlay::beneath::Dir;
use serde::Serialize;

use super::chain::{Chain, MANIFESTS, manifest_name};
use super::generation;
use super::in_use::InUse;
use super::lay::{How, lay};
use super::manifest::Manifest;
use super::merge::{difference, merge};
use super::versions::{Version, Versions};
use crate::lock::Lock;
use crate::{Host, Result};

/// What is being folded, in `tmp/`.
pub(super) const FOLD: &str = "fold";

/// The beginning of the name of a manifest for an installation that is about to take its place; its inode follows.
const NEXT: &str = "installation.next-";

/// What a prune has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The versions that are no longer there.
    pub dropped: Vec<String>,
    /// The generations that are no longer there.
    pub removed: Vec<String>,
    /// The generations that were made of several.
    pub folded: Vec<String>,
    /// Whether generations were folded into the installation.
    pub into_installation: bool,
}

impl Host {
    /// Drops every version but the current one, those that instances run on, and the newest `keep` others; then folds and
    /// removes what is left of them.
    pub fn prune(&self, keep: usize) -> Result<Pruned> {
        let root = self.open()?;
        let _generations = self.lock(&root, Lock::Generations)?;
        finish_fold(&root)?;
        let mut pruned = Pruned::default();
        let versions = {
            let _lock = self.lock(&root, Lock::Installation)?;
            let mut versions = Versions::read(&root)?;
            let before: Vec<Version> = versions.all().to_vec();
            drop_versions(&mut versions, &self.in_use(&root)?, keep);
            let dropped = before.iter().filter(|version| versions.get(&version.id).is_none());
            pruned.dropped = dropped.map(|version| version.id.as_str().to_owned()).collect();
            if !pruned.dropped.is_empty() {
                versions.write(&root)?;
            }
            versions
        };
        self.fold(&root, &versions, &mut pruned)?;
        self.fold_into_installation(&root, &mut pruned)?;
        let removed = self.sweep_generations(&root, &Versions::read(&root)?)?;
        pruned.removed = removed.iter().map(|id| id.as_str().to_owned()).collect();
        Ok(pruned)
    }

    /// Makes one generation of each row of them that no version needs apart.
    fn fold(&self, root: &Dir, versions: &Versions, pruned: &mut Pruned) -> Result<()> {
        let mut folded: BTreeMap<Vec<GenerationId>, GenerationId> = BTreeMap::new();
        for version in versions.all() {
            let rows = rows(version, versions);
            for (index, row) in rows.iter().enumerate() {
                if row.len() > 1 && !folded.contains_key(row) {
                    let below: Vec<GenerationId> = rows[index + 1..].concat();
                    folded.insert(row.clone(), fold_row(root, row, &below)?);
                }
            }
        }
        if folded.is_empty() {
            return Ok(());
        }
        let _lock = self.lock(root, Lock::Installation)?;
        let mut now = Versions::read(root)?;
        let rows: Vec<Vec<Vec<GenerationId>>> = now.all().iter().map(|version| rows(version, &now)).collect();
        for (chain, rows) in now.chains_mut().zip(rows) {
            *chain = rows.into_iter().flat_map(|row| folded.get(&row).map_or(row, |id| vec![id.clone()])).collect();
        }
        now.write(root)?;
        pruned.folded = folded.values().map(|id| id.as_str().to_owned()).collect();
        Ok(())
    }

    /// Makes the generations that every version has at its bottom part of the installation, if nobody uses the game.
    fn fold_into_installation(&self, root: &Dir, pruned: &mut Pruned) -> Result<()> {
        let versions = Versions::read(root)?;
        let Some(bottom) = common_bottom(&versions) else { return Ok(()) };
        if self.in_use(root)?.installation() {
            return Ok(());
        }
        let chain = Chain::of(root, std::slice::from_ref(&bottom), &mut |_, _| {})?;
        let (tmp, manifests) = (root.open_dir("tmp")?, root.open_dir(MANIFESTS)?);
        tmp.remove(FOLD)?;
        let tree = tmp.create_dir(FOLD, 0o755)?;
        let merged = chain.merged();
        lay(&merged, &chain.layers, &tree, How::Link)?;
        Manifest::of(&merged).write(&manifests, &format!("{NEXT}{}", tree.id()?.inode))?;
        tree.sync_file_system()?;
        // Whoever has started an instance meanwhile has the old tree mounted.
        let _lock = self.lock(root, Lock::Installation)?;
        if !self.in_use(root)?.installation() {
            tmp.exchange(FOLD, root, "installation")?;
            root.sync()?;
            finish_fold(root)?;
            let mut versions = Versions::read(root)?;
            for chain in versions.chains_mut() {
                chain.retain(|id| *id != bottom);
            }
            versions.write(root)?;
            pruned.into_installation = true;
        }
        tmp.remove(FOLD)?;
        finish_fold(root)
    }
}

/// Finishes what a killed prune has left: a manifest that waits for its installation is that of the one which is there,
/// or of one that is not.
pub(crate) fn finish_fold(root: &Dir) -> Result<()> {
    let manifests = root.open_dir(MANIFESTS)?;
    let waiting = |name: OsString| Some(name.to_str()?.strip_prefix(NEXT)?.to_owned());
    for inode in manifests.entries()?.into_iter().filter_map(waiting) {
        let name = format!("{NEXT}{inode}");
        if root.open_dir("installation")?.id()?.inode.to_string() == inode {
            manifests.rename(&name, &manifests, manifest_name(&Layer::Installation))?;
        } else {
            manifests.remove(&name)?;
        }
        manifests.sync()?;
    }
    Ok(())
}

fn drop_versions(versions: &mut Versions, in_use: &InUse, keep: usize) {
    let current = versions.current().map(|version| version.id.clone());
    let others = versions.all().iter().rev().filter(|version| Some(&version.id) != current.as_ref());
    let kept: Vec<GenerationId> = others.take(keep).map(|version| version.id.clone()).collect();
    versions.retain(|version| kept.contains(&version.id) || in_use.version(version));
}

/// A version's chain in rows, each of which ends where another version begins.
fn rows(version: &Version, versions: &Versions) -> Vec<Vec<GenerationId>> {
    let begins = |id: &GenerationId| versions.all().iter().any(|version| version.chain.first() == Some(id));
    let mut rows: Vec<Vec<GenerationId>> = Vec::new();
    for id in &version.chain {
        match rows.last_mut() {
            Some(row) if !begins(id) => row.push(id.clone()),
            _ => rows.push(vec![id.clone()]),
        }
    }
    rows
}

/// The generation that every version has at its bottom; none where there is none.
fn common_bottom(versions: &Versions) -> Option<GenerationId> {
    let bottom = versions.all().first()?.chain.last()?;
    versions.all().iter().all(|version| version.chain.last() == Some(bottom)).then(|| bottom.clone())
}

/// Lays down one generation that shows above `below` what `row` shows there.
fn fold_row(root: &Dir, row: &[GenerationId], below: &[GenerationId]) -> Result<GenerationId> {
    let chain = Chain::of(root, &[row, below].concat(), &mut |_, _| {})?;
    let merged = chain.merged();
    let under: Vec<&Manifest> = chain.manifests[row.len()..].iter().collect();
    let layer = difference(&Manifest::of(&merge(&under)), &Manifest::of(&merged));
    generation::make(root, build_of(&row[0]), &layer, (&merged, &chain.layers), (&root.open_dir("tmp")?, FOLD))
}

/// The build that a generation's name begins with.
fn build_of(id: &GenerationId) -> u64 {
    id.as_str().split('-').next().and_then(|build| build.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<GenerationId> {
        text.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    fn versions(chains: &[&str]) -> Versions {
        let mut versions = Versions::default();
        for (build, chain) in chains.iter().enumerate() {
            versions.add(build as u64 + 1, None, ids(chain)).unwrap();
        }
        versions
    }

    #[test]
    fn the_current_one_what_runs_and_the_newest_stay() {
        let kept = |current: &str, keep| {
            let mut all = versions(&["", "2", "3 2", "4 3 2", "5 4 3 2"]);
            all.set_current(&current.parse().unwrap()).unwrap();
            let mut in_use = InUse::default();
            in_use.versions.insert("2".parse().unwrap(), std::collections::BTreeSet::new());
            drop_versions(&mut all, &in_use, keep);
            all.all().iter().map(|version| version.id.as_str().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(kept("5", 1), "2 4 5");
        assert_eq!(kept("5", 0), "2 5");
        assert_eq!(kept("3", 1), "2 3 5");
        assert_eq!(kept("1", 9), "1 2 3 4 5");
    }

    #[test]
    fn rows_end_where_another_version_begins() {
        let all = versions(&["3 2", "6 5 4 3 2"]);
        assert_eq!(rows(&all.all()[1], &all), [ids("6 5 4"), ids("3 2")]);
        assert_eq!(rows(&all.all()[0], &all), [ids("3 2")]);
        assert_eq!(common_bottom(&all), ids("2").pop());
        let all = versions(&["", "2", "3"]);
        assert_eq!(rows(&all.all()[1], &all), [ids("2")]);
        assert_eq!(common_bottom(&all), None);
        assert_eq!(common_bottom(&versions(&["3", "4 2"])), None);
    }
}
