//! Development tools that a Rust toolchain does not bring: built once from crates.io, each in a pinned version, into
//! `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{cargo, output_of, project, succeed};

/// A tool: its package, its program, and its version. Another version may judge in another way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool(&'static str, &'static str, &'static str);

pub(crate) const DENY: Tool = Tool("cargo-deny", "cargo-deny", "0.20.2");
pub(crate) const MACHETE: Tool = Tool("cargo-machete", "cargo-machete", "0.9.2");
/// Not a library of xtask's: it and what it needs take two minutes to build, of everybody who only wants to test.
pub(crate) const CARGO_DEB: Tool = Tool("cargo-deb", "cargo-deb", "3.8.0");
pub(crate) const TYPOS: Tool = Tool("typos-cli", "typos", "1.52.0");

impl Tool {
    /// The program, wherever it is there already.
    pub(crate) fn path(self) -> PathBuf {
        project().join("target/tools/bin").join(self.1)
    }

    fn is_there(self) -> bool {
        output_of(Command::new(self.path()).arg("--version"))
            .is_ok_and(|said| said.split_whitespace().last() == Some(self.2))
    }
}

/// Installs those that are not there: together, as they share much of what they are made of.
pub(crate) fn ready(tools: &[Tool]) -> Result<()> {
    let missing: Vec<String> = tools
        .iter()
        .filter(|tool| !tool.is_there())
        .map(|Tool(package, _, version)| format!("{package}@{version}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("building {} (once, some minutes)", missing.join(", "));
    let root = project().join("target/tools");
    let mut install = cargo(&["install", "--quiet", "--locked", "--root"]);
    succeed(install.arg(root).args(&missing)).with_context(|| format!("can't install {}", missing.join(", ")))
}
