//! `cargo xtask check`: formatting, lints, documentation, what root's helpers depend on, what `docs/security.md`
//! names, and what `cargo xtask docs` writes.

#[cfg(test)]
mod dist;
mod security;

use anyhow::{Result, ensure};

use crate::build::{cargo, output_of, succeed};

/// Everything that each helper is made of, itself aside. A longer list is a decision, to be made here.
const HELPER_DEPENDENCIES: [(&str, &[&str]); 3] = [
    ("left4me-overlay", &["bitflags", "helper", "linux-raw-sys", "names", "overlay", "rustix"]),
    ("left4me-systemctl", &["bitflags", "helper", "linux-raw-sys", "names", "rustix"]),
    ("left4me-journalctl", &["bitflags", "helper", "linux-raw-sys", "names", "rustix"]),
];

pub(crate) fn run() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"]))?;
    succeed(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    succeed(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    for (helper, allowed) in HELPER_DEPENDENCIES {
        let mut command =
            cargo(&["tree", "--package", helper, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let found = dependencies(&output_of(&mut command)?, helper);
        ensure!(found == allowed, "{helper} depends on {found:?}, and {allowed:?} is what is allowed");
    }
    security::check()?;
    crate::docs::check()?;
    println!(
        "formatting, lints, documentation, the helpers' dependencies, the tests of docs/security.md and the generated files \
         are in order"
    );
    Ok(())
}

/// The names in a `cargo tree`, sorted, each once.
fn dependencies(tree: &str, of: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> = names.filter(|name| *name != of).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}
