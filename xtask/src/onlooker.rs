//! What a host holds of instances, seen with other eyes than `l4d2ctl`'s, for those who judge it while commands are killed
//! ([`crate::crash`]) or at the end of many ([`crate::storm`]).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

pub(crate) const ROOT: &str = "/var/lib/left4me";

/// Where an enabled unit has its link.
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// What there is of instances under systemd, their names, sorted.
#[derive(Debug)]
pub(crate) struct Held {
    /// A name as often as it is mounted.
    pub(crate) mounts: Vec<String>,
    pub(crate) records: Vec<String>,
    pub(crate) enabled: Vec<String>,
}

pub(crate) fn held() -> Result<Held> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("can't read mountinfo")?;
    let source = |line: &str| Some(line.split_once(" overlay left4me-")?.1.split(' ').next()?.to_owned());
    let mut mounts: Vec<String> = text.lines().filter_map(source).collect();
    mounts.sort_unstable();
    let records = entries("/run/left4me").into_iter().filter(|name| !name.starts_with('.')).collect();
    let unit = |link: String| Some(link.strip_prefix("left4me-server@")?.strip_suffix(".service")?.to_owned());
    let enabled = entries(WANTS).into_iter().filter_map(unit).collect();
    Ok(Held { mounts, records, enabled })
}

/// A path below the root directory.
pub(crate) fn path(below: &str) -> PathBuf {
    Path::new(ROOT).join(below)
}

/// What is in a directory, sorted; nothing where there is none.
pub(crate) fn entries(dir: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// An instance's RCON password, whole.
pub(crate) fn password(name: &str) -> Result<String> {
    let path = path(&format!("instances/{name}/rcon_password"));
    let password = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let whole = password.strip_suffix('\n').is_some_and(|digits| digits.len() == 32);
    ensure!(whole, "{} is {password:?}", path.display());
    Ok(password)
}
