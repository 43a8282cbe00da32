//! Updates of the game under servers that run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Host;

const STEAMCMD: &str = "/var/lib/left4me/steamcmd/steamcmd";

/// The build that every machine begins with.
const FIRST: u64 = 9_450_001;

/// How many come after it.
const UPDATES: u64 = 20;

const SERVERS: u16 = 10;

/// Says so while it is to go on asking, and what was answered.
const ASKING: &str = "/run/updates-asking";
const ANSWERS: &str = "/run/updates-answers";
const ANSWERED: &str = "/run/updates-answered";

impl Host<'_> {
    fn update(&mut self, build: u64) -> Result<Value> {
        let env = format!("LEFT4ME_STEAMCMD={STEAMCMD} LEFT4ME_SIM_BUILD={build}");
        let said = self.ok(&format!("sudo -u left4me {env} l4d2ctl --json install | tail -n 1"))?;
        serde_json::from_str(&said).with_context(|| said)
    }

    /// Bytes that the simulation says build `to` has otherwise than `from`.
    fn changed(&mut self, from: u64, to: u64) -> Result<u64> {
        let said = self.ok(&format!("{STEAMCMD} +sim_changes {from} {to}"))?;
        let bytes = said.split_once(" has ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        bytes.with_context(|| format!("no number of bytes in {said}"))
    }

    /// Names, types, modes, targets and hashes of a tree, without what a server wrote. New directories get what the umask of
    /// whoever installs leaves them, which differs between root's shells and sudo's.
    fn fingerprint(&mut self, tree: &str) -> Result<String> {
        self.ok(&format!(
            "cd {tree} && find . -mindepth 1 \\( -path ./left4dead2/cfg -o -path ./left4dead2/logs \\) -prune -o \
             \\( -printf '%P %y %m %l ' -a \\( -type f -exec sha256sum {{}} \\; -o -printf '\\n' \\) \\) | sed 's/ d 775 / d 755 /' | LC_ALL=C sort"
        ))
    }

    fn pids(&mut self) -> Result<String> {
        let units: String = (0..SERVERS).map(|n| format!(" left4me-server@s{n}")).collect();
        self.ok(&format!("systemctl show -P MainPID{units}"))
    }
}

pub(super) fn twenty_under_ten_servers(host: &mut Host) -> Result<()> {
    for n in 0..SERVERS {
        host.make(&format!("s{n}"), 27100 + n, &["sim_rehash 500"])?;
        host.l4_ok(&format!("start s{n} --wait=60"))?;
    }
    let (pids, first) = (host.pids()?, host.fingerprint("/var/lib/left4me/runtime/s0/merged")?);
    ensure!(first.lines().count() > 20, "no tree: {first}");
    host.ok(&format!(
        "touch {ASKING}
         (while test -e {ASKING}; do sudo -u left4me l4d2ctl status --json >>{ANSWERS} 2>&1; done; touch {ANSWERED}) </dev/null >/dev/null 2>&1 &"
    ))?;
    for build in FIRST + 1..=FIRST + UPDATES {
        let installed = host.update(build)?;
        ensure!(installed["build_id"] == build && installed["changed"] == true, "{installed}");
        let (own, changed) = (installed["own_size"].as_u64().context("no size")?, host.changed(build - 1, build)?);
        // Of a chain that is full one generation is made anew, of links.
        let versions: Value = serde_json::from_str(&host.ok("cat /var/lib/left4me/versions.json")?)?;
        let newest = versions["versions"].as_array().and_then(|all| all.last()).context("no versions")?;
        let is_long = newest["generations"].as_array().is_some_and(|chain| chain.len() > 1);
        ensure!(
            build > FIRST + 1 && !is_long || own * 10 <= changed * 11,
            "build {build}: {own} bytes for {changed} that changed"
        );
    }
    host.ok(&format!("rm {ASKING}"))?;
    host.machine.wait_until(&format!("test -e {ANSWERED}"), Duration::from_secs(30))?;
    let answers = host.ok(&format!("cat {ANSWERS}"))?;
    let mut asked = 0;
    for line in answers.lines() {
        let answer: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let instances = answer["instances"].as_array().context("no instances")?;
        let silent = instances.iter().find(|instance| instance["live"]["answering"] != true);
        ensure!(instances.len() == usize::from(SERVERS) && silent.is_none(), "one did not answer: {silent:?}");
        asked += 1;
    }
    ensure!(asked >= UPDATES, "asked only {asked} times");
    ensure!(host.pids()? == pids, "a server was restarted");
    for n in 0..SERVERS {
        let seen = host.l4_ok(&format!("rcon s{n} -- sim_files"))?;
        ensure!(seen.contains(" changed 0"), "s{n} saw its files change: {seen}");
    }
    ensure!(host.fingerprint("/var/lib/left4me/runtime/s0/merged")? == first, "what s0 sees has changed");
    ensure!(host.l4_ok("verify")?.starts_with("everything is as it was installed"), "the layers changed");

    let last = FIRST + UPDATES;
    let moved = host.l4_ok("rollout --canary s3 --soak 2")?;
    for n in 0..SERVERS {
        let build = host.status(&format!("s{n}"), "build_id")?;
        ensure!(build == last, "s{n} is on {build}: {moved}");
    }
    let pass = |platform: &str| {
        format!(
            "LEFT4ME_SIM_BUILD={last} {STEAMCMD} +@sSteamCmdForcePlatformType {platform} +force_install_dir \"$PWD\" +login anonymous +app_update 222860 validate +quit >/dev/null\n"
        )
    };
    let passes = pass("windows") + &pass("linux");
    host.ok(&format!("sudo -u left4me sh -ec 'mkdir -p /var/tmp/fresh/steamapps; cd /var/tmp/fresh\n{passes}'"))?;
    let fresh = host.fingerprint("/var/tmp/fresh")?;
    let seen = host.fingerprint("/var/lib/left4me/runtime/s0/merged")?;
    ensure!(seen == fresh, "what s0 sees is not build {last}: {}", differing(&fresh, &seen));

    host.l4_ok(&format!("rollback {FIRST}"))?;
    // This one alone; the others stay on the last build, which the prune must not touch.
    host.l4_ok("restart s0 --wait=60")?;
    let back = host.fingerprint("/var/lib/left4me/runtime/s0/merged")?;
    ensure!(back == first, "what s0 sees is not build {FIRST}: {}", differing(&first, &back));
    // What others still run on stays, and can be gone to.
    host.l4_ok("prune --keep 0")?;
    ensure!(host.l4_ok("rcon s1 -- sim_files")?.contains(" changed 0"), "a prune changed what s1 sees");
    ensure!(host.l4_ok("verify")?.starts_with("everything is as it was installed"), "the prune damaged a layer");
    for n in 0..SERVERS {
        host.l4_ok(&format!("delete s{n}"))?;
    }
    let pruned = host.l4_ok("prune --keep 0")?;
    let left = host.ok("ls /var/lib/left4me/generations")?;
    ensure!(left.is_empty(), "{pruned}: {left}");
    host.ok("rm -rf /var/tmp/fresh").map(drop)
}

/// The lines that are in one of two texts only.
fn differing(a: &str, b: &str) -> String {
    let only = |a: &str, b: &str, mark: &str| -> String {
        let there: std::collections::HashSet<&str> = b.lines().collect();
        a.lines().filter(|line| !there.contains(line)).take(20).map(|line| format!("\n{mark} {line}")).collect()
    };
    only(a, b, "-") + &only(b, a, "+")
}

/// As a booted host without a person has it: what the unit may is enough for SteamCMD, and for sudo.
pub(super) fn by_the_unit(host: &mut Host) -> Result<()> {
    const DROP_IN: &str = "/run/systemd/system/left4me-update.service.d/test.conf";
    for (name, port) in [("a", 27101), ("b", 27102)] {
        host.make(name, port, &[])?;
        host.l4_ok(&format!("start {name} --wait=60"))?;
    }
    let versions: Value = serde_json::from_str(&host.l4_ok("versions --json")?)?;
    let newest =
        versions["versions"].as_array().and_then(|all| all.last()?["build_id"].as_u64()).context("no build")?;
    let update = |host: &mut Host, build: u64| -> Result<()> {
        let line = format!("Environment=LEFT4ME_STEAMCMD={STEAMCMD} LEFT4ME_SIM_BUILD={build}");
        host.ok(&format!("mkdir -p $(dirname {DROP_IN}) && printf '[Service]\\n{line}\\n' >{DROP_IN}"))?;
        host.ok("systemctl daemon-reload && systemctl start left4me-update.service").map(drop)
    };
    for build in [newest + 1, newest + 1] {
        let pids = host.ok("systemctl show -P MainPID left4me-server@a left4me-server@b")?;
        update(host, build)?;
        for name in ["a", "b"] {
            host.expect_state(name, "running")?;
            ensure!(host.status(name, "build_id")? == build, "{name} is not on build {build}");
        }
        let again = host.ok("systemctl show -P MainPID left4me-server@a left4me-server@b")?;
        // Of l4d2ctl alone: how many lines systemd adds differs with what the kernel counts.
        let said = host.ok("journalctl -q -u left4me-update -t l4d2ctl -n 1 -o cat")?;
        ensure!((again == pids) == said.contains("nothing to do"), "processes {pids} and then {again}: {said}");
    }
    host.ok(&format!("rm {DROP_IN} && systemctl daemon-reload"))?;
    host.l4_ok(&format!("rollback {newest}")).map(drop)
}
