//! Building, and finding what was built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The programs that are installed, and the profile that each is built with.
pub(crate) const PROGRAMS: [(&str, &str); 5] = [
    ("l4d2ctl", "release"),
    ("left4me-launch", "release"),
    ("left4me-overlay", "helper"),
    ("left4me-systemctl", "helper"),
    ("left4me-journalctl", "helper"),
];

/// The project's own directory.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// A command of cargo, in the project.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(project()).args(args);
    command
}

/// Runs a command, whose output is ours.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Runs a program; its stdout.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether this program may do everything.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Where cargo puts what it builds for this machine with a profile.
pub(crate) fn target_dir(profile: &str) -> Result<PathBuf> {
    let output = Command::new("rustc").arg("-vV").output().context("can't run rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project().join("target"), PathBuf::from);
    Ok(target.join(host).join(if profile == "dev" { "debug" } else { profile }))
}

/// Builds the programs as they are installed, and copies them and the simulation into one directory.
pub(crate) fn programs_for_install(into: &Path) -> Result<()> {
    for profile in ["release", "helper"] {
        let packages = PROGRAMS.iter().filter(|(_, of)| *of == profile).flat_map(|(name, _)| ["--package", name]);
        succeed(cargo(&["build", "--quiet", "--profile", profile]).args(packages))?;
    }
    std::fs::create_dir_all(into)?;
    for (name, profile) in PROGRAMS {
        copy(&target_dir(profile)?.join(name), &into.join(name))?;
    }
    Ok(())
}

/// Copies a program, also over one that runs.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    std::fs::copy(from, to).with_context(|| format!("can't copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
