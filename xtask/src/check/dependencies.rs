//! What the programs are made of: root's helpers of what is listed here alone, and everything of packages that are used,
//! licensed so that they may be part of it, and without known holes (`deny.toml`).

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build::{cargo, output_of, project, succeed};
use crate::tools::{self, DENY, MACHETE};

/// Everything that each helper is made of, itself aside. A longer list is a decision, to be made here.
const HELPER_DEPENDENCIES: [(&str, &[&str]); 3] = [
    ("left4me-overlay", &["bitflags", "helper", "linux-raw-sys", "names", "overlay", "rustix"]),
    ("left4me-systemctl", &["bitflags", "helper", "linux-raw-sys", "names", "rustix"]),
    ("left4me-journalctl", &["bitflags", "helper", "linux-raw-sys", "names", "rustix"]),
];

pub(super) fn check() -> Result<()> {
    for (helper, allowed) in HELPER_DEPENDENCIES {
        let mut command =
            cargo(&["tree", "--package", helper, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let found = names(&output_of(&mut command)?, helper);
        ensure!(found == allowed, "{helper} depends on {found:?}, and {allowed:?} is what is allowed");
    }
    tools::ready(&[DENY, MACHETE])?;
    succeed(Command::new(MACHETE.path()).arg(".").current_dir(project()))
        .context("`cargo machete` found a dependency that nothing uses")?;
    succeed(deny().args(["--offline", "check", "bans", "licenses", "sources"]))
        .context("`cargo deny` found what deny.toml does not allow")?;
    // The database is a git repository elsewhere, which not every machine reaches.
    let fetched = deny().args(["fetch", "db"]).stderr(Stdio::null()).status().context("can't run cargo-deny")?;
    if !fetched.success() {
        println!("NOT LOOKED AT: known holes of dependencies, whose database (RustSec) can't be fetched here");
        return Ok(());
    }
    succeed(deny().args(["--offline", "check", "advisories"])).context("`cargo deny` found a known hole")
}

fn deny() -> Command {
    let mut command = Command::new(DENY.path());
    command.current_dir(project()).args(["--log-level", "error"]);
    command
}

/// The names in a `cargo tree`, sorted, each once.
fn names(tree: &str, of: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> = names.filter(|name| *name != of).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}
