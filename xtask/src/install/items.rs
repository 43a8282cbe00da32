//! What is installed where: one list, for `cargo xtask install` and for the Debian package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::share;
use crate::build::PROGRAMS;

/// A file: where it comes from, its place on the host, and its mode.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    source: Source,
    pub(crate) path: PathBuf,
    pub(crate) mode: u32,
}

#[derive(Debug, Clone)]
enum Source {
    Program(&'static str),
    /// A file of `dist/`, which is part of this program: it installs where there are no sources.
    Dist(&'static str),
    Text(String),
}

/// Files of `dist/`: the place there, and the text.
macro_rules! dist {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../dist/", $name)))
    };
}

impl Item {
    /// A text for all to read.
    pub(super) fn text(text: String, path: &str) -> Self {
        Self { source: Source::Text(text), path: PathBuf::from(path), mode: 0o644 }
    }

    /// Its content. The programs lie in `bin_dir`.
    pub(crate) fn bytes(&self, bin_dir: &Path, prefix: &Path, root: &Path) -> Result<Vec<u8>> {
        match &self.source {
            Source::Program(name) => fs::read(bin_dir.join(name)).with_context(|| format!("can't read {name}")),
            Source::Dist(text) => Ok(text
                .replace("@PREFIX@", &prefix.display().to_string())
                .replace("@ROOT@", &root.display().to_string())
                .into_bytes()),
            Source::Text(text) => Ok(text.clone().into_bytes()),
        }
    }
}

/// Everything but the root file, which an installation from source and the package have in common.
pub(crate) fn items(prefix: &Path) -> Vec<Item> {
    let item = |source, path: PathBuf, mode| Item { source, path, mode };
    let mut items: Vec<Item> = PROGRAMS
        .iter()
        .map(|&(name, _)| {
            let dir = if name == "l4d2ctl" { "bin" } else { "libexec/left4me" };
            item(Source::Program(name), prefix.join(dir).join(name), 0o755)
        })
        .collect();
    for (name, text) in [
        dist!("systemd/system/left4me-server@.service"),
        dist!("systemd/system/left4me-game.slice"),
        dist!("systemd/system/left4me-update.service"),
        dist!("systemd/system/left4me-update.timer"),
        dist!("sysusers.d/left4me.conf"),
        dist!("tmpfiles.d/left4me.conf"),
    ] {
        items.push(item(Source::Dist(text), prefix.join("lib").join(name), 0o644));
    }
    for (place, text) in share::all(is_packages(prefix)) {
        items.push(item(Source::Dist(text), prefix.join(place), 0o644));
    }
    // Last: with it the helpers that it names are there.
    let (_, text) = dist!("sudoers.d/left4me");
    items.push(item(Source::Dist(text), sudoers(prefix), 0o440));
    items
}

fn is_packages(prefix: &Path) -> bool {
    prefix == Path::new(super::PACKAGES)
}

/// The package's rules and those of an installation from source name helpers of different places, so that one must not
/// replace the other's.
fn sudoers(prefix: &Path) -> PathBuf {
    let name = if is_packages(prefix) { "left4me" } else { "left4me-local" };
    Path::new("/etc/sudoers.d").join(name)
}
