//! Who keeps the server processes alive: systemd, or the embedded supervisor. One interface.

pub(crate) mod systemd;

use std::collections::BTreeMap;
use std::fmt;

use names::InstanceName;

use crate::heard::{Mark, News};
use crate::{Held, LogOptions, LogStream, Pressure, Result, UnitDetails, UnitState, Usage};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorKind {
    /// The template unit, through root's helpers.
    Systemd,
    /// A small process an instance, without root.
    Embedded,
}

impl SupervisorKind {
    /// The word of `LEFT4ME_SUPERVISOR`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Embedded => "embedded",
        }
    }
}

/// How many of the last lines of a log explain a failure.
const CAUSE_LINES: u32 = 10;

/// The last lines of an instance's log, as the cause of a failure; none where there are none, or they can't be read.
pub(crate) fn last_lines(supervisor: &dyn Supervisor, name: &InstanceName) -> Option<String> {
    let options = LogOptions { lines: CAUSE_LINES, follow: false, ..LogOptions::default() };
    let entries = supervisor.logs(name, &options).ok()?.map_while(Result::ok);
    let lines: Vec<String> = entries.map(|entry| String::from_utf8_lossy(&entry.message).into_owned()).collect();
    (!lines.is_empty()).then(|| format!("the last lines of its log:\n{}", lines.join("\n")))
}

/// What the host library asks of a supervisor.
pub(crate) trait Supervisor: fmt::Debug {
    /// Which one it is.
    fn kind(&self) -> SupervisorKind;

    /// Starts the instance from what is staged, and sees to it that it comes back after a reboot, where there is such a
    /// thing. Returns when the game has been executed; a failure carries the helper's or the game's last lines. `lock` is
    /// the instance's, and whoever does the work holds it until it is done, also when this process is killed meanwhile.
    fn enable(&self, name: &InstanceName, lock: &Held) -> Result<()>;

    /// Stops the instance, and sees to it that it stays stopped. When it returns, no process and no mount is left, and
    /// nothing in `runtime/NAME` belongs to anybody but its owner. Succeeds for one that does not run. `lock` as above.
    fn disable(&self, name: &InstanceName, lock: &Held) -> Result<()>;

    /// Every instance the supervisor knows of, in one question.
    fn units(&self) -> Result<BTreeMap<InstanceName, UnitState>>;

    /// What is asked of instances one by one; a name it does not know is left out.
    fn details(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, UnitDetails>>;

    /// What those of these instances that run use; one of which nothing can be known is left out.
    fn usage(&self, names: &[InstanceName]) -> Result<BTreeMap<InstanceName, Usage>>;

    /// For what those of these instances that run have waited; one of which nothing can be known is left out.
    fn pressure(&self, names: &[InstanceName]) -> BTreeMap<InstanceName, Pressure>;

    /// The instance's log.
    fn logs(&self, name: &InstanceName, options: &LogOptions) -> Result<LogStream>;

    /// What these instances logged after the marks, each by the name of its log; reading goes on while nobody waits.
    fn news(&self, names: &[InstanceName], marks: &BTreeMap<String, Mark>) -> Result<Vec<News>>;

    /// The name of the log that an instance's lines are in.
    fn log_of<'a>(&self, name: &'a InstanceName) -> &'a str;
}
