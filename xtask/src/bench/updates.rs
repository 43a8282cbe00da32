//! What updates cost afterwards: checking all their files, and mounting a chain of them.

use anyhow::Result;

use super::{ROOT, compare, initialize, shell};

/// What `verify` reads besides the programs, in MiB.
const BULK: u32 = 512;

/// The build that the machine begins with, and how many come after it.
const FIRST: u64 = 9_450_001;
const CHAIN: u64 = 10;

pub(super) fn run() -> Result<()> {
    stage("chain0", 28500)?;
    for build in FIRST + 1..=FIRST + CHAIN {
        // All but the first change a part of it.
        as_user(&format!(
            "LEFT4ME_STEAMCMD={ROOT}/steamcmd/steamcmd LEFT4ME_SIM_BULK={BULK} LEFT4ME_SIM_BUILD={build} l4d2ctl install"
        ))?;
    }
    stage("chain10", 28501)?;
    let helper = "/usr/local/libexec/left4me/left4me-overlay";
    let verb = |verb: &str, name: &str| format!("{helper} {verb} {name}");
    compare(
        "left4me-overlay mount, a chain of 10 generations / none",
        1.5,
        50,
        (&verb("mount", "chain10"), &verb("umount", "chain10")),
        (&verb("mount", "chain0"), &verb("umount", "chain0")),
    )?;
    compare(
        &format!("l4d2ctl verify, {BULK} MiB and more in the page cache / sha256sum"),
        0.6,
        7,
        (
            &format!(
                "setpriv --reuid=left4me --regid=left4me --clear-groups env HOME={ROOT} l4d2ctl verify >/dev/null"
            ),
            "true",
        ),
        (
            &format!("find {ROOT}/installation {ROOT}/generations -type f -print0 | xargs -0 sha256sum >/dev/null"),
            "true",
        ),
    )?;
    for name in ["chain0", "chain10"] {
        as_user(&format!("l4d2ctl delete {name}"))?;
    }
    as_user(&format!("l4d2ctl rollback {FIRST}"))?;
    as_user("l4d2ctl prune --keep 0")
}

/// Makes an instance whose plan is staged on the current version, and which does not run.
fn stage(name: &str, port: u16) -> Result<()> {
    initialize(name, port)?;
    as_user(&format!("l4d2ctl start {name}"))?;
    as_user(&format!("l4d2ctl stop {name}"))
}

fn as_user(command: &str) -> Result<()> {
    shell(&format!("setpriv --reuid=left4me --regid=left4me --clear-groups env HOME={ROOT} {command}"))
}
