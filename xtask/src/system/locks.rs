//! What commands do to each other.

use anyhow::{Result, ensure};

use super::Host;
use crate::storm::Options;

/// A sample of `cargo xtask storm`.
fn storm(host: &mut Host, options: &Options) -> Result<()> {
    let answer = host.machine.run(&options.inside())?;
    ensure!(answer.code == 0, "{}", answer.text());
    Ok(())
}

pub(super) fn storm_of_commands(host: &mut Host) -> Result<()> {
    storm(host, &Options { seconds: 15, ..Options::default() })
}

pub(super) fn storm_without_systemd(host: &mut Host) -> Result<()> {
    storm(host, &Options { seconds: 10, embedded: true, ..Options::default() })
}

/// Killed alone, `l4d2ctl` leaves sudo and the helper at work, which must not start what another command is resetting.
pub(super) fn orphaned_helper(host: &mut Host) -> Result<()> {
    const HELPER: &str = "/usr/local/libexec/left4me/left4me-systemctl";
    host.make("a", 27101, &[])?;
    // One that takes its time before it does what it is asked to.
    host.ok(&format!(
        "mv {HELPER} {HELPER}.real && printf '#!/bin/sh\\ntouch /run/helper-begun\\n\
         until test -e /run/helper-goes-on; do sleep 0.1; done\\nexec {HELPER}.real \"$@\"\\n' > {HELPER} && chmod 755 {HELPER}"
    ))?;
    let outcome = killed_and_followed(host);
    host.ok(&format!("mv {HELPER}.real {HELPER}; rm -f /run/helper-begun /run/helper-goes-on"))?;
    outcome
}

fn killed_and_followed(host: &mut Host) -> Result<()> {
    host.ok("sudo -u left4me l4d2ctl start a >/dev/null 2>&1 & ")?;
    host.machine.wait_until("test -e /run/helper-begun", std::time::Duration::from_secs(30))?;
    // By its whole command line: sudo's own ends alike.
    host.ok("pkill -KILL -f '^l4d2ctl start a$'")?;
    host.machine.wait_until("! pgrep -f '^l4d2ctl start a$'", std::time::Duration::from_secs(10))?;
    let at_once = host.l4("reset a --lock-timeout 0")?;
    ensure!(at_once.code == 1 && at_once.stderr.contains("instance a is held by"), "{}", at_once.text());
    let waits =
        host.machine.run("sudo -u left4me l4d2ctl reset a 2>&1 & sleep 1; touch /run/helper-goes-on; wait $!")?;
    ensure!(waits.code == 0 && waits.stdout.contains("waiting for instance a"), "{}", waits.text());
    host.expect_state("a", "stopped")?;
    ensure!(host.mounts()? == 0, "what the helper mounted is left");
    Ok(())
}
