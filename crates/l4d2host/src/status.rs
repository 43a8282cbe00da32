//! What is known of an instance: the words of `status`, the same whichever supervisor answers.

use names::{InstanceName, Port};
use serde::Serialize;

use crate::texts::as_text;
use crate::{Live, StatusProblem};

/// Names one content of a spec: the first 16 hex digits of its bytes' SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Revision(pub(crate) String);

impl Revision {
    /// A revision as somebody wrote it: 16 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        valid.then(|| Self(text.to_owned()))
    }

    /// The revision as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One word for how an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// The server's process runs.
    Running,
    /// Being started.
    Starting,
    /// Being stopped.
    Stopping,
    /// Not running, and not because it failed.
    Stopped,
    /// Ended by a failure, and not started again.
    Failed,
    /// Ended by a failure, and waiting to be started again.
    CrashLooping,
    /// The supervisor could not be asked.
    Unknown,
}

impl InstanceState {
    /// From systemd's two words; the embedded supervisor uses the same.
    pub fn from_unit(active_state: &str, sub_state: &str) -> Self {
        match (active_state, sub_state) {
            ("activating", "auto-restart" | "auto-restart-queued") => Self::CrashLooping,
            ("active" | "reloading" | "refreshing", _) => Self::Running,
            ("activating", _) => Self::Starting,
            ("deactivating", _) => Self::Stopping,
            ("inactive", _) => Self::Stopped,
            ("failed", _) => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// The word as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::CrashLooping => "crash-looping",
            Self::Unknown => "unknown",
        }
    }
}

/// What one question about all instances answers of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// systemd's ActiveState: `active`, `inactive`, `activating`, `deactivating`, `failed`.
    pub active_state: String,
    /// systemd's SubState.
    pub sub_state: String,
    /// Starts again at boot.
    pub enabled: bool,
    /// When the present run began, in seconds since 1970; none where nothing runs.
    pub since: Option<u64>,
}

impl UnitState {
    /// One that the supervisor can't tell anything of.
    pub fn unknown() -> Self {
        Self { active_state: "unknown".to_owned(), sub_state: "unknown".to_owned(), enabled: false, since: None }
    }

    /// One that the supervisor does not know of does nothing.
    pub fn inactive() -> Self {
        Self { active_state: "inactive".to_owned(), sub_state: "dead".to_owned(), enabled: false, since: None }
    }
}

/// What is asked of each instance by itself, where it is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitDetails {
    /// systemd's Result: `success`, `exit-code`, `signal`, `start-limit-hit`, …
    pub result: Option<String>,
    /// The server's process, as the host numbers it.
    pub main_pid: Option<u32>,
    /// How often it was restarted after a failure since it was last started by hand.
    pub restarts: Option<u32>,
    /// When it came into its present state, in seconds since 1970.
    pub since: Option<u64>,
}

/// One instance, whole. `None` is "not asked" or "does not apply".
#[derive(Debug, Clone, Serialize)]
pub struct InstanceStatus {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: InstanceName,
    /// The one word.
    pub state: InstanceState,
    /// systemd's ActiveState, or `unknown`.
    pub active_state: String,
    /// systemd's SubState, or `unknown`.
    pub sub_state: String,
    /// systemd's Result; asked only where instances are named.
    pub result: Option<String>,
    /// Starts again at boot.
    pub enabled: bool,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
    /// The server's process; asked only where instances are named.
    pub main_pid: Option<u32>,
    /// Restarts after a failure; asked only where instances are named, or observed while they run.
    pub restarts: Option<u32>,
    /// The port of the spec; none where the instance's files can't be read.
    #[serde(serialize_with = "as_number")]
    pub port: Option<Port>,
    /// The spec's revision.
    pub revision: Option<Revision>,
    /// The revision that was staged by the last start.
    pub staged_revision: Option<Revision>,
    /// The next start changes something: the spec differs from what was staged, or [`Self::pending_build_id`] is some.
    pub pending: bool,
    /// The build of the game that was staged by the last start; none where that is not known.
    pub build_id: Option<u64>,
    /// The build that the next start brings, where that is another version than was staged.
    pub pending_build_id: Option<u64>,
    /// Which supervisor answers for it: `systemd` or `embedded`.
    pub supervisor: &'static str,
    /// What its server says of itself; none where that was not asked.
    pub live: Option<Live>,
    /// What is wrong, the gravest first. Of what only the server's answer or its log shows: where it was asked.
    pub problems: Vec<StatusProblem>,
}

#[cfg(test)]
impl InstanceStatus {
    /// One of which nothing is known but this.
    pub(crate) fn example(state: InstanceState) -> Self {
        let unit = UnitState::unknown();
        Self {
            name: "friday".parse().unwrap(),
            state,
            active_state: unit.active_state,
            sub_state: unit.sub_state,
            result: None,
            enabled: false,
            since: None,
            main_pid: None,
            restarts: None,
            port: None,
            revision: None,
            staged_revision: None,
            pending: false,
            build_id: None,
            pending_build_id: None,
            supervisor: "embedded",
            live: None,
            problems: Vec::new(),
        }
    }
}

/// Now, in seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

// serde hands over a reference to the field, whatever its size.
#[allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option)]
fn as_number<S: serde::Serializer>(port: &Option<Port>, serializer: S) -> Result<S::Ok, S::Error> {
    port.map(Port::get).serialize(serializer)
}
