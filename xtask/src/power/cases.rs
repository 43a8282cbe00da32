//! The commands whose power is cut, and the moments that they begin from.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::machine::{INSTALL_GAME, Machine, Moment, Vm, install_programs};

/// What is there when a command begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// left4me alone.
    Bare,
    /// The game, and an instance that was never started.
    Installed,
    /// The same, running.
    Running,
    /// Still running, and a second build is current.
    Updated,
    /// Running on the second of four builds, the last of which is current.
    Four,
    /// The same without a server.
    Idle,
}

/// A command.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) when: When,
    /// Done first, without a sync: what a command that was killed between a change and its sync leaves.
    pub(super) prepare: &'static str,
    pub(super) script: String,
    /// It has SteamCMD write.
    pub(super) installs: bool,
    /// A server runs afterwards.
    pub(super) runs: bool,
    /// Nothing that a server wrote is left afterwards.
    pub(super) empties: bool,
}

const OLD_SPEC: &str =
    "port: 27101\noverlays: [{path: test/base, alias: base}]\nconfig:\n  - hostname \"Kept\"\n  - log on\n";
const NEW_SPEC: &str = "port: 27102\noverlays: [test/base]\nconfig:\n  - hostname \"Changed\"\n";
pub(super) const FRESH_SPEC: &str = "port: 27103\noverlays: [test/base]\n";

pub(super) fn initialize(name: &str, spec: &str) -> String {
    format!("l4d2ctl initialize {name} -f - <<'SPEC'\n{spec}SPEC\n")
}

/// A stop that came as far as the link.
const DISABLED: &str =
    "systemctl stop left4me-server@keep && rm /etc/systemd/system/multi-user.target.wants/left4me-server@keep.service";

/// Has SteamCMD bring a build, by its last digit.
fn install(build: u32) -> String {
    INSTALL_GAME.replace("env ", &format!("env LEFT4ME_SIM_BUILD=945000{build} "))
}

/// All run as root, which becomes the service user by itself: without sudo in front less is spent before the command.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, when, script: &str| Case {
        name,
        when,
        prepare: "",
        script: script.to_owned(),
        installs: name.starts_with("install"),
        runs: matches!(when, When::Updated | When::Four)
            || name.starts_with("start")
            || name.contains("over an old one"),
        empties: ["reset", "delete"].contains(&name),
    };
    vec![
        case("install", When::Bare, INSTALL_GAME),
        Case { runs: true, ..case("install an update", When::Running, &install(2)) },
        case("rollback", When::Updated, "l4d2ctl rollback 9450001"),
        case("prune", When::Four, "l4d2ctl prune --keep 0"),
        case("prune into the installation", When::Idle, "l4d2ctl prune --keep 0"),
        case("initialize", When::Installed, &initialize("fresh", FRESH_SPEC)),
        case("initialize over an old one", When::Running, &initialize("keep", NEW_SPEC)),
        case("start", When::Installed, "l4d2ctl start keep"),
        case("stop", When::Running, "l4d2ctl stop keep"),
        case("reset", When::Running, "l4d2ctl reset keep"),
        case("delete", When::Running, "l4d2ctl delete keep"),
        Case { prepare: DISABLED, ..case("stop after a killed one", When::Running, "l4d2ctl stop keep") },
    ]
}

/// The moments, as far as they are needed.
pub(super) struct Moments {
    moments: BTreeMap<When, Moment>,
    /// What the moments lie in.
    _vm: Vm,
}

impl Moments {
    pub(super) fn of(&self, when: When) -> Result<&Moment> {
        self.moments.get(&when).with_context(|| format!("the moment {when:?} was not saved"))
    }

    /// Each comes out of the one before.
    pub(super) fn make(wanted: &[When]) -> Result<Self> {
        let mut vm = Vm::boot()?;
        // Nothing is written but what is asked for, however long the machine has for it: what a command forgot to sync
        // would otherwise be on disk by luck.
        vm.ok("mount -o remount,commit=3600 / && sysctl -q -w vm.dirty_writeback_centisecs=0 vm.dirty_expire_centisecs=360000 \
               vm.dirty_background_ratio=60 vm.dirty_ratio=80")?;
        install_programs(&mut vm)?;
        // The directories that any command makes, so that an install finds what it finds on a host that was looked at.
        vm.ok("l4d2ctl delete nothing")?;
        vm.ok("sudo -u left4me sh -c 'mkdir -p /var/lib/left4me/overlays/test/base/left4dead2/cfg && \
               echo sv_tags base > /var/lib/left4me/overlays/test/base/left4dead2/cfg/server.cfg'")?;
        let mut moments = BTreeMap::new();
        let last = wanted.iter().max().copied().unwrap_or(When::Bare);
        for when in ALL.into_iter().filter(|when| *when <= last) {
            when.arrive(&mut vm).with_context(|| format!("the way to {when:?}"))?;
            if wanted.contains(&when) {
                vm.ok("sync")?;
                moments.insert(when, vm.save(&format!("{when:?}"))?);
            }
        }
        vm.turn_off()?;
        Ok(Self { moments, _vm: vm })
    }
}

const ALL: [When; 6] = [When::Bare, When::Installed, When::Running, When::Updated, When::Four, When::Idle];

impl When {
    /// What is to be done from the moment before.
    fn arrive(self, vm: &mut Vm) -> Result<()> {
        match self {
            Self::Bare => {}
            Self::Installed => {
                vm.ok(&format!("{INSTALL_GAME} 2>&1"))?;
                vm.ok(&initialize("keep", OLD_SPEC))?;
            }
            Self::Running => {
                vm.ok("l4d2ctl start keep")?;
                vm.wait_until(
                    "test -n \"$(ls /var/lib/left4me/runtime/keep/upper/left4dead2/logs)\"",
                    Duration::from_secs(60),
                )?;
            }
            Self::Updated => drop(vm.ok(&install(2))?),
            Self::Four => drop(vm.ok(&format!("l4d2ctl restart keep && {} && {}", install(3), install(4)))?),
            Self::Idle => drop(vm.ok("l4d2ctl stop keep")?),
        }
        Ok(())
    }
}
