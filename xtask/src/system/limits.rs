//! What only a machine of its own can show: resource limits, and losing power.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Host;

const MINUTES: Duration = Duration::from_secs(180);

pub(super) fn memory_and_tasks(host: &mut Host) -> Result<()> {
    let controllers = host.ok("cat /sys/fs/cgroup/cgroup.controllers")?;
    ensure!(controllers.contains("memory") && controllers.contains("pids"), "no controllers: {controllers}");
    let limit = "systemctl show -P MemoryMax -P TasksMax left4me-server@memory";
    for limit in host.ok(limit)?.lines() {
        ensure!(limit.parse::<u64>().is_ok_and(|limit| limit <= 4 << 30), "the unit's own limit is {limit}");
    }
    // Smaller ones, which a small and slow machine reaches.
    host.ok("mkdir -p /run/systemd/system/left4me-server@.service.d && printf '[Service]\\nMemoryHigh=infinity\\nMemoryMax=64M\\nMemorySwapMax=0\\nTasksMax=20\\n' \
             > /run/systemd/system/left4me-server@.service.d/small.conf && systemctl daemon-reload")?;
    host.make("memory", 27101, &["sim_alloc_mb 512"])?;
    host.make("tasks", 27102, &["sim_fork 40"])?;
    host.l4_ok("start memory")?;
    host.machine.wait_until("test \"$(systemctl show -P NRestarts left4me-server@memory)\" -ge 1", MINUTES)?;
    let killed = host.ok("journalctl -q -u left4me-server@memory -o cat")?;
    ensure!(killed.contains("oom-kill"), "{killed}");
    host.l4_ok("stop memory")?;
    host.l4_ok("start tasks")?;
    host.wait_for_line("tasks", "can't fork")?;
    let tasks = host.ok("systemctl show -P TasksCurrent left4me-server@tasks")?;
    ensure!(tasks.trim().parse::<u32>()? <= 20, "{tasks} tasks");
    host.l4_ok("stop tasks")?;
    host.ok("rm -r /run/systemd/system/left4me-server@.service.d && systemctl daemon-reload").map(drop)
}

pub(super) fn power_cut(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["hostname \"Kept\""])?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "Server is hibernating")?;
    host.machine.cut_power()?;
    // The link that enables the unit is on disk, as is what was staged.
    host.machine.wait_until("systemctl is-active -q left4me-server@a", MINUTES)?;
    let cfg = host.ok("cat /var/lib/left4me/runtime/a/upper/left4dead2/cfg/server.cfg")?;
    ensure!(cfg.contains("Kept") && cfg.contains("rcon_password"), "what was staged is damaged: {cfg}");
    // With the kernel's directory left by the cut, and the unit running or not: both must go.
    host.l4_ok("reset a")?;
    host.machine.cut_power()?;
    let upper = host.ok("find /var/lib/left4me/runtime/a/upper -mindepth 1")?;
    ensure!(upper.is_empty(), "reset was not on disk: {upper}");
    host.l4_ok("start a")?;
    host.l4_ok("delete a")?;
    host.machine.cut_power()?;
    let left = host.ok("ls -A /var/lib/left4me/instances /var/lib/left4me/runtime | grep -v : | grep . || true")?;
    ensure!(left.is_empty(), "delete was not on disk: {left}");
    let aside = host.ok("ls -A /var/lib/left4me/tmp")?;
    ensure!(aside.is_empty(), "what was put aside came back: {aside}");
    Ok(())
}

/// The kernel's own directory below `work` is root's, mode 000, and stays when nothing comes to unmount.
pub(super) fn power_cut_inactive(host: &mut Host) -> Result<()> {
    for (name, port, verb) in [("a", 27101, "reset"), ("b", 27102, "delete")] {
        host.make(name, port, &[])?;
        host.l4_ok(&format!("start {name}"))?;
        // So that nothing starts it again.
        host.ok(&format!("systemctl disable left4me-server@{name} 2>&1; sync"))?;
        host.machine.cut_power()?;
        host.expect_state(name, "stopped")?;
        host.ok(&format!("cd /var/lib/left4me/runtime/{name}/work && test -d left4me-{name}/work"))?;
        host.l4_ok(&format!("{verb} {name}"))?;
    }
    let left =
        host.ok("find /var/lib/left4me/runtime -mindepth 3; ls -d /var/lib/left4me/runtime/b 2>/dev/null || true")?;
    ensure!(left.is_empty(), "left: {left}");
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}
