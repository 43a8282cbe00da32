//! `cargo xtask deb`: the Debian package, by cargo-deb.
//!
//! The files are laid out in `target/debian/tree` as they will lie on the host, from the list that `cargo xtask install` has,
//! too. What the package says of itself is in `crates/l4d2ctl/Cargo.toml`, and its scripts are in `dist/debian`.

pub(crate) mod copyright;
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::build::{output_of, programs_for_install, project, succeed};
use crate::tools;

/// What Debian's tools are told of the machine: programs are static, so this is all that matters.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Whom Debian's tools name: `authors` in the workspace's `Cargo.toml`.
const MAINTAINER: &str = env!("CARGO_PKG_AUTHORS");

pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "`cargo xtask deb` takes no arguments");
    println!("{}", package()?.display());
    Ok(())
}

/// The package of this checkout, `target/debian/left4me_VERSION_amd64.deb`. Built once in a process, however often it is
/// asked for: a test that installs it copies it into its machine.
pub(crate) fn package() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BUILT.get() {
        return Ok(built.clone());
    }
    let built = build()?;
    Ok(BUILT.get_or_init(|| built).clone())
}

/// The same, whether or not it was built before.
pub(crate) fn build() -> Result<PathBuf> {
    tools::ready(&[tools::CARGO_DEB])?;
    let programs = project().join("target/install");
    programs_for_install(&programs)?;
    let epoch = epoch()?;
    let debian = project().join("target/debian");
    tree::lay_out(&debian.join("tree"), &programs, &epoch)?;
    // Not in the tree: cargo-deb puts one of its own there, unless it is told of this one.
    let copyright = debian.join("copyright");
    fs::write(&copyright, copyright::copyright()?).with_context(|| format!("can't write {}", copyright.display()))?;
    let package = debian.join(format!("left4me_{}_amd64.deb", env!("CARGO_PKG_VERSION")));
    // No `strip`: the programs are stripped. The same bytes for the same commit: all times are the commit's.
    let mut command = Command::new(tools::CARGO_DEB.path());
    command.args(["--package", "l4d2ctl", "--target", TARGET, "--no-build", "--no-strip", "--no-dbgsym", "--quiet"]);
    command
        .args(["--maintainer", MAINTAINER, "--locked", "--output"])
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", &epoch)
        .current_dir(project());
    command.stdout(std::process::Stdio::null());
    succeed(&mut command).context("can't build the package")?;
    Ok(package)
}

/// Seconds since 1970: the time of the commit, or what a distribution's build says.
fn epoch() -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let said = output_of(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(project()))
        .context("outside of a git checkout SOURCE_DATE_EPOCH must say what time it is for the package")?;
    Ok(said.trim().to_owned())
}
