//! What each verb does.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use names::InstanceName;

use crate::request::{MAX_INSTANCES, Request, Verb};
use crate::systemctl::{self, Failure, check};

/// Where `enable` puts the link that makes an instance start at boot: the unit says `WantedBy=multi-user.target`.
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// What `show` tells of a unit. Fixed here, so that a caller can't ask for a property that holds a secret.
const PROPERTIES: &str = "--property=Id,ActiveState,SubState,Result,UnitFileState,MainPID,NRestarts,ExecMainStatus,\
ExecMainCode,ActiveEnterTimestamp,InactiveEnterTimestamp,StateChangeTimestamp";

/// Why root may do each of these for a hostile caller: a unit is named by the names crate from a checked name, so only
/// instances of `left4me-server@.service` are ever named; that unit's text is root's; and starting, stopping or reading
/// one is what the service user is there for. None of the verbs takes a path, an option or input.
pub(crate) fn run(request: &Request) -> Result<ExitCode, Failure> {
    let units: Vec<String> = request.names.iter().map(InstanceName::unit).collect();
    match request.verb {
        Verb::Enable => enable(&units),
        Verb::Disable => disable(&request.names, &units),
        Verb::Show => show(&units),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Forgets an earlier failure, sets the link, starts. A start that is refused after a crash loop until the interval is
/// over would otherwise be the answer to the very command that is to end it.
///
/// Not `enable --now`: it has the manager re-read every unit, which costs more than all the rest and grows with the
/// number of instances. The manager needs not know of the link before the next boot.
fn enable(units: &[String]) -> Result<(), Failure> {
    let missing = those(units, false)?;
    check_room(missing.len())?;
    forget_failures(units)?;
    if !missing.is_empty() {
        check(systemctl::run(&["enable", "--quiet", "--no-reload"], &missing, nothing)?.0)?;
    }
    sync_links()?;
    check(systemctl::run(&["start"], units, is_reload_advice)?.0)
}

/// A failed unit stays loaded, and is listed, until its failure is forgotten.
fn forget_failures(units: &[String]) -> Result<(), Failure> {
    let (status, said_something) = systemctl::run(&["reset-failed"], units, is_not_loaded)?;
    // A unit that is not loaded has no failure to forget. systemctl takes that for an error, but it is then the only one.
    if said_something || status.code().is_none() { check(status) } else { Ok(()) }
}

/// Stops, removes the link, and takes away what an inactive unit left mounted. An earlier failure is forgotten, one of
/// this very stop is not: it is to be seen. A step that fails does not keep the next
/// one from being tried: a server that would not stop is still not to come back at the next boot.
fn disable(names: &[InstanceName], units: &[String]) -> Result<(), Failure> {
    let forgotten = forget_failures(units);
    let stopped = systemctl::run(&["stop"], units, is_reload_advice).and_then(|(status, _)| check(status));
    let unlinked = those(units, true).and_then(|linked| unlink(&linked)).and_then(|()| sync_links());
    let unmounted = umount_inactive(names, units);
    stopped.and(unlinked).and(unmounted).and(forgotten)
}

fn unlink(linked: &[String]) -> Result<(), Failure> {
    if linked.is_empty() {
        return Ok(());
    }
    check(systemctl::run(&["disable", "--quiet", "--no-reload"], linked, nothing)?.0)
}

/// Prints the state of all units in one call, times as seconds since 1970.
fn show(units: &[String]) -> Result<(), Failure> {
    check(systemctl::run(&["show", "--timestamp=unix", PROPERTIES], units, nothing)?.0)
}

/// systemctl does not put the links on disk: after a power cut a server that was enabled would stay down, or one that was
/// disabled would come back. Done also where no link had to change: a helper that was killed before this may have changed
/// it.
fn sync_links() -> Result<(), Failure> {
    match std::fs::File::open(WANTS).and_then(|links| links.sync_all()) {
        // No unit at all is enabled.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(|error| Failure::new(format!("can't put {WANTS} on disk: {error}"))),
    }
}

/// Any valid name can be enabled, and there are more of them than `/etc` has room for, or a boot time.
fn check_room(more: usize) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("can't list {WANTS}: {error}"));
    let mut enabled = 0;
    match std::fs::read_dir(WANTS) {
        Ok(links) => {
            for link in links {
                let name = link.map_err(failed)?.file_name();
                enabled += usize::from(name.as_encoded_bytes().starts_with(b"left4me-server@"));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if more == 0 || enabled + more <= MAX_INSTANCES {
        return Ok(());
    }
    Err(Failure::new(format!("{enabled} instances are enabled in {WANTS}, and {MAX_INSTANCES} are as many as may be")))
}

/// The units that have a link, or those that have none.
fn those(units: &[String], linked: bool) -> Result<Vec<String>, Failure> {
    let mut those = Vec::new();
    for unit in units {
        if is_there(&Path::new(WANTS).join(unit))? == linked {
            those.push(unit.clone());
        }
    }
    Ok(those)
}

/// Whether a link is there, whatever it leads to. A look that fails is no 'no': a disable would leave the link and say that
/// it is done.
fn is_there(link: &Path) -> Result<bool, Failure> {
    match link.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::new(format!("can't look at {}: {error}", link.display()))),
    }
}

/// The unit's own `ExecStopPost=` does not run for a unit that is inactive already: after a power loss the work directory
/// that the kernel made (root's, mode 000) would stay for ever, and the service user could not remove it.
fn umount_inactive(names: &[InstanceName], units: &[String]) -> Result<(), Failure> {
    // Its exit code says whether all are active, which is not the question.
    let states = systemctl::output(&["is-active"], units)?;
    let states = String::from_utf8_lossy(&states);
    let helper = beside_this_program("left4me-overlay")?;
    let mut result = Ok(());
    for (name, _) in names.iter().zip(states.lines()).filter(|(_, state)| matches!(*state, "inactive" | "failed")) {
        let status = Command::new(&helper)
            .args(["umount", name.as_str()])
            .env_clear()
            .stdin(Stdio::null())
            .status()
            .map_err(|error| Failure::spawn(&helper.to_string_lossy(), &error))
            .and_then(check);
        result = result.and(status);
    }
    result
}

/// The helpers lie in one directory, which is root's: whoever could put something else there could replace us, too.
fn beside_this_program(program: &str) -> Result<PathBuf, Failure> {
    let me = std::env::current_exe().map_err(|error| Failure::new(format!("can't read /proc/self/exe: {error}")))?;
    Ok(me.with_file_name(program))
}

fn nothing(_line: &str, _units: &[String]) -> bool {
    false
}

/// What `reset-failed` says of a unit that is not loaded.
fn is_not_loaded(line: &str, units: &[String]) -> bool {
    units.iter().any(|unit| {
        line.strip_prefix("Failed to reset failed state of unit ")
            .and_then(|rest| rest.strip_prefix(unit.as_str()))
            .and_then(|rest| rest.strip_prefix(": Unit "))
            .and_then(|rest| rest.strip_prefix(unit.as_str()))
            == Some(" not loaded.")
    })
}

/// systemctl's warning that the unit changed on disk. It is about the link that `enable --no-reload` has just made or
/// `disable --no-reload` removed, which is meant, and `--quiet` does not silence it. The advice would cost every instance
/// a reload. The installer reloads the manager when it changes the unit itself.
fn is_reload_advice(line: &str, units: &[String]) -> bool {
    units.iter().any(|unit| {
        line.strip_prefix("Warning: The unit file, source configuration file or drop-ins of ")
            .and_then(|rest| rest.strip_prefix(unit.as_str()))
            == Some(" changed on disk. Run 'systemctl daemon-reload' to reload units.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_advice_to_reload_for_our_unit_is_dropped() {
        let units = ["left4me-server@a.service".to_owned(), "left4me-server@b.service".to_owned()];
        let advice = "Warning: The unit file, source configuration file or drop-ins of left4me-server@b.service changed \
                      on disk. Run 'systemctl daemon-reload' to reload units.";
        assert!(is_reload_advice(advice, &units));
        assert!(!is_reload_advice(advice, &units[..1]));
        assert!(!is_reload_advice(&format!("{advice} "), &units));
        assert!(!is_reload_advice("Job for left4me-server@a.service failed.", &units));
    }

    #[test]
    fn not_knowing_of_a_link_is_no_no() {
        assert!(is_there(Path::new("/proc/self/exe")).is_ok_and(|is| is));
        assert!(is_there(Path::new("/proc/self/missing")).is_ok_and(|is| !is));
        assert!(is_there(&Path::new("/").join("x".repeat(256))).is_err(), "a name that can't be looked at");
    }

    #[test]
    fn only_not_loaded_is_no_error_of_reset_failed() {
        let units = ["left4me-server@a.service".to_owned()];
        let unit = &units[0];
        assert!(is_not_loaded(
            &format!("Failed to reset failed state of unit {unit}: Unit {unit} not loaded."),
            &units
        ));
        assert!(!is_not_loaded(&format!("Failed to reset failed state of unit {unit}: Access denied"), &units));
        assert!(!is_not_loaded("Failed to connect to bus: No such file or directory", &units));
    }
}
