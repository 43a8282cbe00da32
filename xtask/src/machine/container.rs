//! Debian 13 booted by systemd-nspawn: real systemd, sudo and journald on this machine's kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::leftovers::{TREE, directory, hierarchies, new_name, remove, remove_cgroup};
use super::{Answer, Machine, RUN_LIMIT_SECONDS, RootFs, prepare, wait_for_boot};
use crate::build::succeed;

pub(crate) struct Container {
    work: PathBuf,
    cgroups: Vec<PathBuf>,
    nspawn: Child,
    /// PID 1 of the container, as this machine numbers it.
    leader: u32,
}

impl Container {
    pub(crate) fn boot() -> Result<Self> {
        Self::boot_with(RootFs::Plain)
    }

    pub(crate) fn boot_with(kind: RootFs) -> Result<Self> {
        let name = new_name();
        let tree = prepare(&directory().join(&name), kind)?;
        Self::boot_tree(&name, &tree)
    }

    /// Boots the disk of a virtual machine on this machine's kernel, which is a matter of seconds.
    pub(crate) fn boot_disk(disk: &Path) -> Result<Self> {
        let name = new_name();
        let tree = directory().join(&name).join(TREE);
        mount(disk, &tree)?;
        Self::boot_tree(&name, &tree)
    }

    fn boot_tree(name: &str, tree: &Path) -> Result<Self> {
        let work = directory().join(name);
        let cgroups = make_cgroups(name)?;
        let nspawn = spawn(tree, &cgroups)?;
        let mut container = Self { work, cgroups, nspawn, leader: 0 };
        container.leader = container.find_leader()?;
        wait_for_boot(&mut container, Duration::from_secs(60))?;
        Ok(container)
    }

    /// Its root directory, as this machine sees it.
    pub(crate) fn tree(&self) -> PathBuf {
        self.work.join(TREE)
    }

    /// The process that is 1 inside.
    fn find_leader(&mut self) -> Result<u32> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if let Some(status) = self.nspawn.try_wait()? {
                bail!("systemd-nspawn ended: {status}; see {}", self.work.join("console").display());
            }
            let found = children(self.nspawn.id()).into_iter().find(|&pid| is_pid_1(pid));
            if let Some(leader) = found {
                return Ok(leader);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the container has no PID 1")
    }
}

impl Machine for Container {
    fn run(&mut self, script: &str) -> Result<Answer> {
        let output = Command::new("nsenter")
            .args(["--target", &self.leader.to_string()])
            .args(["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"])
            .args(["timeout", "--kill-after=5", RUN_LIMIT_SECONDS, "/bin/sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .context("can't run nsenter")?;
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn reboot(&mut self) -> Result<()> {
        self.ok("systemctl --no-block reboot")?;
        // With --keep-unit nspawn does not boot again by itself: it ends with 133, which asks for that.
        let status = self.nspawn.wait()?;
        ensure!(status.code() == Some(133), "systemd-nspawn ended: {status}");
        self.nspawn = spawn(&self.work.join(TREE), &self.cgroups)?;
        self.leader = self.find_leader()?;
        wait_for_boot(self, Duration::from_secs(60))
    }

    fn cut_power(&mut self) -> Result<()> {
        bail!("a container has no power of its own to cut")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Best effort, in this order: the processes (the first hierarchy, cgroup2, kills them all), what they were in,
        // the files.
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        for cgroup in &self.cgroups {
            remove_cgroup(cgroup);
        }
        remove(&self.work);
    }
}

/// Looks at the disk of a virtual machine that is off.
pub(crate) fn read_disk<T>(disk: &Path, look: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let work = directory().join(new_name());
    let tree = work.join(TREE);
    let answer = mount(disk, &tree).and_then(|()| look(&tree));
    remove(&work);
    answer
}

/// A disk whose power was cut is recovered by this.
fn mount(disk: &Path, tree: &Path) -> Result<()> {
    fs::create_dir_all(tree)?;
    succeed(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(disk).arg(tree))
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let direct: Vec<u32> = list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let nested: Vec<u32> = direct.iter().flat_map(|&pid| children(pid)).collect();
    [direct, nested].concat()
}

fn is_pid_1(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    numbers.and_then(|numbers| numbers.split_whitespace().nth(1)) == Some("1") && comm.trim() == "systemd"
}

/// A cgroup of its own in each hierarchy that systemd uses: two containers in one would act on each other's units.
fn make_cgroups(name: &str) -> Result<Vec<PathBuf>> {
    let made: Vec<PathBuf> = hierarchies().iter().map(|hierarchy| hierarchy.join(name)).collect();
    for cgroup in &made {
        fs::create_dir_all(cgroup).with_context(|| format!("can't make {}", cgroup.display()))?;
    }
    Ok(made)
}

fn spawn(tree: &Path, cgroups: &[PathBuf]) -> Result<Child> {
    let join: String =
        cgroups.iter().map(|cgroup| format!("echo $$ > '{}/cgroup.procs' || exit 1\n", cgroup.display())).collect();
    let console = fs::File::create(tree.with_file_name("console"))?;
    let mut command = Command::new("setpriv");
    command
        // However this process ends, the container ends with it: told to, nspawn shuts it down, but killed it leaves it.
        .args(["--pdeathsig=TERM", "/bin/sh", "-c", &format!("{join}exec systemd-nspawn \"$@\""), "sh"])
        .args(["--quiet", "--register=no", "--keep-unit", "--boot", "--capability=all", "--private-network"])
        // Landlock's calls by name: an older nspawn does not know the group that holds them, and leaves it out in silence.
        .arg("--system-call-filter=@mount @privileged @keyring bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self")
        .arg("--console=read-only")
        .arg("--directory")
        .arg(tree)
        // This machine's own layout may be the hybrid one; inside it is cgroup2.
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console);
    command.spawn().context("can't run systemd-nspawn")
}
