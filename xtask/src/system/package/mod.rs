//! The Debian package, on machines of its own, where nothing is installed from source.

pub(super) mod odd;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Host;
use crate::build::{copy, output_of, project, succeed};
use crate::deb;
use crate::machine::{BIN_DIR, Container, INSTALL_GAME, linters};

/// Where the packages lie in the machine: this version, and a later one.
const PACKAGE: &str = "/opt/left4me.deb";
const LATER: &str = "/opt/left4me-later.deb";

/// What the later version's unit has and this one's has not.
const MARK: &str = "Environment=LEFT4ME_TEST=later";

/// A machine with the packages, and neither of them installed.
fn boot() -> Result<Container> {
    let machine = Container::boot()?;
    let package = deb::package()?;
    copy(&package, &machine.tree().join(&PACKAGE[1..]))?;
    make_later(&package, &machine.tree().join(&LATER[1..]))?;
    Ok(machine)
}

/// The same package with a higher version and another unit.
fn make_later(package: &Path, later: &Path) -> Result<()> {
    let tree = later.with_extension("tree");
    let edit = format!(
        "dpkg-deb -R \"$1\" \"$2\" && sed -i 's/^Version: .*/&+later/' \"$2/DEBIAN/control\" && \
         sed -i 's/^\\[Service\\]$/&\\n{MARK}/' \"$2/usr/lib/systemd/system/left4me-server@.service\" && \
         dpkg-deb --root-owner-group -Znone -b \"$2\" \"$3\" >/dev/null && rm -r \"$2\""
    );
    succeed(Command::new("sh").args(["-ec", &edit, "sh"]).args([package, &tree, later]))
}

/// What lies in the package: each path with mode, owner and group. A change of it is a decision, to be made there.
const CONTENTS: &str = include_str!("../../../../dist/debian/contents");

pub(super) fn contents(_: &mut Host) -> Result<()> {
    let package = deb::package()?;
    let listed = output_of(Command::new("dpkg-deb").arg("--contents").arg(&package))?;
    let mut found: Vec<String> = Vec::new();
    for line in listed.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(mode), Some(owner), Some(path)) = (fields.first(), fields.get(1), fields.get(5)) else {
            bail!("not a line of dpkg-deb: {line}");
        };
        found.push(format!("{mode} {owner} {path}"));
    }
    found.sort_by(|a, b| a.rsplit(' ').next().cmp(&b.rsplit(' ').next()));
    let expected: Vec<&str> = CONTENTS.lines().collect();
    let only = |of: &[&str], other: &[&str], mark: &str| -> String {
        of.iter().filter(|line| !other.contains(line)).map(|line| format!("\n{mark} {line}")).collect()
    };
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    ensure!(
        found == expected,
        "other files than dist/debian/contents says:{}{}",
        only(&expected, &found, "-"),
        only(&found, &expected, "+")
    );
    copyright(&package)?;
    again(&package)
}

/// It names what is linked into its programs.
fn copyright(package: &Path) -> Result<()> {
    let read = "dpkg-deb --fsys-tarfile \"$0\" | tar -xO ./usr/share/doc/left4me/copyright";
    let said = output_of(Command::new("sh").args(["-ec", read]).arg(package))?;
    ensure!(said.contains("\nFiles: vendor/rustix-") && !said.contains("vendor/jsonschema-"), "{said}");
    ensure!(said == deb::copyright::copyright()?, "it is not what was written for it");
    Ok(())
}

/// The same commit gives the same bytes.
fn again(package: &Path) -> Result<()> {
    let first = std::fs::read(package)?;
    deb::build()?;
    ensure!(std::fs::read(package)? == first, "a second build gave other bytes");
    Ok(())
}

/// Debian's own tools: what they call an error, or a warning that nobody has looked at, is one.
pub(super) fn linted(_: &mut Host) -> Result<()> {
    let tree = linters()?;
    let inside = tree.join("tmp").join(format!("package-{}", std::process::id()));
    std::fs::create_dir_all(&inside)?;
    let linted = lint(&tree, &inside);
    std::fs::remove_dir_all(&inside)?;
    linted
}

fn lint(tree: &Path, inside: &Path) -> Result<()> {
    copy(&deb::package()?, &inside.join("left4me.deb"))?;
    for script in ["postinst", "prerm", "postrm"] {
        copy(&project().join("dist/debian").join(script), &inside.join(script))?;
    }
    let dir = Path::new("/").join(inside.strip_prefix(tree)?);
    for command in [
        "shellcheck --shell=dash postinst prerm postrm",
        "lintian --allow-root --fail-on error,warning --display-info left4me.deb",
    ] {
        let mut chroot = Command::new("/usr/sbin/chroot");
        chroot.arg(tree).args(["sh", "-c", &format!("cd \"$0\" && exec {command}")]).arg(&dir);
        let output =
            chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().context("can't run chroot")?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{command}:\n{said}");
    }
    Ok(())
}

impl Host<'_> {
    fn install_game(&mut self) -> Result<()> {
        self.ok(&format!(
            "install -d -o left4me -g left4me /var/lib/left4me/steamcmd && \
             install -o left4me -g left4me {BIN_DIR}/steamcmd /var/lib/left4me/steamcmd/steamcmd && \
             sudo -u left4me {INSTALL_GAME} 2>&1"
        ))
        .map(drop)
    }

    fn unit_pid(&mut self, name: &str) -> Result<String> {
        self.ok(&format!("systemctl show -P MainPID left4me-server@{name}"))
    }
}

/// What a package's removal must have taken away, besides its files: nothing of these is there.
fn nothing_is_left(host: &mut Host) -> Result<()> {
    let links = host.ok("find /etc/systemd /run/systemd/system -name '*left4me*'")?;
    ensure!(links.is_empty(), "links are left: {links}");
    let units = host.ok("systemctl list-units --all --plain --no-legend '*left4me*' | grep -v '\\.slice' || true")?;
    ensure!(units.is_empty(), "units are left: {units}");
    ensure!(host.mounts()? == 0, "mounts are left");
    Ok(())
}

pub(super) fn life(_: &mut Host) -> Result<()> {
    let mut machine = boot()?;
    let mut host = Host { machine: &mut machine };
    let said = host.ok(&format!("dpkg -i {PACKAGE} 2>&1"))?;
    ensure!(!said.contains("left4me:"), "nothing is to be warned of: {said}");
    let enabled = host.ok("find /etc/systemd -name '*left4me*'")?;
    ensure!(enabled.is_empty(), "something is enabled: {enabled}");
    let verified = host.machine.run(
        "cd /usr/lib/systemd/system && systemd-analyze verify left4me-server@x.service left4me-update.timer left4me-game.slice 2>&1",
    )?;
    ensure!(verified.code == 0 && verified.stdout.is_empty(), "systemd-analyze verify: {}", verified.text());
    host.ok("dpkg --configure -a && dpkg-reconfigure left4me")?;

    host.install_game()?;
    for (name, port) in [("a", 27101), ("b", 27102), ("c", 27103)] {
        host.make(name, port, &["log on"])?;
    }
    host.l4_ok("start a --wait")?;
    host.l4_ok("start b --wait")?;
    let doctor = host.l4_ok("doctor")?;
    ensure!(doctor.contains("/usr/lib/systemd/system/left4me-server@.service"), "{doctor}");

    let pids = [host.unit_pid("a")?, host.unit_pid("b")?];
    host.ok(&format!("dpkg -i {LATER} 2>&1"))?;
    ensure!([host.unit_pid("a")?, host.unit_pid("b")?] == pids, "an upgrade restarted a server");
    // What the manager has loaded, and not what lies on the disk.
    let loaded = host.ok("systemctl show -P Environment left4me-server@a")?;
    ensure!(MARK.ends_with(loaded.trim()) && !loaded.trim().is_empty(), "systemd has not read the new unit: {loaded}");
    host.l4_ok("stop a")?;
    host.expect_state("a", "stopped")?;
    ensure!(host.mounts()? == 1, "the new unit did not unmount what the old one mounted");
    host.l4_ok("start a --wait")?;

    let before = host.ok("stat -c '%n %U' /var/lib/left4me/instances/*")?;
    host.ok("systemctl enable --now left4me-update.timer")?;
    let said = host.ok("dpkg -r left4me 2>&1")?;
    nothing_is_left(&mut host).context(said)?;
    let how = host.ok("journalctl -q -o cat -u left4me-server@a -u left4me-server@b -n 200")?;
    ensure!(!how.contains("SIGKILL") && !how.contains("Failed with"), "servers were killed, and not stopped: {how}");
    ensure!(host.ok("stat -c '%n %U' /var/lib/left4me/instances/*")? == before, "the data changed");

    // Its servers come back with it, when they are started again.
    host.ok(&format!("dpkg -i {PACKAGE} 2>&1"))?;
    host.expect_state("a", "stopped")?;
    host.l4_ok("start a --wait")?;

    purge_keeps(&mut host)?;
    purge_as_told(&mut host)
}

/// A purge keeps the data where nobody but root comes to it; another package's user gets the number that became free, and
/// what was kept is the service user's again after an installation, whose number is another one.
fn purge_keeps(host: &mut Host) -> Result<()> {
    let number = host.ok("id -u left4me")?;
    let tree = "cd /var/lib/left4me && find . -mindepth 1 -printf '%P %y %m %s %u %g\\n' | LC_ALL=C sort";
    host.l4_ok("stop a")?;
    let before = host.ok(tree)?;
    host.l4_ok("start b --wait")?;
    host.ok("systemd-run --uid=left4me --unit=stray -q sleep 600")?;
    let said = host.ok("dpkg -P left4me 2>&1")?;
    nothing_is_left(host).context(said.clone())?;
    ensure!(!said.contains("warning"), "{said}");
    let gone =
        host.machine.run("id left4me; getent group left4me; ls -d /run/left4me /etc/left4me /etc/sudoers.d/left4me")?;
    ensure!(gone.stdout.is_empty(), "left: {}", gone.text());
    ensure!(host.machine.run("systemctl is-active -q stray")?.code != 0, "a process of the user goes on");
    ensure!(host.ok("stat -c '%a %u %g' /var/lib/left4me")?.trim() == "700 0 0", "others can reach what was kept");

    host.ok(&format!("useradd --system --uid {} thief", number.trim()))?;
    let peek =
        host.machine.run("setpriv --reuid=thief --clear-groups cat /var/lib/left4me/instances/a/rcon_password")?;
    ensure!(peek.code != 0 && peek.stdout.is_empty(), "the next user with the number reads: {}", peek.text());
    host.ok(&format!("dpkg -i {PACKAGE} 2>&1"))?;
    ensure!(host.ok("id -u left4me")? != number, "the number was to be another");
    let after = host.ok(tree)?;
    let changed = |text: &str| {
        text.lines().filter(|line| !line.starts_with("instances/b/")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, after) = (changed(&before), changed(&after));
    let lost: Vec<_> = before.iter().filter(|line| !after.contains(line) && !line.starts_with("runtime/b")).collect();
    ensure!(lost.is_empty(), "other than before the purge: {lost:?}");
    host.l4_ok("start a --wait")?;
    host.l4_ok("stop a")?;
    host.ok("userdel thief").map(drop)
}

fn purge_as_told(host: &mut Host) -> Result<()> {
    host.l4_ok("start a --wait")?;
    // What a hostile user can leave: links out, and a path longer than any call takes.
    host.ok("mkdir -p /srv/canary && echo kept > /srv/canary/file && chown -R left4me /srv/canary")?;
    host.ok(
        "sudo -u left4me sh -c 'cd /var/lib/left4me/overlays && ln -s /srv/canary link && ln /srv/canary/file hard; \
         i=0; while test $i -lt 600; do mkdir 0123456789 && cd -P 0123456789 || exit 1; i=$((i+1)); done'",
    )?;
    host.ok("touch /etc/left4me/purge-data && mkdir -p /var/lib/left4me/overlays/disk && mount -t tmpfs none /var/lib/left4me/overlays/disk")?;
    let refused = host.machine.run("dpkg -P left4me")?;
    ensure!(refused.code != 0 && refused.stderr.contains("there are mounts below"), "{}", refused.text());
    ensure!(host.ok("ls /var/lib/left4me")?.contains("installation"), "it was refused, and done");
    host.ok("umount /var/lib/left4me/overlays/disk && dpkg -P left4me 2>&1")?;
    nothing_is_left(host)?;
    ensure!(host.machine.run("ls -d /var/lib/left4me")?.code != 0, "the data is still there");
    ensure!(host.ok("cat /srv/canary/file")? == "kept\n", "what a link led to is gone");
    ensure!(host.ok("dpkg -l | grep left4me || true")?.is_empty(), "dpkg still knows of it");
    Ok(())
}
