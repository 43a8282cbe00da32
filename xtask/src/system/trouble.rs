//! What servers and hosts do when something goes wrong.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Host;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn restart_after_crash(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["sim_crash_after 2"])?;
    host.l4_ok("start a")?;
    let restarted = "test \"$(systemctl show -P NRestarts left4me-server@a)\" -ge 1";
    host.machine.wait_until(restarted, MINUTE)?;
    host.machine.wait_until("systemctl is-active -q left4me-server@a", MINUTE)?;
    ensure!(host.mounts()? == 1, "one mount, however often it restarts");
    ensure!(host.status("a", "restarts")?.as_u64() >= Some(1), "restarts are not counted");
    Ok(())
}

pub(super) fn crash_loop(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["sim_exit_after 1"])?;
    host.l4_ok("start a")?;
    host.machine.wait_until("systemctl is-failed -q left4me-server@a", MINUTE * 2)?;
    host.expect_state("a", "failed")?;
    ensure!(host.mounts()? == 0, "a failed unit is not mounted");
    host.make("a", 27101, &[])?;
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

pub(super) fn failed_is_forgotten(host: &mut Host) -> Result<()> {
    // Names that no boot has enabled: what a target has wanted since then stays loaded until the manager is reloaded.
    // One failed by itself, the other by the stop that had to kill it.
    host.make("failing", 27101, &["sim_exit_after 0"])?;
    host.make("stubborn", 27102, &["sim_ignore_signals 1"])?;
    host.l4_ok("start failing")?;
    host.l4_ok("start stubborn")?;
    host.wait_for_line("stubborn", "Server is hibernating")?;
    host.machine.wait_until("systemctl is-failed -q left4me-server@failing", MINUTE * 2)?;
    for name in ["failing", "stubborn"] {
        host.l4_ok(&format!("delete {name}"))?;
    }
    // systemd lets go of a unit that nothing needs a moment later.
    let unloaded =
        "! systemctl list-units --all --plain --no-legend 'left4me-server@*' | grep -E '@(failing|stubborn)'";
    host.machine.wait_until(unloaded, MINUTE).map(drop)?;
    ensure!(host.l4_ok("status")?.lines().count() <= 1, "status lists what was deleted");
    Ok(())
}

pub(super) fn slow_shutdown(host: &mut Host) -> Result<()> {
    const STOPS: usize = 50;
    let names: Vec<String> = (0..10_u16).map(|n| format!("s{n}")).collect();
    for (name, port) in names.iter().zip(27110..) {
        host.make(name, port, &["sim_shutdown_seconds 3"])?;
    }
    for _ in 0..STOPS / names.len() {
        for name in &names {
            host.l4_ok(&format!("start {name}"))?;
        }
        for name in &names {
            host.wait_for_line(name, "Server is hibernating")?;
        }
        let stops: String =
            names.iter().map(|name| format!("sudo -u left4me l4d2ctl stop {name} >/dev/null & ")).collect();
        host.ok(&format!("{stops} wait"))?;
        for name in &names {
            let result = host.ok(&format!("systemctl show -P Result left4me-server@{name}"))?;
            ensure!(result.trim() == "success", "{name} ended with {result}");
        }
    }
    let ends = host.ok("journalctl -q -o cat -u 'left4me-server@s*' | grep -c 'Server shutdown complete'")?;
    ensure!(ends.trim() == STOPS.to_string(), "{ends} of {STOPS} shutdowns came to their end");
    Ok(())
}

pub(super) fn ten_in_parallel(host: &mut Host) -> Result<()> {
    let names: Vec<String> = (0..10_u16).map(|n| format!("p{n}")).collect();
    for (name, port) in names.iter().zip(27130..) {
        host.make(name, port, &[])?;
    }
    let cycle = "for i in 1 2 3 4 5 6; do sudo -u left4me l4d2ctl start $n >/dev/null || exit 1; sudo -u left4me l4d2ctl stop $n >/dev/null || exit 2; \
        test \"$(systemctl show -P Result left4me-server@$n)\" = success || exit 3; done";
    let all: String = names.iter().map(|name| format!("(n={name}; {cycle}) || echo {name}: $? & ")).collect();
    let answer = host.machine.run(&format!("{all} wait"))?;
    ensure!(answer.stdout.is_empty() && answer.stderr.is_empty(), "{}", answer.text());
    ensure!(host.mounts()? == 0, "mounts are left");
    Ok(())
}

pub(super) fn ignores_signals(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["sim_ignore_signals 1", "sim_fork 2"])?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "Server is hibernating")?;
    host.l4_ok("stop a")?;
    ensure!(host.mounts()? == 0, "the mount is left");
    let left = host.machine.run("pgrep -x srcds_linux")?;
    ensure!(left.code != 0, "the server still runs: {}", left.stdout);
    Ok(())
}

pub(super) fn failed_start(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.ok("mv /var/lib/left4me/overlays/test /var/lib/left4me/overlays/gone")?;
    let answer = host.l4("start a")?;
    ensure!(answer.code == 1 && answer.stderr.contains("error: overlay test/base is not there"), "{}", answer.text());
    // Refused before anything was asked of systemd.
    host.expect_state("a", "stopped")?;
    host.ok("mv /var/lib/left4me/overlays/gone /var/lib/left4me/overlays/test")?;
    // What only the helper can see.
    host.ok("chown root /var/lib/left4me/runtime/a/merged")?;
    let answer = host.l4("start a")?;
    ensure!(answer.code == 1, "{}", answer.text());
    for part in
        ["Job for left4me-server@a.service failed", "error: instance a did not start", "runtime/a/merged", "hint:"]
    {
        ensure!(answer.stderr.contains(part), "{part:?} is missing in:\n{}", answer.stderr);
    }
    host.ok("chown left4me /var/lib/left4me/runtime/a/merged")?;
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

pub(super) fn full_disk(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    // A file system of its own for the instance's runtime: there is room for what is staged in the upper (left4dead2, cfg,
    // server.cfg) and for work, and none for what the kernel makes in it.
    host.ok("mount -t tmpfs -o nr_inodes=8,mode=755,uid=left4me,gid=left4me none /var/lib/left4me/runtime/a && \
             sudo -u left4me mkdir /var/lib/left4me/runtime/a/upper /var/lib/left4me/runtime/a/merged")?;
    let answer = host.l4("start a")?;
    host.machine.run("systemctl stop left4me-server@a; umount /var/lib/left4me/runtime/a")?;
    ensure!(answer.code == 1, "{}", answer.text());
    ensure!(
        answer.stderr.contains("is the disk of /var/lib/left4me/runtime/a/work/left4me-a full"),
        "{}",
        answer.text()
    );
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

pub(super) fn two_supervisors(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.l4_ok("start a")?;
    let answer = host.machine.run("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl start a")?;
    ensure!(answer.code == 1 && answer.stderr.contains("systemd supervisor"), "{}", answer.text());
    host.l4_ok("stop a")?;
    host.ok("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl start a")?;
    let answer = host.l4("start a")?;
    ensure!(answer.code == 1 && answer.stderr.contains("embedded supervisor"), "{}", answer.text());
    host.ok("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl stop a")?;
    // What the one left where it was cut off is in the other's way.
    host.ok("cd /var/lib/left4me/runtime/a && mkdir -m 700 work && mkdir -p work/left4me-a/work")?;
    host.ok("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl stop a")?;
    host.ok("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl reset a")?;
    for verb in ["start", "delete"] {
        let answer = host.machine.run(&format!("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl {verb} a"))?;
        ensure!(answer.code == 1 && answer.stderr.contains("what root's mount left"), "{}", answer.text());
    }
    host.l4_ok("stop a")?;
    host.ok("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl start a")?;
    host.ok("sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl stop a").map(drop)
}

pub(super) fn wrong_setup(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    let nobody = host.machine.run("setpriv --reuid=65534 --regid=65534 --clear-groups l4d2ctl start a")?;
    ensure!(nobody.code == 1 && nobody.stderr.contains("sudo -u left4me"), "{}", nobody.text());
    host.ok("mv /usr/local/libexec/left4me/left4me-systemctl /tmp/")?;
    let missing = host.l4("start a")?;
    host.ok("mv /tmp/left4me-systemctl /usr/local/libexec/left4me/")?;
    ensure!(missing.code == 1 && missing.stderr.contains("left4me-systemctl is missing"), "{}", missing.text());
    host.ok("mv /etc/sudoers.d/left4me-local /tmp/")?;
    let password = host.l4("start a")?;
    let doctor = host.l4("doctor")?;
    host.ok("mv /tmp/left4me-local /etc/sudoers.d/")?;
    ensure!(
        password.code == 1 && password.stderr.contains("password is required") && password.stderr.contains("hint:"),
        "{}",
        password.text()
    );
    ensure!(doctor.code == 1 && doctor.stdout.contains("missing   sudo rules"), "{}", doctor.text());
    host.ok("rm -r /run/left4me/.root")?;
    let no_root = host.l4("start a")?;
    let doctor = host.l4("doctor")?;
    ensure!(no_root.code == 1 && no_root.stderr.contains("/run/left4me/.root"), "{}", no_root.text());
    ensure!(doctor.code == 1 && doctor.stdout.contains("systemd-tmpfiles --create left4me.conf"), "{}", doctor.text());
    host.ok("systemd-tmpfiles --create left4me.conf")?;
    let healthy = host.l4("doctor")?;
    ensure!(healthy.code == 0, "{}", healthy.text());
    host.l4_ok("start a")?;
    let elsewhere = host.machine.run("sudo -u left4me LEFT4ME_ROOT=/srv/other l4d2ctl status")?;
    ensure!(elsewhere.code == 1 && elsewhere.stderr.contains("was installed for"), "{}", elsewhere.text());
    Ok(())
}
