//! What a server, or the service user, leaves where root's steps and the library come by: odd files, deep trees, full
//! ones, and a log that is none. Each command works, or says what is in its way; none takes long.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::Host;
use crate::machine::Answer;

/// No command may hang. Removing 100 000 files is work and no hang, and takes long on a busy machine.
const SECONDS: u64 = 60;

/// Put by the service user where root makes the kernel's work directory.
const WORK: &[(&str, &str)] = &[
    ("a link", "ln -s /srv/canary work"),
    ("a FIFO", "mkfifo work"),
    ("a file", "echo x > work"),
    ("a closed directory", "mkdir -p work/a/b && chmod 0 work/a work"),
    ("100 000 files", "mkdir work && cd work && seq 100000 | xargs touch"),
    ("1 000 levels", "mkdir -p $(printf 'd/%.0s' $(seq 1000)) && mv d work"),
    ("a directory of links", "mkdir -p work/index && ln -s /srv/canary work/index/a && ln -s /srv/canary work/a"),
];

/// What the game may leave in its upper.
const UPPER: &[(&str, &str)] = &[
    ("1 000 levels", "mkdir -p $(printf 'd/%.0s' $(seq 1000))"),
    ("odd names", "touch \"$(printf '\\377\\376\\n\\033[2J')\" -- -rf \"$(printf %0255d 0)\" '*' ' '"),
    ("a hole of 1 TiB", "truncate -s 1T huge"),
    ("a hard link to another instance's file", "ln /var/lib/left4me/instances/b/rcon_password left4dead2"),
    ("closed directories", "mkdir -p left4dead2/cfg/a && chmod 0 left4dead2/cfg/a left4dead2/cfg left4dead2 ."),
];

pub(super) fn odd_trees(host: &mut Host) -> Result<()> {
    host.ok("mkdir -p /srv/canary/cfg && echo kept > /srv/canary/kept && chown -R left4me: /srv/canary")?;
    host.make("a", 27101, &[])?;
    host.make("b", 27102, &[])?;
    let password = host.ok("cat /var/lib/left4me/instances/b/rcon_password")?;
    for (what, plant) in WORK {
        for inside in ["", "mkdir work && cd work && "] {
            plant_in(host, "", &format!("{inside}{plant}"))?;
            works(host, what, "start a")?;
            host.expect_state("a", "running")?;
            works(host, what, "reset a")?;
        }
    }
    for (number, (what, plant)) in UPPER.iter().enumerate() {
        plant_in(host, "upper", plant)?;
        works(host, what, "start a")?;
        works(host, what, if number % 2 == 0 { "reset a" } else { "delete a" })?;
        host.make("a", 27101, &[])?;
    }
    let left = host.ok("find /srv/canary -printf '%P %u %m\\n' | sort; cat /srv/canary/kept")?;
    ensure!(left == " left4me 755\ncfg left4me 755\nkept left4me 644\nkept\n", "the canary is {left}");
    ensure!(host.ok("cat /var/lib/left4me/instances/b/rcon_password")? == password, "b's password changed");
    host.ok("rm -r /srv/canary").map(drop)
}

fn plant_in(host: &mut Host, dir: &str, script: &str) -> Result<()> {
    // Without a link in $PWD, whose length the shell would look after.
    host.ok(&format!(
        "cd /var/lib/left4me/runtime/a/{dir} && sudo -u left4me sh -c '{}'",
        script.replace('\'', "'\\''")
    ))
    .map(drop)
}

fn timed(host: &mut Host, what: &str, command: &str) -> Result<Answer> {
    let begun = Instant::now();
    let answer = host.l4(command)?;
    let took = begun.elapsed().as_secs();
    ensure!(took < SECONDS, "{what}: {command} took {took} s");
    let named = answer.code == 0 || answer.stderr.contains("runtime/a") && answer.stderr.contains("error:");
    ensure!(named, "{what}: {command}: {}", answer.text());
    Ok(answer)
}

fn works(host: &mut Host, what: &str, command: &str) -> Result<()> {
    let answer = timed(host, what, command)?;
    ensure!(answer.code == 0, "{what}: {command}: {}", answer.text());
    Ok(())
}

/// Every shape of file where the helper and the launcher read: what is staged is replaced by a start, so it is swapped
/// afterwards, and a restart meets it.
pub(super) fn odd_plans(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.make("b", 27102, &[])?;
    host.l4_ok("start a")?;
    for file in ["layers", "launch"] {
        let shapes = [
            "head -c 64M /dev/urandom",
            "yes overlay a | head -c 64M",
            "head -c 64M /dev/zero | tr '\\0' x",
            "printf installation",
            "printf 'overlay ../../etc\\ninstallation\\n'",
            "true",
        ];
        let written = shapes.map(|shape| format!("{shape} > {file}"));
        let others = ["truncate -s 1T F", "mkfifo F", "mkdir F", "ln -s /etc/shadow F", "mknod F c 0 0", "true"];
        for plant in written.into_iter().chain(others.map(|other| other.replace('F', file))) {
            host.ok(&format!(
                "cd /var/lib/left4me/instances/a/staged && mv {file} ../kept && sudo -u left4me sh -c \"{plant}\""
            ))?;
            let begun = Instant::now();
            let table = host.l4_ok("status")?;
            let restarted = host.machine.run("systemctl stop left4me-server@a; systemctl start left4me-server@a")?;
            let took = begun.elapsed().as_secs();
            host.ok("systemctl stop left4me-server@a; systemctl reset-failed left4me-server@a 2>/dev/null; true")?;
            host.ok(&format!("cd /var/lib/left4me/instances/a/staged && rm -rf {file} && mv ../kept {file}"))?;
            ensure!(table.contains("\nb "), "{plant}: {table}");
            // A launcher that refuses has been executed, so the start itself succeeds.
            ensure!(file == "launch" || restarted.code != 0, "{plant}: it started");
            ensure!(took < SECONDS, "{plant}: status and restart took {took} s");
            ensure!(host.mounts()? == 0, "{plant}: a mount is left");
        }
    }
    let log = host.ok("journalctl -q -b -o cat -u left4me-server@a | grep -v SIMULATED")?;
    ensure!(
        !log.contains("root:") && log.lines().all(|line| line.len() < 500),
        "what was refused is in the log:\n{log}"
    );
    let panics = host.machine.run("journalctl -q -b -o cat | grep -F panicked")?;
    ensure!(panics.code != 0, "{}", panics.stdout);
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

/// 64 MiB without a newline, NULs, and escape sequences, through journald.
pub(super) fn odd_log(host: &mut Host) -> Result<()> {
    let dir = "/var/lib/left4me/overlays/attack/log";
    host.ok(&format!(
        "mkdir -p {dir} && cat > {dir}/srcds_run <<'END'\n#!/bin/sh\nhead -c 64M /dev/zero | tr '\\0' x\nhead -c 1M /dev/zero\n\
         printf '\\n\\033]0;title\\007\\033[2J\\nlast\\n'\nexec sleep 1000\nEND\n\
         chmod 755 {dir}/srcds_run && chown -R left4me: /var/lib/left4me/overlays/attack"
    ))?;
    host.initialize("a", "port: 27101\noverlays: [attack/log]\n")?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "last")?;
    let begun = Instant::now();
    let on_terminal =
        host.ok("SHELL=/bin/sh script -qec 'sudo -u left4me l4d2ctl logs a --lines 20 --no-follow' /dev/null")?;
    ensure!(begun.elapsed().as_secs() < SECONDS, "the log took {:?}", begun.elapsed());
    let harmless = !on_terminal.contains("\x1b]0;") && !on_terminal.contains("\x1b[2J") && !on_terminal.contains('\0');
    ensure!(harmless && on_terminal.contains("last"), "{:?}", &on_terminal[on_terminal.len().saturating_sub(300)..]);
    let pid = host.ok("systemctl show -P MainPID systemd-journald")?;
    let peak = host.ok(&format!("awk '/VmHWM/ {{ print $2 }}' /proc/{}/status", pid.trim()))?;
    ensure!(peak.trim().parse::<u64>()? < 512 << 10, "journald took {peak} KiB");
    host.l4_ok("stop a")?;
    host.ok("rm -r /var/lib/left4me/overlays/attack").map(drop)
}
