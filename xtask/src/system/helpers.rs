//! The helpers, and who calls them or races with them.

use anyhow::{Result, ensure};

use super::Host;
use crate::machine::XTASK;

const HELPERS: &str = "/usr/local/libexec/left4me";

/// A name that is valid costs the service user nothing, but a link costs `/etc` an inode, and each boot a failed start.
pub(super) fn full_of_links(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &[])?;
    let wants = "/etc/systemd/system/multi-user.target.wants";
    host.ok(&format!(
        "mkdir -p {wants} && for n in $(seq 1000); do ln -s /dev/null {wants}/left4me-server@x$n.service; done"
    ))?;
    let refused = host.l4("start a")?;
    let links = host.ok(&format!("ls {wants} | grep -c left4me-server@; rm {wants}/left4me-server@x*"))?;
    ensure!(refused.code != 0 && refused.stderr.contains("as many as may be"), "{}", refused.text());
    ensure!(links.trim() == "1000", "{links} links");
    host.l4_ok("start a")?;
    host.expect_state("a", "running")
}

/// One in eight of the ways; `xtask odd-calls` in the machine tries them all.
pub(super) fn odd_calls(host: &mut Host) -> Result<()> {
    host.make("odd", 27101, &[])?;
    host.l4_ok("start odd")?;
    host.l4_ok("stop odd")?;
    host.ok(&format!("{XTASK} odd-calls 8 2>&1")).map(drop)
}

/// The installed helper; in the virtual machine on the kernel that takes layers as `/proc/self/fd/N`.
pub(super) fn racing_attacker(host: &mut Host) -> Result<()> {
    let attack = format!("{XTASK} attack --seed 1 --swaps 20000 --runs 300 --helper {HELPERS}/left4me-overlay 2>&1");
    let said = host.ok(&attack)?;
    ensure!(said.contains("canaries are as they were"), "{said}");
    Ok(())
}
