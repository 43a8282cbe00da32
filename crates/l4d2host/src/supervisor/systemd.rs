//! The systemd supervisor: the template unit, through root's helpers.
//!
//! What changes something goes through `sudo -n` to a helper with fixed arguments. What only reads asks `systemctl`
//! directly, which needs no privilege: all units at once with `list-units`, because `show` costs milliseconds for each.

mod cgroup;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod journal;
mod parse;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind as Io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use names::InstanceName;

use super::{Supervisor, SupervisorKind, last_lines};
use crate::heard::{self, Mark, News};
use crate::process::{command, exit_code, spawn_error};
use crate::{Error, ErrorKind, Held, LogOptions, LogStream, Pressure, Result, UnitDetails, UnitState, Usage};

/// The unit's file below a prefix.
pub(crate) const UNIT: &str = "lib/systemd/system/left4me-server@.service";

/// Where an enabled unit has its link.
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// The one log of all instances.
pub(crate) const JOURNAL: &str = "journal";

/// Where left4me's unit and helpers are installed, if they are and systemd runs this machine.
///
/// Not knowing is an error: an answer of "no" would have the embedded supervisor run what systemd is to run.
pub(crate) fn installed_prefix() -> Result<Option<PathBuf>> {
    if !is_there(Path::new("/run/systemd/system"))? {
        return Ok(None);
    }
    // PREFIX/bin/l4d2ctl: an installed command uses what was installed with it.
    let own = fs::read_link("/proc/self/exe").ok().and_then(|exe| Some(exe.parent()?.parent()?.to_owned()));
    let candidates = own.into_iter().chain(["/usr/local", "/usr"].map(PathBuf::from));
    for prefix in candidates {
        if is_there(&prefix.join(UNIT))? {
            return Ok(Some(prefix));
        }
    }
    Ok(None)
}

/// Whether there is anything at `path`, as far as this user can get there.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match path.try_exists() {
        Err(error) if matches!(error.kind(), Io::PermissionDenied | Io::NotADirectory) => Ok(false),
        found => found.map_err(|e| Error::io(format!("can't look at {}", path.display()), e)),
    }
}

/// systemd and the helpers below one prefix.
#[derive(Debug)]
pub(crate) struct Systemd {
    prefix: PathBuf,
}

impl Systemd {
    pub(crate) fn new(prefix: PathBuf) -> Self {
        Self { prefix }
    }

    fn helper(&self, name: &str) -> PathBuf {
        self.prefix.join("libexec/left4me").join(name)
    }

    /// `sudo -n HELPER ARGS…`; its stderr is ours, untouched.
    fn sudo(&self, helper: &str, args: &[&str]) -> Result<std::process::Command> {
        let helper = self.helper(helper);
        if !helper.is_file() {
            return Err(Error::new(ErrorKind::Unsupported, format!("the helper {} is missing", helper.display()))
                .hint("`l4d2ctl doctor` says what installs it again"));
        }
        let mut sudo = command("/usr/bin/sudo");
        sudo.arg("-n").arg(helper).args(args);
        Ok(sudo)
    }

    /// Has the helper do something, with the instance's lock in its hand.
    fn ask(&self, verb: &str, name: &InstanceName, lock: &Held) -> Result<()> {
        let mut sudo = self.sudo("left4me-systemctl", &[verb, name.as_str()])?;
        let status = sudo
            .stdin(lock.for_child()?)
            .stdout(Stdio::null())
            .status()
            .map_err(|e| spawn_error("/usr/bin/sudo", e))?;
        if status.success() {
            return Ok(());
        }
        let failed = Error::child(format!("can't {verb} instance {name}"), exit_code(status));
        if self.may_call("left4me-systemctl", &[verb, name.as_str()]) {
            return Err(failed);
        }
        Err(Error::new(ErrorKind::PermissionDenied, format!("can't {verb} instance {name}: sudo refuses the helper"))
            .hint(
                "`l4d2ctl doctor` checks the rules; the service user may call helpers: `sudo -u left4me l4d2ctl ...`",
            ))
    }

    /// Whether sudo would let this user call the helper, without doing it.
    fn may_call(&self, helper: &str, args: &[&str]) -> bool {
        let mut sudo = command("/usr/bin/sudo");
        sudo.args(["-n", "-l"]).arg(self.helper(helper)).args(args);
        sudo.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Supervisor for Systemd {
    fn kind(&self) -> SupervisorKind {
        SupervisorKind::Systemd
    }

    fn enable(&self, name: &InstanceName, lock: &Held) -> Result<()> {
        self.ask("enable", name, lock).map_err(|error| {
            if error.kind() != ErrorKind::ChildFailed {
                return error;
            }
            let failed = Error::new(ErrorKind::StartFailed, format!("instance {name} did not start"))
                .with_exit_code(error.exit_code());
            let failed = match last_lines(self, name) {
                Some(lines) => failed.because(lines),
                None => failed,
            };
            failed.hint(format!("`l4d2ctl logs {name}` shows more"))
        })
    }

    fn disable(&self, name: &InstanceName, lock: &Held) -> Result<()> {
        self.ask("disable", name, lock)
    }

    fn units(&self) -> Result<BTreeMap<InstanceName, UnitState>> {
        let output = command("/usr/bin/systemctl")
            .args(["list-units", "--all", "--plain", "--no-pager", "--output=json", "left4me-server@*.service"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| spawn_error("/usr/bin/systemctl", e))?;
        if !output.status.success() {
            return Err(Error::child("systemctl can't list units", exit_code(output.status)));
        }
        let mut units = parse::list_units(&output.stdout)?;
        for name in enabled_units()? {
            units.entry(name).or_insert_with(UnitState::inactive).enabled = true;
        }
        for (name, unit) in units.iter_mut().filter(|(_, unit)| unit.active_state != "inactive") {
            // Root writes the record whenever it mounts, which is the first thing a run does.
            let record = fs::metadata(Path::new(names::RECORD_DIR).join(name.as_str()));
            unit.since = record.ok().and_then(|record| u64::try_from(record.mtime()).ok());
        }
        Ok(units)
    }

    fn details(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, UnitDetails>> {
        let output = command("/usr/bin/systemctl")
            .args([
                "show",
                "--no-pager",
                "--timestamp=unix",
                "--property=Id,Result,MainPID,NRestarts,StateChangeTimestamp",
            ])
            .arg("--")
            .args(names.iter().map(InstanceName::unit))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| spawn_error("/usr/bin/systemctl", e))?;
        if !output.status.success() {
            return Err(Error::child("systemctl can't show units", exit_code(output.status)));
        }
        Ok(parse::show(&String::from_utf8_lossy(&output.stdout)))
    }

    fn usage(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, Usage>> {
        Ok(cgroup::of_each(names, cgroup::usage))
    }

    fn pressure(&self, names: &[InstanceName]) -> BTreeMap<InstanceName, Pressure> {
        cgroup::of_each(names, cgroup::pressure)
    }

    fn logs(&self, name: &InstanceName, options: &LogOptions) -> Result<LogStream> {
        let lines = options.lines.to_string();
        let follow = if options.follow { "--follow" } else { "--no-follow" };
        let mut args = vec![name.as_str(), "--lines", &lines, follow];
        args.extend(if options.details { ["--output", "json"] } else { ["--output", "cat"] });
        args.extend(options.after_cursor.iter().flat_map(|cursor| ["--after-cursor", cursor.as_str()]));
        journal::stream(self.sudo("left4me-journalctl", &args)?, options.details)
    }

    fn news(&self, _: &[InstanceName], marks: &BTreeMap<String, Mark>) -> Result<Vec<News>> {
        let lines = heard::LINES.to_string();
        let mut args = vec!["--all", "--lines", &lines, "--no-follow", "--output", "json"];
        args.extend(marks.get(JOURNAL).iter().flat_map(|mark| ["--after-cursor", mark.cursor.as_str()]));
        let lines = journal::of_all(self.sudo("left4me-journalctl", &args)?)?;
        Ok(vec![News { log: JOURNAL.to_owned(), limit: Some(heard::LINES), lines }])
    }

    fn log_of<'a>(&self, _: &'a InstanceName) -> &'a str {
        JOURNAL
    }
}

/// The instances that start at boot: one look at a directory, which everybody may list.
fn enabled_units() -> Result<Vec<InstanceName>> {
    // What can't be listed is not empty: what "nobody needs" is removed.
    let failed = |e| Error::io(format!("can't list {WANTS}"), e);
    let links = match fs::read_dir(WANTS) {
        Ok(links) => links,
        Err(error) if error.kind() == Io::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let names = links.map(|link| Ok(link.map_err(failed)?.file_name())).collect::<Result<Vec<_>>>()?;
    Ok(names.into_iter().filter_map(|name| InstanceName::from_unit(name.to_str()?)).collect())
}
