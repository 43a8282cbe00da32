//! What updates cost afterwards: checking all their files, and mounting a chain of them.

use anyhow::Result;

use super::measure::{ROOT, as_user, compare, initialize, shell};
use super::report::{Finding, Target};

/// What `verify` reads besides the programs, in MiB.
const BULK: u32 = 512;

/// The build that the machine begins with, and how many come after it.
const FIRST: u64 = 9_450_001;
const CHAIN: u64 = 10;

pub(super) fn run() -> Result<Vec<Finding>> {
    stage("chain0", 28500)?;
    for build in FIRST + 1..=FIRST + CHAIN {
        // All but the first change a part of it.
        shell(&as_user(&format!(
            "env LEFT4ME_STEAMCMD={ROOT}/steamcmd/steamcmd LEFT4ME_SIM_BULK={BULK} LEFT4ME_SIM_BUILD={build} l4d2ctl install"
        )))?;
    }
    stage("chain10", 28501)?;
    let helper = "/usr/local/libexec/left4me/left4me-overlay";
    let verb = |verb: &str, name: &str| format!("{helper} {verb} {name}");
    let mount = compare(
        "left4me-overlay mount, a chain of 10 generations / none",
        Target::AtMost(1.5),
        50,
        (&verb("mount", "chain10"), &verb("umount", "chain10")),
        (&verb("mount", "chain0"), &verb("umount", "chain0")),
    )?;
    let verify = compare(
        &format!("verify, {BULK} MiB and more in the page cache / sha256sum"),
        Target::AtMost(0.6),
        7,
        (&as_user("l4d2ctl verify >/dev/null"), "true"),
        (
            &format!("find {ROOT}/installation {ROOT}/generations -type f -print0 | xargs -0 sha256sum >/dev/null"),
            "true",
        ),
    )?;
    Ok(vec![Finding::Row(mount), Finding::Row(verify)])
}

/// Makes an instance whose plan is staged on the current version, and which does not run.
fn stage(name: &str, port: u16) -> Result<()> {
    initialize(name, port, "")?;
    shell(&as_user(&format!("l4d2ctl start {name}")))?;
    shell(&as_user(&format!("l4d2ctl stop {name}")))
}
