//! The way back: everything that was moved is restarted on the version that it came from, which becomes the current one again,
//! so that no later start brings the one that failed.

use std::collections::VecDeque;
use std::time::Duration;

use names::{GenerationId, InstanceName};

use super::gate::{Gate, Verdict};
use super::state::{Failed, Place, State, Step};
use super::{AT_ONCE, PAUSE, Rollout, RolloutEvent};
use crate::generations::versions::Versions;
use crate::lock::Lock;
use crate::staging::staged_version;
use crate::{Error, ErrorKind, InstanceState, Result, SupervisorKind};

impl Rollout<'_> {
    /// Goes on where the rollout was interrupted on its way back.
    pub(super) fn go_on_back(&mut self, failed: &Failed) -> Error {
        if let Ok(name) = failed.instance.parse() {
            self.tell(&RolloutEvent::Failed { name, why: failed.why.clone() });
        }
        self.go_back(failed, None)
    }

    /// Takes everything back that can be, and says why; `cause` is what failed, where that has just happened.
    pub(super) fn go_back(&mut self, failed: &Failed, cause: Option<Error>) -> Error {
        self.gates.clear();
        let former = match self.reset_current() {
            Ok(former) => former,
            Err(error) => return self.unless_interrupted(error).unwrap_or_else(|interrupted| interrupted),
        };
        match self.drive_back().and_then(|not_back| State::remove(&self.root).map(|()| not_back)) {
            Ok(not_back) => self.explain(failed, former.as_ref(), &not_back, cause),
            Err(error) => error,
        }
    }

    /// Makes the former version the current one again, unless another was made so meanwhile.
    fn reset_current(&mut self) -> Result<Option<GenerationId>> {
        let _lock = self.host.lock(&self.root, Lock::Installation)?;
        let mut versions = Versions::read(&self.root)?;
        let former = self.state.former(&versions);
        if let Some(former) = &former
            && versions.current().is_some_and(|current| current.id == self.state.target)
        {
            versions.set_current(former)?;
            versions.write(&self.root)?;
        }
        Ok(former)
    }

    /// Those that could not be brought back, and why.
    fn drive_back(&mut self) -> Result<Vec<(InstanceName, String)>> {
        let still = self.state.steps.iter().filter(|(_, step)| step.place != Place::Back);
        let mut waiting: VecDeque<InstanceName> = still.map(|(name, _)| name.clone()).collect();
        let mut not_back = Vec::new();
        while !waiting.is_empty() || !self.gates.is_empty() {
            self.interrupted.check().map_err(|_| self.was_interrupted())?;
            while self.gates.len() < AT_ONCE {
                let Some(name) = waiting.pop_front() else { break };
                match self.restart_back(&name) {
                    Ok(true) => {}
                    Ok(false) => self.put(&name, Place::Back)?,
                    Err(error) => {
                        let error = self.unless_interrupted(error)?;
                        not_back.push((name.clone(), self.tell_not_back(&name, error.with_causes())));
                    }
                }
                self.interrupted.check().map_err(|_| self.was_interrupted())?;
            }
            match self.look()? {
                Some((gate, Verdict::Failed(_, why))) => {
                    not_back.push((gate.name.clone(), self.tell_not_back(&gate.name, why)));
                }
                Some((Gate { name, version, .. }, _)) => {
                    self.put(&name, Place::Back)?;
                    let version = Some(version.as_str().to_owned());
                    self.tell(&RolloutEvent::Back { name, version, error: None });
                }
                None => self.interrupted.pause(PAUSE).map_err(|_| self.was_interrupted())?,
            }
        }
        Ok(not_back)
    }

    /// Restarts one on its former version and watches it; whether there was anything to do.
    fn restart_back(&mut self, name: &InstanceName) -> Result<bool> {
        let Some(Step { from, place }) = self.state.steps.get(name).cloned() else { return Ok(false) };
        let status = match self.host.get_instance_status(name) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Somebody else has stopped it since it was moved: its next start is on the former version.
        if place == Place::Moved && status.state == InstanceState::Stopped && !status.enabled {
            return Ok(false);
        }
        let Some(from) = from else {
            let message = format!("it is not known on which build instance {name} ran before");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let staged = staged_version(&self.root, name)?.map(|(id, _)| id);
        if self.runs(name)? && staged.as_ref() == Some(&from) {
            // A stop that failed half way leaves it running, and not to come back after a reboot.
            if !status.enabled && self.host.supervisor_kind() == SupervisorKind::Systemd {
                let lock = self.host.lock(&self.root, Lock::Instance(name))?;
                self.host.supervisor().enable(name, &lock)?;
            }
            return Ok(false);
        }
        // Stopped from here on, it is so by us.
        self.put(name, Place::Moving)?;
        self.tell(&RolloutEvent::Restarting { name: name.clone() });
        self.host.restart_on(name, &from)?;
        // What it ran on before has nothing to prove but that it is up.
        let times = (self.request.limit, Duration::ZERO);
        self.gates.push(Gate::new(&self.root, name.clone(), from, times));
        Ok(true)
    }

    fn tell_not_back(&mut self, name: &InstanceName, why: String) -> String {
        let version = self.state.steps.get(name).and_then(|step| Some(step.from.as_ref()?.as_str().to_owned()));
        self.tell(&RolloutEvent::Back { name: name.clone(), version, error: Some(why.clone()) });
        why
    }

    fn explain(
        &self,
        failed: &Failed,
        former: Option<&GenerationId>,
        not_back: &[(InstanceName, String)],
        cause: Option<Error>,
    ) -> Error {
        let Failed { instance, why } = failed;
        let target = self.state.target.as_str();
        let mut message = format!("instance {instance} failed on build {target}: {why}");
        for (name, why) in not_back {
            message.push_str(&format!("; {name} is not back on its former build: {why}"));
        }
        let current =
            former.map_or_else(String::new, |former| format!("build {} is the current one again; ", former.as_str()));
        let again = format!("`l4d2ctl rollback {target}` and `l4d2ctl rollout` try it once more");
        let error = Error::new(ErrorKind::RolloutFailed, message)
            .hint(format!("{current}`l4d2ctl logs {instance}` shows more; {again}"));
        // The cause of the cause: its own words are in the message.
        match cause.and_then(Error::into_source) {
            Some(source) => error.because(source),
            None => error,
        }
    }
}
