//! Mistakes of others that gave somebody root, each tried here: the class is the test's name, and above it stands the public
//! identifier of a case. `docs/security.md` has the whole table.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Host;
use crate::machine::{BIN_DIR, XTASK};

const ROOT: &str = "/var/lib/left4me";
const HELPERS: &str = "/usr/local/libexec/left4me";

/// Owner, mode, size and time of all that nobody but root may change.
const STATE_OF_ETC: &str = "find /etc /usr/local /srv /root -xdev -printf '%p %u %m %s %T@\\n' | sort | sha256sum";

/// CVE-2024-27102: what was checked was not what was used. systemd binds by path after the mount was made; here somebody wins
/// that race every time, and what he put there belongs to root.
pub(super) fn swapped_after_the_check(host: &mut Host) -> Result<()> {
    // Closed to all but root, but for who is led into it.
    host.ok("mkdir -m 700 /srv/secret && mkdir /srv/secret/inner && cd /srv/secret/inner && echo SECRET > launch && \
             printf '#!/bin/sh\\necho SECRET\\nexec sleep 60\\n' > srcds_run && chmod 755 . srcds_run")?;
    host.make("a", 27101, &[])?;
    // The mount point itself can only be moved where the mount is not seen.
    let older = host.older_namespace()?;
    for (what, namespace) in [("instances/a/staged", 1), ("runtime/a/merged", older)] {
        let swap =
            format!("mv {ROOT}/{what} {ROOT}/tmp/aside && ln -s /srv/secret/inner {ROOT}/{what} && touch /tmp/swapped");
        // A step of the unit only says when: its own root shows neither this directory nor other processes.
        host.ok(&format!(
            "rm -rf /tmp/swapped /usr/local/swap && mkdir /usr/local/swap && cd /usr/local/swap && mkfifo now done || exit 1; \
             nsenter -m -t {namespace} sh -c 'read x < /usr/local/swap/now; {swap}; echo > /usr/local/swap/done' >/dev/null 2>&1 & \
             echo 'echo > /usr/local/swap/now; read x < /usr/local/swap/done' > /usr/local/swap/step; \
             d=/run/systemd/system/left4me-server@a.service.d; mkdir -p $d && \
             printf '[Service]\\nRestart=no\\nExecStartPre=+/bin/sh /usr/local/swap/step\\n' > $d/swap.conf && systemctl daemon-reload"
        ))?;
        // A start that succeeds and one that fails are both no answer: the launcher's refusal is.
        let started = host.l4("start a")?;
        let refused = host.machine.wait_until(
            "journalctl -q -u left4me-server@a -o cat | grep -F \"is not the service user's own\"",
            Duration::from_secs(20),
        );
        let log = host.ok("journalctl -q -u left4me-server@a -o cat")?;
        host.machine
            .run(&format!("systemctl stop left4me-server@a; rm {ROOT}/{what}; mv {ROOT}/tmp/aside {ROOT}/{what}"))?;
        host.ok("test -e /tmp/swapped; rm -r /run/systemd/system/left4me-server@a.service.d; systemctl daemon-reload")?;
        ensure!(
            refused.is_ok() && !log.contains("SECRET") && !log.contains("SIMULATED"),
            "{what}: {}\n{log}",
            started.text()
        );
        host.ok("journalctl -q --rotate --vacuum-time=1s >/dev/null 2>&1")?;
    }
    host.ok(&format!("kill {older}; rm -r /srv/secret /usr/local/swap /tmp/swapped"))?;
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

/// CVE-2024-34066: a call that was there to push settings wrote any file. Ours take names and read.
pub(super) fn no_verb_writes_a_setting(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    let before = host.ok(STATE_OF_ETC)?;
    for verb in [
        "edit",
        "set-property",
        "link",
        "mask",
        "unmask",
        "preset",
        "revert",
        "set-environment",
        "import-environment",
        "daemon-reload",
        "bind",
        "mount-image",
        "write",
        "config",
        "cat",
        "kill",
        "start",
        "stop",
        "isolate",
    ] {
        for helper in ["left4me-systemctl", "left4me-overlay", "left4me-journalctl"] {
            for args in ["a", "a MemoryMax=infinity", "/etc/passwd", "--runtime a", "a /etc/shadow"] {
                let answer = host.machine.run(&format!("{HELPERS}/{helper} {verb} {args} < /etc/hostname"))?;
                ensure!(answer.code == 2, "{helper} {verb} {args}: {}", answer.text());
            }
        }
    }
    ensure!(host.ok(STATE_OF_ETC)? == before, "something below /etc or /usr/local changed");
    Ok(())
}

/// CVE-2021-47949: a panel that was root moved files through links. Here sudo gives two programs and no file to anybody.
pub(super) fn sudo_gives_no_file(host: &mut Host) -> Result<()> {
    let listed = host.ok("sudo -u left4me sudo -n -l")?;
    let may: Vec<&str> = listed.lines().filter_map(|line| line.trim().strip_prefix("(root) NOPASSWD: ")).collect();
    ensure!(
        may == [format!("{HELPERS}/left4me-systemctl, {HELPERS}/left4me-journalctl")],
        "the service user may do more, or less: {listed}"
    );
    for command in [
        "cat /etc/shadow",
        "cp /etc/shadow /tmp/x",
        "chown left4me /etc/shadow",
        "sh",
        "-s",
        "-e /etc/shadow",
        &format!("{HELPERS}/left4me-overlay mount a"),
        &format!("{HELPERS}/../left4me/left4me-overlay mount a"),
        &format!("-u left4me -g root {HELPERS}/left4me-systemctl show a"),
        &format!("-E LD_PRELOAD=/tmp/x {HELPERS}/left4me-systemctl show a"),
        &format!("-D / {HELPERS}/left4me-systemctl show a"),
        &format!("-R {ROOT} {HELPERS}/left4me-systemctl show a"),
        &format!("-C 9 {HELPERS}/left4me-systemctl show a"),
    ] {
        let answer = host.machine.run(&format!("cd / && sudo -u left4me sudo -n {command}"))?;
        ensure!(answer.code == 1, "sudo {command}: {}", answer.text());
    }
    Ok(())
}

/// CVE-2021-32699: no limit of processes, and a fork bomb took the host. "memory and tasks are limited" shows that a limit
/// holds; this, that every unit and slice has one.
pub(super) fn everything_has_a_limit_of_tasks(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.l4_ok("start a")?;
    let installed = host.ok("cd /usr/local/lib/systemd/system && ls")?;
    // The fourth is a timer, which runs nothing of its own.
    ensure!(installed.lines().count() == 4, "another unit: does it have a limit? {installed}");
    let limits =
        [("left4me-server@a.service", 256), ("left4me-update.service", 256), ("left4me-game.slice", 4_194_304 / 2)];
    for (unit, most) in limits {
        let limit = host.ok(&format!("systemctl show -P TasksMax {unit}"))?;
        ensure!(limit.trim().parse::<u64>().is_ok_and(|limit| limit <= most), "{unit}: TasksMax is {limit}");
    }
    let slice = host.ok("systemctl show -P Slice left4me-server@a.service")?;
    ensure!(slice.trim() == "left4me-game.slice", "the unit is in {slice}");
    Ok(())
}

/// CVE-2023-32080: an install script ran, as root, what a user had typed. Here it goes through the spec, the plan, the unit,
/// the launcher and a shell script, and comes out as it went in.
pub(super) fn typed_text_is_text(host: &mut Host) -> Result<()> {
    let typed = "$(touch /tmp/ran)`touch /tmp/ran`;touch${IFS}/tmp/ran|%i%n%H%%\\x24(id)'&&touch /tmp/ran";
    let spec = format!(
        "port: 27101\noverlays: [test/base]\narguments: [\"+hostname\", '{0}']\nconfig: ['{0}']\n",
        typed.replace('\'', "''")
    );
    host.initialize("a", &spec)?;
    host.l4_ok("start a")?;
    host.wait_for_line("a", "Server is hibernating")?;
    let pid = host.status("a", "main_pid")?;
    let got = host.ok(&format!("tr '\\0' '\\n' < /proc/{pid}/cmdline"))?;
    ensure!(got.lines().any(|argument| argument == typed), "the game was given {got}");
    let cfg = host.ok(&format!("cat {ROOT}/runtime/a/upper/left4dead2/cfg/server.cfg"))?;
    ensure!(cfg.lines().any(|line| line == typed), "{cfg}");
    let ran = host.machine.run(&format!("ls /tmp/ran /proc/{pid}/root/tmp/ran 2>/dev/null"))?;
    ensure!(ran.stdout.is_empty(), "what was typed ran: {}", ran.stdout);
    host.l4_ok("stop a")?;
    // A name is all that a unit is given, and nothing of these is one.
    for name in ["%i", "$(touch /tmp/ran)", "a%n", "a\\x20b", "a;b", "a b", "a\nb", "`id`"] {
        let answer = host.machine.run(&format!("sudo -u left4me l4d2ctl start '{name}'"))?;
        ensure!(answer.code == 2, "{name}: {}", answer.text());
    }
    Ok(())
}

/// left4me's predecessors took the word of a file that the service user could write. `/etc/left4me/root`, which widens what
/// root does, is root's alone, as is the way to it (Wings 1.0.0-rc.7 let such a setting be written from outside).
pub(super) fn only_root_widens(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.ok("mkdir -p /srv/other/runtime && chown -R left4me: /srv/other && cp -p /etc/left4me/root /tmp/root")?;
    for (widen, undo) in [
        ("chown left4me /etc/left4me/root", "chown root /etc/left4me/root"),
        ("chmod 666 /etc/left4me/root", "chmod 644 /etc/left4me/root"),
        ("chmod 777 /etc/left4me", "chmod 755 /etc/left4me"),
        ("chown left4me /etc/left4me", "chown root /etc/left4me"),
        (
            "echo /srv/other > /srv/other/root && rm /etc/left4me/root && ln -s /srv/other/root /etc/left4me/root",
            "rm /etc/left4me/root && cp -p /tmp/root /etc/left4me/root",
        ),
        ("mv /etc/left4me /tmp/kept && ln -s /srv/other /etc/left4me", "rm /etc/left4me && mv /tmp/kept /etc/left4me"),
    ] {
        host.ok(widen)?;
        let answers =
            ["mount a", "umount a"].map(|verb| host.machine.run(&format!("{HELPERS}/left4me-overlay {verb}")));
        host.ok(undo)?;
        for answer in answers {
            let answer = answer?;
            ensure!(answer.code == 1 && answer.stderr.contains("not root's alone"), "{widen}: {}", answer.text());
        }
    }
    // And no word of the service user's own files or environment counts.
    let files = ["instances/a/env", "instances/a/instance.env", ".env", ".profile", ".bashrc"];
    for file in files {
        host.ok(&format!("printf 'LEFT4ME_ROOT=/srv/other\\nLD_PRELOAD=/srv/other/x.so\\n' > {ROOT}/{file} && chown left4me: {ROOT}/{file}"))?;
    }
    host.ok("sudo -u left4me LEFT4ME_OVERLAY_PRINT_ONLY=1 l4d2ctl start a")?;
    let pid = host.status("a", "main_pid")?;
    let environment = host.ok(&format!("tr '\\0' '\\n' < /proc/{pid}/environ"))?;
    ensure!(!environment.contains("/srv/other") && host.mounts()? == 1, "{environment}");
    let other = host.ok("find /srv/other -mindepth 2")?;
    ensure!(other.is_empty(), "root worked in {other}");
    host.ok(&format!("cd {ROOT} && rm -r {} /srv/other /tmp/root", files.join(" "))).map(drop)
}

/// CVE-2025-49132: a locale that nobody had checked became code. The caller's names a directory of FIFOs here: who opens one
/// hangs.
pub(super) fn the_locale_reaches_nothing(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.l4_ok("start a")?;
    host.ok("d=/srv/locale/evil; mkdir -p $d/LC_MESSAGES && cd $d && mkfifo LC_MESSAGES/SYS_LC_MESSAGES && \
             for c in CTYPE NUMERIC TIME COLLATE MONETARY PAPER NAME ADDRESS TELEPHONE MEASUREMENT IDENTIFICATION; do mkfifo LC_$c; done; \
             chmod -R a+rwX /srv/locale")?;
    let tricks = "LOCPATH=/srv/locale LANG=evil LC_ALL=evil LANGUAGE=../../../../srv/locale/evil NLSPATH=/srv/locale/%L \
                  TEXTDOMAINDIR=/srv/locale GCONV_PATH=/srv/locale";
    let trap = host.machine.run(&format!("timeout 2 env {tricks} sort < /dev/null"))?;
    ensure!(trap.code == 124, "the trap is none: sort does not hang: {}", trap.text());
    for command in ["left4me-systemctl show a", "left4me-overlay mount a", "left4me-journalctl a --lines 1 --no-follow"]
    {
        let answer = host.machine.run(&format!("timeout 20 env {tricks} {HELPERS}/{command} > /dev/null"))?;
        ensure!(answer.code == 0, "{command}: {}", answer.text());
    }
    for command in ["status", "status a", "logs a --no-follow", "stop a", "start a", "doctor"] {
        // sudo itself minds the locale, and lets none through that has a slash.
        let answer = host.machine.run(&format!(
            "setpriv --reuid left4me --regid left4me --clear-groups timeout 60 env HOME={ROOT} {tricks} l4d2ctl {command}"
        ))?;
        ensure!(answer.code == 0, "{command}: {}", answer.text());
    }
    host.ok("rm -r /srv/locale").map(drop)
}

/// CVE-2026-61609: one key for all, and whoever held it locked the others out. Root's locks are one an instance, in a
/// directory that nobody else can enter.
pub(super) fn nobody_makes_root_wait(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    host.make("b", 27102, &[])?;
    host.l4_ok("start a")?;
    for place in ["/run/left4me/.locks", "/run/left4me/.locks/a", "/run/left4me/a", "/run/left4me"] {
        let held = host.machine.run(&format!("sudo -u left4me flock --exclusive --nonblock {place} true"))?;
        let writes = host.machine.run(&format!("sudo -u left4me sh -c ': >> {place}'"))?;
        ensure!(writes.code != 0, "the service user can write to {place}");
        // What all may read all may lock, and root locks none of these.
        ensure!(held.code != 0 || !place.contains(".locks"), "the service user can lock {place}");
    }
    // One who holds the lock of one instance keeps nobody from another.
    host.ok("flock --exclusive /run/left4me/.locks/a sleep 300 >/dev/null 2>&1 & echo $! > /tmp/holder; \
             until ! flock --nonblock /run/left4me/.locks/a true; do :; done")?;
    let other = host.machine.run("timeout 20 sudo -u left4me l4d2ctl start b");
    host.ok("pkill -P $(cat /tmp/holder); rm /tmp/holder")?;
    let other = other?;
    ensure!(other.code == 0, "{}", other.text());
    Ok(())
}

/// CVE-2021-47949, CVE-2023-25152: root worked in a tree whose owner had planted links. systemd-tmpfiles runs as root at each
/// boot and install, over a directory that is the service user's.
pub(super) fn planted_in_the_root_directory(host: &mut Host) -> Result<()> {
    host.ok("mkdir -p -m 700 /srv/canary/deep && echo kept > /srv/canary/file")?;
    host.ok(&format!("mkdir -m 700 /root/kept && mv {ROOT}/* /root/kept/"))?;
    let canary = "stat -c '%n %U %a' /srv/canary /srv/canary/* /etc /etc/shadow /root; ls /root /srv/canary; cat /srv/canary/file";
    let before = host.ok(canary)?;
    for target in ["/srv/canary", "/etc", "/etc/shadow", "/root/new", "../../../srv/canary", "tmp", "/proc/1/root"] {
        for name in ["installation", "generations", "manifests", "overlays", "instances", "runtime", "tmp", "locks"] {
            host.ok(&format!("sudo -u left4me ln -sfn {target} {ROOT}/{name}"))?;
        }
        let created = host.machine.run("systemd-tmpfiles --create left4me.conf")?;
        ensure!(created.stderr.contains("not a directory"), "{target}: {}", created.text());
        let installed = host.machine.run(&format!("{XTASK} install --bin-dir {BIN_DIR}"))?;
        ensure!(installed.code == 0, "{target}: {}", installed.text());
        // As root too, a command becomes the service user first, and follows no link then.
        let status = host.machine.run("l4d2ctl status")?;
        ensure!(status.code == 1, "{target}: {}", status.text());
    }
    let after = host.ok(canary)?;
    ensure!(after == before, "before:\n{before}after:\n{after}");
    host.ok(&format!("rm {ROOT}/* && mv /root/kept/* {ROOT}/ && rmdir /root/kept && rm -r /srv/canary")).map(drop)
}

/// GHSA-rhq6-9rgh-v45c and all that end with a file of root's in another's hand: the installer's own directories, whatever the
/// umask; and a place below somebody else's directory is none.
pub(super) fn only_root_changes_what_is_installed(host: &mut Host) -> Result<()> {
    let others = format!(
        "find /usr/local/bin/l4d2ctl {HELPERS} /usr/local/lib/systemd /usr/local/lib/sysusers.d /usr/local/lib/tmpfiles.d \
         /usr/local/share/bash-completion /usr/local/share/zsh /etc/fish/completions /usr/local/share/man/man5 \
         /etc/left4me /etc/sudoers.d/left4me-local \\( -perm /022 -o ! -user root -o ! -group root \\)"
    );
    let install = format!("{XTASK} install --bin-dir {BIN_DIR}");
    for umask in ["0", "077"] {
        host.ok("rm -r /usr/local/libexec /usr/local/lib/systemd /usr/local/lib/tmpfiles.d /usr/local/lib/sysusers.d /etc/left4me")?;
        host.ok(&format!("umask {umask} && {install}"))?;
        let found = host.ok(&others)?;
        ensure!(found.is_empty(), "with umask {umask} others can change {found}");
        host.ok(&format!("sudo -u left4me sudo -n {HELPERS}/left4me-systemctl show a"))
            .context("and all can run it")?;
    }
    for (damage, undo) in [
        ("chmod 777 /usr/local/libexec/left4me", "chmod 755 /usr/local/libexec/left4me"),
        ("chown left4me /usr/local/libexec", "chown root /usr/local/libexec"),
        ("chmod 775 /usr/local", "chmod 755 /usr/local"),
    ] {
        host.ok(damage)?;
        let answer = host.machine.run(&install)?;
        host.ok(undo)?;
        ensure!(answer.code == 1 && answer.stderr.contains("others than root"), "{damage}: {}", answer.text());
    }
    let elsewhere = host.machine.run(&format!("{install} --prefix {ROOT}/prefix"))?;
    ensure!(elsewhere.code == 1, "{}", elsewhere.text());
    // What is taken away again are the same files; what the service user put beside them, and the root directory, stay.
    let timer =
        host.machine.run("systemctl is-enabled left4me-update.timer; systemctl is-active left4me-update.timer")?;
    ensure!(timer.stdout == "disabled\ninactive\n", "nothing is enabled: {}", timer.text());
    host.ok("systemctl enable --now left4me-update.timer")?;
    host.ok(&format!("cp -a /etc/passwd /tmp/passwd && sudo -u left4me ln -s /etc/passwd {ROOT}/tmp/link"))?;
    host.ok(&format!("{XTASK} uninstall"))?;
    let left = host.machine.run(&format!(
        "ls -d {HELPERS} /etc/sudoers.d/left4me-local /etc/left4me /usr/local/bin/l4d2ctl \
             /usr/local/lib/systemd/system/left4me-* \
             $(find /usr/local/share /etc/fish -name '*l4d2ctl*' -o -name 'left4me*') /etc/systemd/system/timers.target.wants/left4me-*"
    ))?;
    ensure!(left.stdout.is_empty(), "uninstall left {}", left.stdout);
    host.ok(&format!("cmp /etc/passwd /tmp/passwd && rm {ROOT}/tmp/link /tmp/passwd"))?;
    host.ok(&install).map(drop)
}
