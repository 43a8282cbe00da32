//! The package where things are not as it would have them: beside an installation from source, half installed, with odd names
//! and links, and with a service user who is not to be trusted.

use anyhow::{Result, ensure};

use super::{LATER, PACKAGE, boot, nothing_is_left};
use crate::machine::XTASK;
use crate::system::Host;

const FROM_SOURCE: &str = "/opt/left4me-build/xtask install --bin-dir /opt/left4me-build";

/// What `doctor` says of how often left4me is installed.
fn installations(host: &mut Host, program: &str) -> Result<String> {
    let said = host.machine.run(&format!("sudo -u left4me {program} doctor --json"))?;
    let document: serde_json::Value = serde_json::from_str(&said.stdout)?;
    let checks = document["checks"].as_array().into_iter().flatten();
    let check = checks.into_iter().find(|check| check["id"] == "installations").cloned().unwrap_or_default();
    Ok(format!("{}: {} -> {}", check["state"], check["found"], check["fix"]))
}

pub(in crate::system) fn beside_source(_: &mut Host) -> Result<()> {
    let mut machine = boot()?;
    let mut host = Host { machine: &mut machine };
    host.ok(FROM_SOURCE)?;
    host.install_game()?;
    host.make("a", 27101, &[])?;
    host.l4_ok("start a --wait")?;
    let pid = host.unit_pid("a")?;
    // Without anybody to ask.
    let said = host.ok(&format!("dpkg -i {PACKAGE} 2>&1 </dev/null"))?;
    ensure!(
        said.contains("installation from source in /usr/local") && said.contains("systemd goes on to use it"),
        "{said}"
    );
    for program in ["/usr/local/bin/l4d2ctl", "/usr/bin/l4d2ctl"] {
        let told = installations(&mut host, program)?;
        ensure!(
            told.starts_with("\"missing\": \"two: from source in /usr/local") && told.contains("apt remove"),
            "{told}"
        );
        // Either works, with the unit from source.
        host.ok(&format!("sudo -u left4me {program} restart a --wait"))?;
        let unit = host.ok("systemctl show -P FragmentPath left4me-server@a")?;
        ensure!(unit.starts_with("/usr/local/"), "{unit}");
    }
    ensure!(host.unit_pid("a")? != pid, "it was to be restarted");

    // The package goes, and takes nothing from the other.
    let pid = host.unit_pid("a")?;
    host.ok("dpkg -P left4me 2>&1")?;
    ensure!(host.unit_pid("a")? == pid, "the package's removal stopped a server of the other installation");
    host.l4_ok("restart a --wait")?;
    let told = installations(&mut host, "l4d2ctl")?;
    ensure!(told.starts_with("\"ok\": \"one, in /usr/local\""), "{told}");
    host.ok("visudo --check --quiet && test -e /etc/left4me/root")?;

    // The other way round.
    host.ok(&format!("dpkg -i {PACKAGE} 2>&1"))?;
    host.l4_ok("stop a")?;
    host.ok(&format!("{XTASK} uninstall"))?;
    let told = installations(&mut host, "l4d2ctl")?;
    ensure!(told.starts_with("\"ok\": \"one, in /usr\""), "{told}");
    host.l4_ok("start a --wait")?;
    let told = host.ok(&format!("{FROM_SOURCE} | tail -n 2"))?;
    ensure!(told.contains("left4me's package is installed, too"), "{told}");
    let refused = host.machine.run(&format!("{FROM_SOURCE} --prefix /usr"))?;
    ensure!(refused.code == 1 && refused.stderr.contains("apt remove left4me"), "{}", refused.text());
    Ok(())
}

pub(in crate::system) fn odd_states(_: &mut Host) -> Result<()> {
    let mut machine = boot()?;
    let mut host = Host { machine: &mut machine };
    // Half installed, and taken away from there; configured twice.
    host.ok(&format!("dpkg --unpack {PACKAGE} && dpkg -r left4me 2>&1"))?;
    host.ok(&format!("dpkg --unpack {PACKAGE} && dpkg --configure left4me && rm /etc/left4me/root"))?;
    host.ok(&format!(
        "dpkg -i {PACKAGE} && /var/lib/dpkg/info/left4me.postinst configure && test -s /etc/left4me/root"
    ))?;
    // A configure that failed leaves what the next one can go on with.
    host.ok("mv /usr/bin/systemd-sysusers /usr/bin/systemd-sysusers.away")?;
    let failed = host.machine.run(&format!("dpkg -i {LATER}"))?;
    host.ok("mv /usr/bin/systemd-sysusers.away /usr/bin/systemd-sysusers")?;
    ensure!(failed.code != 0, "{}", failed.text());
    host.ok("dpkg --configure -a")?;

    host.install_game()?;
    for (name, port) in [("a", 27101), ("b", 27102), ("slow", 27103)] {
        host.make(name, port, &[])?;
        host.l4_ok(&format!("start {name} --wait"))?;
    }
    // The unpacking of a newer version that fails half way, as on a full disk: the old one goes on, and so do its servers.
    let pid = host.unit_pid("a")?;
    host.ok(&format!("head -c $(( $(stat -c %s {LATER}) - 100000 )) {LATER} >/opt/broken.deb"))?;
    let broken = host.machine.run("dpkg -i /opt/broken.deb")?;
    ensure!(broken.code != 0 && host.unit_pid("a")? == pid, "{}", broken.text());
    host.l4_ok("restart b --wait")?;

    // The directory of the admin's own, which the units know nothing of.
    host.ok("echo /srv/l4d2 >/etc/left4me/root")?;
    let said = host.ok(&format!("dpkg -i {LATER} 2>&1"))?;
    ensure!(said.contains("/etc/left4me/root names /srv/l4d2"), "{said}");
    ensure!(host.ok("cat /etc/left4me/root")?.trim() == "/srv/l4d2", "the admin's change is gone");
    host.ok("install -d -o left4me -g left4me /srv/l4d2")?;
    let doctor = host.machine.run("sudo -u left4me l4d2ctl doctor")?;
    ensure!(
        doctor.code == 1 && doctor.stdout.contains("is for /var/lib/left4me, and /etc/left4me/root names"),
        "{}",
        doctor.text()
    );
    host.ok("echo /var/lib/left4me >/etc/left4me/root")?;

    // One of a name that no helper takes, one that can't listen to signals, a link where a directory is to be.
    host.ok("systemctl start 'left4me-server@Odd\\x2dOne.service' || true; ln -s ../nowhere /etc/systemd/system/multi-user.target.wants/'left4me-server@Odd\\x2dTwo.service'")?;
    host.ok("kill -STOP $(systemctl show -P MainPID left4me-server@slow) && sudo -u left4me sh -c 'cd /var/lib/left4me && rm -rf tmp && ln -s /etc tmp'")?;
    let said = host.ok(&format!("dpkg -i {PACKAGE} 2>&1"))?;
    ensure!(said.contains("is not a directory") && host.ok("stat -c %U /etc")?.trim() == "root", "{said}");
    let begin = std::time::Instant::now();
    host.ok("dpkg -r left4me 2>&1")?;
    ensure!(begin.elapsed().as_secs() < 40, "a stop of all takes as long as the longest: {:?}", begin.elapsed());
    nothing_is_left(&mut host)?;

    // The data on a disk of its own, to which a link leads: of that no file goes.
    host.ok("mv /var/lib/left4me /srv/data && ln -s /srv/data /var/lib/left4me && touch /etc/left4me/purge-data")?;
    let said = host.ok("dpkg -P left4me 2>&1")?;
    ensure!(said.contains("is a link") && host.ok("ls /srv/data")?.contains("installation"), "{said}");
    ensure!(host.machine.run("ls -d /var/lib/left4me; id left4me")?.stdout.is_empty(), "the link or the user is left");
    // And the same directory as a mount: what it holds goes, the mount stays. A user of a person's stays, too.
    host.ok("useradd --uid 1234 left4me && mkdir /var/lib/left4me && mount --bind /srv/data /var/lib/left4me")?;
    host.ok(&format!("chown -R left4me:left4me /srv/data && dpkg -i {PACKAGE} 2>&1 && touch /etc/left4me/purge-data"))?;
    let said = host.ok("dpkg -P left4me 2>&1")?;
    ensure!(said.contains("it stays") && said.contains("is a mount, now empty"), "{said}");
    ensure!(
        host.ok("ls -A /srv/data; id -u left4me")?.trim() == "1234",
        "something is left, or the person's user is gone"
    );
    host.ok("umount /var/lib/left4me").map(drop)
}
