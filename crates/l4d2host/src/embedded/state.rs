//! What a supervisor says of itself: `runtime/NAME/supervisor.json`.
//!
//! Believed only while the supervisor's lock is held; a file that was left behind can't claim that anything runs.

use std::fs;

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::status::now;
use crate::{Error, ErrorKind, Result, UnitDetails, UnitState};

const FILE: &str = "supervisor.json";
const TEMPORARY: &str = "supervisor.json.new";
const MAX_SIZE: usize = 4096;

/// The state, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) active_state: String,
    pub(super) sub_state: String,
    pub(super) result: String,
    /// Seconds since 1970.
    pub(super) since: u64,
    pub(super) restarts: u32,
    /// The game's process, as the host numbers it.
    pub(super) main_pid: Option<u32>,
    /// The supervisor's process, as the host numbers it, and when it started (proc_pid_stat(5), field 22): together they
    /// name it for as long as the host runs.
    pub(super) pid: u32,
    pub(super) start_time: u64,
    /// Which boot of the host that was.
    pub(super) boot_id: String,
}

impl State {
    /// One that is about to begin.
    pub(super) fn starting(pid: u32, start_time: u64) -> Self {
        Self {
            active_state: "activating".to_owned(),
            sub_state: "start".to_owned(),
            result: "success".to_owned(),
            since: now(),
            restarts: 0,
            main_pid: None,
            pid,
            start_time,
            boot_id: boot_id(),
        }
    }

    /// What the file says. One that can't be read, whatever it is, is as good as none: the lock decides what runs.
    pub(super) fn read(root: &Dir, name: &InstanceName) -> Option<Self> {
        let bytes = root.read_owned(format!("runtime/{name}/{FILE}"), MAX_SIZE).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Replaces the file as a whole. Not synced: after a power cut nothing runs, whatever it says.
    pub(super) fn write(&self, runtime: &Dir) -> Result<()> {
        let bytes = serde_json::to_vec(self)
            .map_err(|e| Error::new(ErrorKind::Internal, "can't write the supervisor's state").because(e))?;
        runtime.remove(TEMPORARY)?;
        runtime.create_file(TEMPORARY, &bytes, 0o600)?;
        match runtime.rename(TEMPORARY, runtime, FILE) {
            Err(error) if error.errno() == Some(Errno::ISDIR) => {
                runtime.remove(FILE)?;
                Ok(runtime.rename(TEMPORARY, runtime, FILE)?)
            }
            other => Ok(other?),
        }
    }

    pub(super) fn forget(runtime: &Dir) -> Result<()> {
        runtime.remove(TEMPORARY)?;
        runtime.remove(FILE)?;
        Ok(())
    }

    /// The supervisor's process, if it is still there.
    pub(super) fn process(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Compared after the process is held: the number can't change hands any more.
            Ok(process) => {
                let is_it = self.boot_id == boot_id() && start_time(self.pid) == Some(self.start_time);
                Ok(is_it.then_some(process))
            }
            Err(Errno::SRCH) => Ok(None),
            Err(errno) => Err(Error::io("can't open the supervisor's process", errno.into())),
        }
    }

    /// The supervisor's last word.
    pub(super) fn is_final(&self) -> bool {
        ["failed", "inactive"].contains(&self.active_state.as_str())
    }

    /// What to make of the file when nobody holds the lock: a final state stands; any other means that the supervisor
    /// died, or that the host was started anew.
    pub(super) fn ended(self) -> Self {
        if self.is_final() {
            return self;
        }
        let lost = self.boot_id == boot_id();
        let (active, result) = if lost { ("failed", "supervisor-lost") } else { ("inactive", "success") };
        let sub_state = if active == "failed" { "failed" } else { "dead" };
        let (active_state, sub_state, result) = (active.to_owned(), sub_state.to_owned(), result.to_owned());
        Self { active_state, sub_state, result, main_pid: None, ..self }
    }

    /// Nothing of an embedded supervisor starts at boot, so it is never enabled.
    pub(super) fn unit(self) -> UnitState {
        let since = (self.active_state != "inactive").then_some(self.since);
        UnitState { active_state: self.active_state, sub_state: self.sub_state, enabled: false, since }
    }

    pub(super) fn details(self) -> UnitDetails {
        UnitDetails {
            result: Some(self.result),
            main_pid: self.main_pid,
            restarts: Some(self.restarts),
            since: Some(self.since),
        }
    }
}

/// This boot of the host.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim_end().to_owned()
}

/// When a process of this host started, in clock ticks since boot.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    parse_start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22; the second field is the program's name, which may hold anything, so counting begins after its last ")".
pub(super) fn parse_start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_whatever_the_program_is_called() {
        let stat = "812 (a) b (c) S 1 812 812 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 1000 100 0";
        assert_eq!(parse_start_time(stat), Some(987_654));
        assert_eq!(parse_start_time("812 (a S 1"), None);
        assert!(start_time(std::process::id()).is_some());
    }

    #[test]
    fn a_file_that_was_left_behind_claims_nothing() {
        let state = State { active_state: "active".to_owned(), main_pid: Some(2), ..State::starting(3, 4) };
        let lost = state.clone().ended();
        assert_eq!((lost.active_state.as_str(), lost.main_pid), ("failed", None));
        let before = State { boot_id: "another".to_owned(), ..state }.ended();
        assert_eq!(before.active_state, "inactive");
    }
}
