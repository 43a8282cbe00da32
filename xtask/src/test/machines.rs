//! The system tests, on a Debian 13 in a container and on one in a virtual machine.

use anyhow::Result;

use super::{Options, Stage};
use crate::machine::{Container, Machine, Vm, install_left4me, leftovers, make_ready};
use crate::summary::Summary;
use crate::system::{self, Place, TESTS, Test};

/// In a machine of its own, which is begun from again and again.
const POWER: &str = "a power cut in or after any command leaves the old or the new";

/// How many points of each command; `cargo xtask power` has more.
const POWER_POINTS: usize = 2;

/// How many tests [`stages`] would run.
pub(super) fn count(options: &Options) -> usize {
    let listed: usize = [Stage::Container, Stage::Vm].into_iter().map(|stage| chosen(options, stage).0.len()).sum();
    listed + usize::from(options.all_in_vm && wants_power(options))
}

fn wants_power(options: &Options) -> bool {
    options.wants(Stage::Vm) && POWER.contains(&options.filter)
}

/// The tests of a stage, and how many more `--vm` would add.
fn chosen(options: &Options, stage: Stage) -> (Vec<&'static Test>, usize) {
    let wanted = TESTS.iter().filter(|test| options.wants(stage) && test.name.contains(&options.filter));
    if stage == Stage::Container {
        return (wanted.filter(|test| test.place != Place::Vm).collect(), 0);
    }
    let in_vm = wanted.filter(|test| test.place != Place::Container);
    let (now, later): (Vec<_>, Vec<_>) = in_vm.partition(|test| options.all_in_vm || test.always);
    (now, later.len())
}

pub(super) fn stages(options: &Options, summary: &mut Summary) -> Result<()> {
    let (in_container, _) = chosen(options, Stage::Container);
    let (in_vm, left_out) = chosen(options, Stage::Vm);
    let power = wants_power(options) && options.all_in_vm;
    let left_out = left_out + usize::from(wants_power(options) && !power);
    summary.skip(left_out, "system tests in the virtual machine: `cargo xtask test --vm`");
    if in_container.is_empty() && in_vm.is_empty() && !power {
        return Ok(());
    }
    make_ready(power || !in_vm.is_empty())?;
    stage(summary, "in a container", &in_container, || Ok(Box::new(Container::boot()?)));
    stage(summary, "in a virtual machine with Debian's kernel", &in_vm, || Ok(Box::new(Vm::boot()?)));
    if power {
        summary.test(POWER, || crate::power::cut_all(POWER_POINTS, &[]));
    }
    Ok(())
}

/// Runs tests on one machine; after a failure the next test gets another, whatever the failed one left.
fn stage(summary: &mut Summary, place: &str, tests: &[&Test], boot: impl Fn() -> Result<Box<dyn Machine>>) {
    if tests.is_empty() {
        return;
    }
    println!("system tests {place}");
    let mut machine = None;
    for (position, test) in tests.iter().enumerate() {
        if machine.is_none()
            && !summary.test(&format!("Debian 13 boots {place}, and left4me installs"), || {
                let mut booted = boot()?;
                install_left4me(booted.as_mut())?;
                machine = Some(booted);
                Ok(())
            })
        {
            summary.skip(tests.len() - position, format!("system tests {place}, which does not boot"));
            break;
        }
        let Some(running) = &mut machine else { break };
        if !summary.test(test.name, || system::run(test, running.as_mut())) {
            machine = None;
        }
    }
    drop(machine);
    summary.test(&format!("the machine {place} leaves nothing on this one"), || {
        let left = leftovers(Some(std::process::id()));
        anyhow::ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    });
}
