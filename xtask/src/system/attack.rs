//! The service user, and the game, as attackers.

use anyhow::{Result, ensure};

use super::Host;

const HELPERS: &str = "/usr/local/libexec/left4me";

pub(super) fn root_becomes_service_user(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.ok("l4d2ctl start a")?;
    host.ok("l4d2ctl reset a && l4d2ctl start a && l4d2ctl stop a")?;
    let foreign = host.ok("find /var/lib/left4me ! -user left4me")?;
    ensure!(foreign.is_empty(), "root left files of its own: {foreign}");
    Ok(())
}

pub(super) fn helper_arguments(host: &mut Host) -> Result<()> {
    for (helper, verbs) in
        [("left4me-systemctl", ["enable", "disable", "show"]), ("left4me-overlay", ["mount", "umount", "mount"])]
    {
        for verb in verbs {
            for name in ["", "../etc", "a.b", "-x", "--help", "A", "a b", "x@y", "$(id)"] {
                let answer = host.machine.run(&format!("{HELPERS}/{helper} {verb} '{name}'"))?;
                ensure!(answer.code == 2, "{helper} {verb} {name:?}: {}", answer.text());
            }
        }
        let answer = host.machine.run(&format!("{HELPERS}/{helper} restart a"))?;
        ensure!(answer.code == 2, "{helper} restart: {}", answer.text());
    }
    let answer = host.machine.run(&format!("sudo -u left4me sudo -n {HELPERS}/left4me-overlay umount a"))?;
    ensure!(
        answer.code == 1 && answer.stderr.contains("password"),
        "sudo lets the service user mount: {}",
        answer.text()
    );
    for args in [
        "a",
        "a --lines x --follow",
        "a --lines 1 --follow --output verbose",
        "a --lines 1 --follow --after-cursor '$(id)'",
    ] {
        let answer = host.machine.run(&format!("{HELPERS}/left4me-journalctl {args}"))?;
        ensure!(answer.code == 2, "left4me-journalctl {args}: {}", answer.text());
    }
    Ok(())
}

pub(super) fn helper_environment(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.l4_ok("start a")?;
    host.ok("mkdir -p /tmp/evil && printf '#!/bin/sh\\ntouch /tmp/evil/ran\\n' > /tmp/evil/systemctl && chmod -R 777 /tmp/evil && cp /tmp/evil/systemctl /tmp/evil/journalctl")?;
    let tricks = "PATH=/tmp/evil:$PATH LD_PRELOAD=/tmp/evil/x.so LEFT4ME_ROOT=/tmp/evil SYSTEMD_PAGER=/tmp/evil/systemctl PAGER=/tmp/evil/systemctl \
        SYSTEMD_EDITOR=/tmp/evil/systemctl DBUS_SYSTEM_BUS_ADDRESS=unix:path=/tmp/evil/bus";
    for command in ["left4me-systemctl show a", "left4me-overlay mount a", "left4me-journalctl a --lines 1 --no-follow"]
    {
        host.ok(&format!("cd /tmp/evil && env {tricks} {HELPERS}/{command} >/dev/null"))?;
    }
    let ran = host.machine.run("ls /tmp/evil/ran")?;
    ensure!(ran.code != 0, "a helper ran what the caller chose");
    ensure!(host.mounts()? == 1, "mount is idempotent");
    let plan = host.ok(&format!("LEFT4ME_OVERLAY_PRINT_ONLY=1 {HELPERS}/left4me-overlay mount a"))?;
    ensure!(plan.contains("lowerdir+ /var/lib/left4me/installation"), "{plan}");
    // In the manager's environment it would reach every unit: there it is refused.
    host.l4_ok("stop a")?;
    host.ok("systemctl set-environment LEFT4ME_OVERLAY_PRINT_ONLY=1")?;
    let refused = host.l4("start a")?;
    host.ok("systemctl unset-environment LEFT4ME_OVERLAY_PRINT_ONLY")?;
    ensure!(refused.code == 1 && refused.stderr.contains("refused under systemd"), "{}", refused.text());
    Ok(())
}

pub(super) fn hostile_upper(host: &mut Host) -> Result<()> {
    host.ok("mkdir -p /srv/canary && echo kept > /srv/canary/server.cfg && chown -R left4me: /srv/canary")?;
    host.make("a", 27101, &[])?;
    let upper = "/var/lib/left4me/runtime/a/upper";
    for plant in [
        format!("ln -s /srv/canary {upper}/left4dead2"),
        format!("mkdir {upper}/left4dead2 && ln -s /srv/canary {upper}/left4dead2/cfg"),
        format!("mkdir -p {upper}/left4dead2/cfg && ln -s /srv/canary/server.cfg {upper}/left4dead2/cfg/server.cfg"),
        format!("mkdir -p {upper}/left4dead2/cfg && mkfifo {upper}/left4dead2/cfg/server.cfg"),
        format!("mkdir -p {upper}/left4dead2/cfg/server.cfg/deep/er"),
        format!(
            "mkdir -p {upper}/left4dead2/cfg && ln /srv/canary/server.cfg {upper}/left4dead2/cfg/server.cfg || touch {upper}/left4dead2/cfg/server.cfg"
        ),
    ] {
        host.ok(&format!("sudo -u left4me sh -c '{plant}'"))?;
        host.l4_ok("start a")?;
        ensure!(host.ok("cat /srv/canary/server.cfg")? == "kept\n", "{plant}: the canary was written to");
        host.l4_ok("reset a")?;
        ensure!(host.ok("ls /srv/canary")? == "server.cfg\n", "{plant}: the canary was removed");
    }
    host.ok("rm -r /srv/canary").map(drop)
}

pub(super) fn moved_mount_point(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    // A namespace from before the mount, in which the service user may move the directory under it.
    let older = host.older_namespace()?;
    host.l4_ok("start a")?;
    let dir = "/var/lib/left4me/runtime/a";
    host.ok(&format!("nsenter -m -t {older} sudo -u left4me mv {dir}/merged {dir}/elsewhere"))?;
    host.l4_ok("stop a")?;
    ensure!(host.mounts()? == 0, "the moved mount is left: {}", host.ok("grep left4me- /proc/1/mountinfo")?);
    host.ok(&format!("kill {older}; rmdir {dir}/elsewhere"))?;
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

pub(super) fn signal_another(host: &mut Host) -> Result<()> {
    host.make("victim", 27101, &[])?;
    host.l4_ok("start victim")?;
    let pid = host.status("victim", "main_pid")?;
    host.make("attacker", 27102, &[&format!("sim_signal {pid}")])?;
    host.l4_ok("start attacker")?;
    host.wait_for_line("attacker", "can't signal: Operation not permitted")?;
    host.expect_state("victim", "running")
}

/// systemd binds by path, as root, and follows links: the launcher looks at what it was given.
pub(super) fn linked_binds(host: &mut Host) -> Result<()> {
    host.ok("mkdir -p /srv/secret/sdk32 && echo key > /srv/secret/sdk32/steamclient.so && chmod 700 /srv/secret")?;
    host.make("a", 27101, &[])?;
    host.ok("mv /var/lib/left4me/.steam /var/lib/left4me/steam-kept && sudo -u left4me ln -s /srv/secret /var/lib/left4me/.steam")?;
    host.l4("start a")?;
    let refused = host.machine.wait_until(
        "journalctl -q -u left4me-server@a -o cat | grep -F 'is not the service user'",
        std::time::Duration::from_secs(20),
    );
    let log = host.ok("journalctl -q -u left4me-server@a -o cat")?;
    host.ok("rm /var/lib/left4me/.steam && mv /var/lib/left4me/steam-kept /var/lib/left4me/.steam; rm -r /srv/secret")?;
    ensure!(
        refused.is_ok() && !log.contains("SIMULATED Left 4 Dead 2"),
        "the game ran with somebody else's directory: {log}"
    );
    host.l4_ok("stop a")?;
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}
