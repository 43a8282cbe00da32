//! `cargo xtask check`: formatting, lints, documentation, spelling, dependencies, what `docs/security.md` names, and what
//! `cargo xtask docs` writes.

mod dependencies;
#[cfg(test)]
mod dist;
mod security;

use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{cargo, project, succeed};
use crate::tools::{self, TYPOS};

pub(crate) fn run() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"]))?;
    succeed(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    succeed(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    tools::ready(&[TYPOS])?;
    succeed(Command::new(TYPOS.path()).current_dir(project()))
        .context("`typos` found a word that is none: typos.toml")?;
    dependencies::check()?;
    security::check()?;
    crate::docs::check()?;
    println!(
        "formatting, lints, documentation, spelling, dependencies, the tests of docs/security.md and the generated files \
         are in order"
    );
    Ok(())
}
