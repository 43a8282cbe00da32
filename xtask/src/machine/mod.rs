//! Debian 13 to test on: booted in a container, or in a virtual machine with its own kernel.

mod container;
mod leftovers;
mod moment;
mod rootfs;
mod vm;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::build::{cargo, copy, is_root, programs_for_install, project, succeed, target_dir};

pub(crate) use container::{Container, read_disk};
pub(crate) use leftovers::leftovers;
use leftovers::remove_leftovers;
pub(crate) use moment::Moment;
use rootfs::install_tools;
pub(crate) use rootfs::{RootFs, install_compiler, install_cxx_compiler, install_packages, linters, promtool};
pub(crate) use vm::{Vm, agent};

/// Where the programs to install lie in a machine.
pub(crate) const BIN_DIR: &str = "/opt/left4me-build";
/// Ourselves, in it.
pub(crate) const XTASK: &str = "/opt/left4me-build/xtask";

/// A command in a machine that hangs is ended, and answers 124.
const RUN_LIMIT_SECONDS: &str = "600";

/// What a command in a machine answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Both streams, for messages.
    pub(crate) fn text(&self) -> String {
        format!("exit code {}\n{}{}", self.code, self.stdout, self.stderr)
    }
}

/// A booted Debian 13.
pub(crate) trait Machine {
    /// Runs a shell script as root.
    fn run(&mut self, script: &str) -> Result<Answer>;

    /// Reboots in order, and waits until it is up again.
    fn reboot(&mut self) -> Result<()>;

    /// Takes the power away, without a sync, and boots again. Only a virtual machine can.
    fn cut_power(&mut self) -> Result<()>;

    /// Runs a script that must succeed; its stdout.
    fn ok(&mut self, script: &str) -> Result<String> {
        let answer = self.run(script)?;
        ensure!(answer.code == 0, "{script}: {}", answer.text());
        Ok(answer.stdout)
    }

    /// Waits until a script succeeds.
    fn wait_until(&mut self, script: &str, limit: Duration) -> Result<String> {
        let until = Instant::now() + limit;
        loop {
            let answer = self.run(script)?;
            if answer.code == 0 {
                return Ok(answer.stdout);
            }
            if Instant::now() >= until {
                bail!("not within {} s: {script}: {}", limit.as_secs(), answer.text());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Sees to everything that a machine needs: its tools on this one, and the programs that are to be tested.
pub(crate) fn make_ready(virtual_machine: bool) -> Result<()> {
    ensure!(is_root(), "a booted Debian 13 needs root: `sudo cargo xtask …`");
    install_tools(virtual_machine)?;
    programs_for_install(&project().join("target/install"))?;
    succeed(&mut cargo(&["build", "--quiet", "--release", "--package", "srcds-sim"]))?;
    // Of runs that were killed.
    remove_leftovers();
    Ok(())
}

/// A root file system with what is to be tested, ready to boot: a copy of the cached one, in a directory of its own.
fn prepare(work: &Path, kind: RootFs) -> Result<PathBuf> {
    let cached = rootfs::cached(kind)?;
    let tree = work.join("rootfs");
    std::fs::create_dir_all(work)?;
    succeed(std::process::Command::new("cp").args(["-a", "--"]).arg(&cached).arg(&tree))?;
    let bin = tree.join(BIN_DIR.trim_start_matches('/'));
    let built = project().join("target/install");
    if !built.join("l4d2ctl").exists() {
        programs_for_install(&built)?;
    }
    std::fs::create_dir_all(&bin)?;
    for program in std::fs::read_dir(&built)? {
        let program = program?;
        copy(&program.path(), &bin.join(program.file_name()))?;
    }
    copy(&std::env::current_exe()?, &bin.join("xtask"))?;
    copy(&target_dir("release")?.join("srcds-sim"), &bin.join("steamcmd"))?;
    std::fs::write(tree.join("etc/hostname"), "left4me-test\n")?;
    std::fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 left4me-test\n")?;
    Ok(tree)
}

/// Installs left4me in a booted machine with the real installer, and the simulated game with the simulated SteamCMD.
pub(crate) fn install_left4me(machine: &mut dyn Machine) -> Result<()> {
    install_programs(machine)?;
    machine.ok(&format!("sudo -u left4me {INSTALL_GAME} 2>&1"))?;
    Ok(())
}

/// The command that installs the simulated game.
pub(crate) const INSTALL_GAME: &str = "env LEFT4ME_STEAMCMD=/var/lib/left4me/steamcmd/steamcmd l4d2ctl install";

/// The same without the game.
pub(crate) fn install_programs(machine: &mut dyn Machine) -> Result<()> {
    machine.ok(&format!("{XTASK} install --bin-dir {BIN_DIR}"))?;
    machine.ok(&format!(
        "install -d -o left4me -g left4me /var/lib/left4me/steamcmd && \
         install -o left4me -g left4me {BIN_DIR}/steamcmd /var/lib/left4me/steamcmd/steamcmd"
    ))?;
    Ok(())
}

/// Whether an instance's status says that its files are not whole: other problems are a server's own.
pub(crate) fn is_damaged(status: &serde_json::Value) -> bool {
    let damage = |problem: &serde_json::Value| problem["kind"] == "damaged" || problem["kind"] == "no-files";
    status["problems"].as_array().is_none_or(|problems| problems.iter().any(damage))
}

/// Waits until the manager has started everything. `degraded` is as good as `running`: in a container a unit fails.
fn wait_for_boot(machine: &mut dyn Machine, limit: Duration) -> Result<()> {
    let up = "systemctl is-system-running | grep -qE '^(running|degraded)$'";
    machine.wait_until(up, limit).map(drop)
}
