//! Moving the instances that run to the current build of the game, one first, the others after it a few at a time; and all
//! of them back where one does not come up as it should.
//!
//! - [`state`]: how far it has come, on disk before each step; [`gate`]: what each has to pass after its restart;
//! - [`forward`]: the way there; [`back`]: the way back.
//!
//! **Killed anywhere.** Before an instance is restarted it is written down with the version that it came from, and before
//! anything goes back, that it does. So whatever was done, the next rollout knows of it: it watches those anew that were being
//! moved, starts one that was stopped in the middle of its restart, and goes on in the same direction.

mod back;
mod forward;
mod gate;
mod state;

use std::time::Duration;

use names::InstanceName;
use overlay::beneath::Dir;

use crate::drain::{Waiting, WhenEmpty};
use crate::generations::versions::Versions;
use crate::interrupt::Interrupted;
use crate::lock::Lock;
use crate::{Error, ErrorKind, Host, InstanceState, Result, Version, start};
use gate::{Gate, Verdict};
pub(crate) use state::former_versions;
use state::{Place, State};

/// How many are restarted and watched at a time, once the first has passed.
const AT_ONCE: usize = 4;

/// Between two looks at those that are being watched.
const PAUSE: Duration = Duration::from_millis(400);

/// What is wanted of a rollout.
#[derive(Debug, Clone)]
pub struct RolloutRequest {
    /// The instance that is moved first; otherwise one on which nobody plays, or else the first by name.
    pub canary: Option<InstanceName>,
    /// Wait until nobody plays; otherwise each is restarted whoever plays.
    pub when_empty: Option<WhenEmpty>,
    /// How long a server may take to answer.
    pub limit: Duration,
    /// How long it is watched after that.
    pub soak: Duration,
}

/// What happens in a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutEvent {
    /// It begins, or goes on where one was interrupted.
    Begin {
        /// The version that instances are moved to.
        version: Version,
        /// Those that are to be moved, or are being.
        instances: Vec<InstanceName>,
        /// How many have been moved by the one that was interrupted.
        moved: usize,
        /// One was interrupted.
        resumed: bool,
    },
    /// This one is left as it is, and why.
    Skipped {
        /// Its name.
        name: InstanceName,
        /// Why.
        why: String,
    },
    /// This one is the first.
    Canary {
        /// Its name.
        name: InstanceName,
    },
    /// What is known of one that is waited for, and how much time is left.
    Waiting {
        /// Its name.
        name: InstanceName,
        /// What is known.
        waiting: Waiting,
        /// Until the deadline, if there is one.
        left: Option<Duration>,
    },
    /// The deadline has come before it was known to be empty.
    Overdue {
        /// Its name.
        name: InstanceName,
        /// How many play on it; none where it is not known.
        humans: Option<u8>,
    },
    /// It is being restarted.
    Restarting {
        /// Its name.
        name: InstanceName,
    },
    /// Its server answers.
    Answered {
        /// Its name.
        name: InstanceName,
        /// How long that took.
        after: Duration,
    },
    /// It is on the new version, and has passed.
    Moved {
        /// Its name.
        name: InstanceName,
        /// How many are.
        moved: usize,
        /// Of how many.
        total: usize,
    },
    /// It has not passed: from now on all goes back.
    Failed {
        /// Its name.
        name: InstanceName,
        /// Why.
        why: String,
    },
    /// It is on its former version again, or could not be brought there.
    Back {
        /// Its name.
        name: InstanceName,
        /// The former version's name; none where it is not known.
        version: Option<String>,
        /// Why it is not there, where it is not.
        error: Option<String>,
    },
}

/// What a rollout has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledOut {
    /// The version that all are on now that run, but for those that were left as they were.
    pub version: Version,
    /// Those that were moved, also by one that was interrupted.
    pub moved: Vec<InstanceName>,
}

/// Told what happens.
type Tell<'a> = &'a mut dyn FnMut(&RolloutEvent);

/// A rollout that is under way.
struct Rollout<'a> {
    host: &'a Host,
    root: Dir,
    request: &'a RolloutRequest,
    state: State,
    gates: Vec<Gate>,
    interrupted: Interrupted,
    tell: Tell<'a>,
}

impl Host {
    /// Restarts the instances that run on another version than the current one. One that does not pass is an error, and takes
    /// all back. An interruption leaves everything as it is at that moment, and the next call goes on.
    pub fn rollout(&self, request: &RolloutRequest, tell: Tell<'_>) -> Result<RolledOut> {
        let root = self.open()?;
        let _lock = self.lock(&root, Lock::Rollout)?;
        let versions = Versions::read(&root)?;
        let current = versions.current().cloned().ok_or_else(|| start::not_installed(&root))?;
        let left = State::read(&root)?.filter(|state| state.is_of(&versions, &current.id));
        let (resumed, state) = (left.is_some(), left.unwrap_or_else(|| State::new(current.id.clone())));
        let interrupted = Interrupted::watch("interrupted", "`l4d2ctl rollout` goes on")?;
        let mut rollout = Rollout { host: self, root, request, state, gates: Vec::new(), interrupted, tell };
        match rollout.state.failed.clone() {
            Some(failed) => Err(rollout.go_on_back(&failed)),
            None => rollout.go_forward(current, resumed),
        }
    }
}

impl Rollout<'_> {
    fn tell(&mut self, event: &RolloutEvent) {
        (self.tell)(event);
    }

    /// Notes the place of an instance, on disk.
    fn put(&mut self, name: &InstanceName, place: Place) -> Result<()> {
        if let Some(step) = self.state.steps.get_mut(name) {
            step.place = place;
        }
        self.state.write(&self.root)
    }

    /// Looks at those that are being watched, and takes out one for which that is over.
    fn look(&mut self) -> Result<Option<(Gate, Verdict)>> {
        if self.gates.is_empty() {
            return Ok(None);
        }
        let verdicts = self.host.look_at(&self.root, &mut self.gates)?;
        let mut over = None;
        for (index, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Waiting => {}
                Verdict::Answered(after) => {
                    let name = self.gates[index].name.clone();
                    (self.tell)(&RolloutEvent::Answered { name, after });
                }
                // The others are looked at again.
                Verdict::Passed | Verdict::Failed(..) => over = over.or(Some((index, verdict))),
            }
        }
        Ok(over.map(|(index, verdict)| (self.gates.remove(index), verdict)))
    }

    /// Whether an instance runs, or is about to.
    fn runs(&self, name: &InstanceName) -> Result<bool> {
        Ok(matches!(self.host.state_of(name)?, InstanceState::Running | InstanceState::Starting))
    }

    /// What becomes of an error while the rollout was interrupted: a child has got the same signal, and failed of it.
    fn unless_interrupted(&self, error: Error) -> Result<Error> {
        self.interrupted.check().map_err(|_| self.was_interrupted())?;
        Ok(error)
    }

    fn was_interrupted(&self) -> Error {
        let build = self.state.target.as_str();
        let message = match &self.state.failed {
            None => {
                let moved = self.state.all(Place::Moved).count();
                format!("interrupted: {moved} instances have been moved to build {build}, and nothing goes back")
            }
            Some(_) => format!("interrupted: not all instances that were moved to build {build} are back"),
        };
        Error::new(ErrorKind::Interrupted, message).with_exit_code(130).hint("`l4d2ctl rollout` goes on")
    }
}
