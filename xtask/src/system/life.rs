//! What servers do when all goes well.

use anyhow::{Result, ensure};

use super::Host;

pub(super) fn whole_life(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["hostname \"First\""])?;
    host.make("b", 27102, &[])?;
    host.expect_state("a", "stopped")?;
    for name in ["a", "b"] {
        host.l4_ok(&format!("start {name}"))?;
        host.expect_state(name, "running")?;
    }
    ensure!(host.mounts()? == 2, "both mounts are to be seen in the host's namespace");
    host.wait_for_line("a", "hostname: First")?;
    ensure!(host.status("a", "enabled")? == true, "a is to come back after a reboot");
    let again = host.l4_ok("start a")?;
    ensure!(again.contains("runs already"), "{again}");
    host.l4_ok("stop a")?;
    host.expect_state("a", "stopped")?;
    host.expect_state("b", "running")?;
    ensure!(host.status("a", "enabled")? == false && host.mounts()? == 1, "a is still enabled or mounted");
    host.wait_for_line("a", "Server shutdown complete")?;
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

pub(super) fn reboot(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["hostname \"Staged\""])?;
    host.make("b", 27102, &[])?;
    host.l4_ok("start a")?;
    // Changed after the start: the reboot must not see it.
    host.make("a", 27103, &["hostname \"Changed\""])?;
    ensure!(host.status("a", "pending")? == true, "the change is pending");
    host.machine.reboot()?;
    host.machine.wait_until("systemctl is-active -q left4me-server@a", std::time::Duration::from_secs(60))?;
    host.expect_state("b", "stopped")?;
    host.wait_for_line("a", "ports 27101 SV")?;
    ensure!(host.status("a", "pending")? == true, "the change is still pending");
    host.l4_ok("stop a")?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "ports 27103 SV")?;
    ensure!(host.status("a", "pending")? == false, "nothing is pending any more");
    Ok(())
}

pub(super) fn nothing_left(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["log on"])?;
    let password = host.ok("cat /var/lib/left4me/instances/a/rcon_password")?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "Server is hibernating")?;
    host.machine
        .wait_until("test -d /var/lib/left4me/runtime/a/upper/left4dead2/logs", std::time::Duration::from_secs(10))?;
    host.l4_ok("reset a")?;
    let left = host.ok("cd /var/lib/left4me/runtime/a && find upper -mindepth 1; ls -d work 2>/dev/null || true")?;
    ensure!(left.is_empty(), "reset left {left}");
    ensure!(host.ok("cat /var/lib/left4me/instances/a/rcon_password")? == password, "the password changed");
    host.l4_ok("start a")?;
    host.ok("chmod 0 /var/lib/left4me/runtime/a")?;
    host.l4_ok("delete a")?;
    let left = host.ok("find /var/lib/left4me/instances /var/lib/left4me/runtime /var/lib/left4me/tmp -mindepth 1")?;
    ensure!(left.is_empty(), "delete left {left}");
    ensure!(host.l4_ok("delete a")?.contains("was not there"), "deleting again succeeds");
    let link = host.machine.run("ls /etc/systemd/system/multi-user.target.wants/left4me-server@a.service")?;
    ensure!(link.code != 0, "the unit is still enabled");
    Ok(())
}

pub(super) fn status(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.make("b", 27102, &[])?;
    host.l4_ok("start a")?;
    let table = host.l4_ok("status")?;
    ensure!(table.lines().count() == 3 && table.contains("a     running  27101  0/4      c1m1_hotel  yes"), "{table}");
    let pid = host.status("a", "main_pid")?;
    let comm = host.ok(&format!("cat /proc/{pid}/comm"))?;
    ensure!(comm.trim() == "srcds_linux", "main_pid {pid} is {comm}");
    ensure!(host.status("a", "result")? == "success" && host.status("a", "restarts")? == 0, "details are wrong");
    let traced = host.machine.run("sudo -u left4me l4d2ctl status --json")?;
    ensure!(traced.stdout.contains("\"main_pid\":null"), "the overview is not to ask for details");
    let missing = host.l4("status nobody --json")?;
    ensure!(missing.code == 1 && missing.stdout.contains("\"not-found\""), "{}", missing.text());
    Ok(())
}

pub(super) fn logs(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["sim_flood 60000"])?;
    // More than journald takes of a unit for which nothing is set, of which it drops the rest.
    host.l4_ok("start a")?;
    host.wait_for_line("a", "flood line 59999")?;
    let all = host.machine.ok("journalctl -u left4me-server@a.service -o cat | grep -c '^flood line'")?;
    ensure!(all.trim() == "60000", "of 60000 lines the journal has {all}");
    let lines = host.l4_ok("logs a --lines 5 --no-follow")?;
    ensure!(lines.lines().count() == 5 && lines.ends_with("flood line 59999\n"), "{lines}");
    let json = host.l4_ok("logs a --lines 2 --no-follow --json")?;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap_or_default())?;
    ensure!(first["message"] == "flood line 59998" && first["priority"] == 6 && first["time"].is_u64(), "{json}");
    let cursor = first["cursor"].as_str().unwrap_or_default().to_owned();
    let rest = host.l4_ok(&format!("logs a --no-follow --after-cursor '{cursor}'"))?;
    ensure!(rest == "flood line 59999\n", "after the cursor: {rest}");
    // A follower that is interrupted, and one whose reader goes, leave nothing behind.
    host.machine.run("sudo -u left4me timeout -s INT 1 l4d2ctl logs a >/dev/null")?;
    let piped = host.machine.run("sudo -u left4me l4d2ctl logs a | head -n 1")?;
    ensure!(piped.code == 0 && piped.stderr.is_empty(), "{}", piped.text());
    host.l4_ok("stop a")?;
    host.machine.wait_until("! pgrep -x journalctl", std::time::Duration::from_secs(10)).map(drop)
}

pub(super) fn sandbox(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.make("b", 27102, &[])?;
    host.l4_ok("start a")?;
    host.l4_ok("start b")?;
    // The game says so only if it could open the library in its own namespace.
    host.wait_for_line("a", "Connection to Steam servers successful")?;
    let pid = host.status("a", "main_pid")?;
    let inside = |path: &str| format!("nsenter -m -t {pid} ls {path}");
    let root = host.ok(&inside("/var/lib/left4me"))?;
    ensure!(root.split_whitespace().collect::<Vec<_>>() == ["instances", "runtime"], "the game sees {root}");
    for (path, expected) in [
        ("/var/lib/left4me/runtime", "a"),
        ("/var/lib/left4me/runtime/a", "merged"),
        ("/var/lib/left4me/instances/a", "staged"),
    ] {
        let seen = host.ok(&inside(path))?;
        ensure!(seen.trim() == expected, "in {path} the game sees {seen}");
    }
    let staged = host.machine.run(&format!(
        "nsenter -m -t {pid} setpriv --reuid left4me --clear-groups touch /var/lib/left4me/instances/a/staged/x"
    ))?;
    ensure!(staged.code != 0, "the game can write its plan");
    Ok(())
}

pub(super) fn unit_is_sound(host: &mut Host) -> Result<()> {
    let verify = host.machine.run("systemd-analyze verify left4me-server@x.service 2>&1")?;
    ensure!(verify.code == 0 && verify.stdout.is_empty(), "systemd-analyze verify: {}", verify.text());
    let security = host.ok("systemd-analyze security --no-pager left4me-server@x.service")?;
    let level = security.lines().find_map(|line| {
        line.split_once("exposure level for left4me-server@x.service: ")?.1.split(' ').next()?.parse::<f32>().ok()
    });
    ensure!(level.is_some_and(|level| level <= 1.5), "exposure is {level:?}:\n{security}");
    Ok(())
}
