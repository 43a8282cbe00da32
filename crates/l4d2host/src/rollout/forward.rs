//! The way there: the canary, then the others as soon as there is room, and nobody on them where that is wanted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use names::InstanceName;
use srcds_query::a2s::Info;
use srcds_query::sweep::{self, Target};

use super::gate::{Gate, Verdict};
use super::state::{Failed, Place, State, Step};
use super::{AT_ONCE, PAUSE, RolledOut, Rollout, RolloutEvent};
use crate::drain::{Drain, Waiting};
use crate::generations::versions::Versions;
use crate::live::address;
use crate::lock::{self, Lock};
use crate::staging::{is_staged_on_another, staged_version};
use crate::{Error, ErrorKind, InstanceState, InstanceStatus, Result, Version};

/// How long servers may take to say whether anybody is on them, where a canary is chosen.
const LIMIT: Duration = Duration::from_millis(500);

/// Those that are still to be restarted.
struct Ahead<'a> {
    waiting: VecDeque<InstanceName>,
    drain: Option<Drain<'a>>,
    next_look: Instant,
    /// The first of all; none as long as whoever is empty first is to be it.
    canary: Option<InstanceName>,
}

/// How one restart ended.
enum Restarted {
    Begun,
    /// There was nothing to restart any more.
    Skipped,
    Failed(Error),
}

/// To leave it behind and say that all are moved would be a guess.
fn cant_tell(name: &InstanceName) -> Error {
    let message = format!("it can't be told whether instance {name} runs: nothing more is moved");
    let hint = format!("`l4d2ctl status {name}` says more; `l4d2ctl rollout` goes on");
    Error::new(ErrorKind::RolloutFailed, message).hint(hint)
}

impl<'a> Rollout<'a> {
    pub(super) fn go_forward(&mut self, target: Version, resumed: bool) -> Result<RolledOut> {
        let (to_watch, to_start) = self.begun()?;
        let statuses = self.host.all_statuses()?;
        let mut waiting = Vec::new();
        let mut skipped = Vec::new();
        for status in &statuses {
            match status.state {
                // It starts on the current version.
                InstanceState::Stopped | InstanceState::Failed => {}
                _ if !self.is_behind(&status.name, &target)? => {}
                InstanceState::Running | InstanceState::Starting => waiting.push(status.name.clone()),
                _ if to_start.contains(&status.name) => {}
                InstanceState::Unknown => return Err(cant_tell(&status.name)),
                state => skipped.push((status.name.clone(), format!("it is {}", state.as_str()))),
            }
        }
        for name in &waiting {
            // One mistake in one spec is to take nobody back.
            self.host.check_start(name)?;
        }
        let canary = self.canary(&waiting, &to_watch, &to_start, &statuses)?;
        // One of them may have been taken back by hand.
        let moved = self.state.all(Place::Moved).filter(|name| !waiting.contains(name)).count();
        let instances: Vec<InstanceName> = to_watch.iter().chain(&to_start).chain(&waiting).cloned().collect();
        let total = moved + instances.len();
        if !instances.is_empty() || moved > 0 {
            self.tell(&RolloutEvent::Begin { version: target.clone(), instances, moved, resumed });
        }
        for (name, why) in skipped {
            self.tell(&RolloutEvent::Skipped { name, why });
        }
        let when = self.request.when_empty.clone();
        let drain = when.map(|when| Drain::new(self.host, &waiting, when));
        if let Some(name) = canary.clone().filter(|_| moved == 0 && total > 0) {
            self.tell(&RolloutEvent::Canary { name });
        }
        let mut ahead = Ahead { waiting: waiting.into(), drain, next_look: Instant::now(), canary };
        for name in to_watch {
            self.watch(name);
        }
        for name in to_start {
            if let Restarted::Failed(error) = self.restart(&name, true)? {
                return Err(self.fail(&name, error, ahead.drain));
            }
        }
        match self.drive(&mut ahead, total) {
            Ok(None) => {}
            Ok(Some((name, error))) => return Err(self.fail(&name, error, ahead.drain)),
            Err(error) => {
                self.cancel(ahead.drain);
                return Err(error);
            }
        }
        State::remove(&self.root)?;
        Ok(RolledOut { version: target, moved: self.state.all(Place::Moved).cloned().collect() })
    }

    /// Those that a rollout which was interrupted has begun to move: what has come onto the target is to be watched, what
    /// was stopped on the way there is to be started. What has not been touched waits like all others.
    fn begun(&mut self) -> Result<(Vec<InstanceName>, Vec<InstanceName>)> {
        let (mut to_watch, mut to_start) = (Vec::new(), Vec::new());
        let names: Vec<InstanceName> = self.state.all(Place::Moving).cloned().collect();
        for name in names {
            if self.host.get_instance_status(&name).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                self.state.steps.remove(&name);
                continue;
            }
            let state = self.host.state_of(&name)?;
            let there = staged_version(&self.root, &name)?.is_some_and(|(id, _)| id == self.state.target);
            match state {
                InstanceState::Stopped | InstanceState::Stopping => to_start.push(name),
                _ if there => to_watch.push(name),
                InstanceState::Running | InstanceState::Starting => {}
                _ => to_start.push(name),
            }
        }
        Ok((to_watch, to_start))
    }

    /// Which one is the first; none where that is not known yet, or the first has passed already.
    fn canary(
        &self,
        waiting: &[InstanceName],
        to_watch: &[InstanceName],
        to_start: &[InstanceName],
        statuses: &[InstanceStatus],
    ) -> Result<Option<InstanceName>> {
        if let Some(name) = &self.request.canary {
            if self.state.steps.contains_key(name) || waiting.contains(name) {
                return Ok(Some(name.clone()));
            }
            let Some(status) = statuses.iter().find(|status| status.name == *name) else {
                return Err(crate::instance::not_found(&self.root, name));
            };
            let (kind, message) = match status.pending_build_id {
                None => (ErrorKind::Usage, format!("instance {name} can't be the canary: it is on the current build")),
                Some(_) => (ErrorKind::NotRunning, format!("instance {name} can't be the canary: it does not run")),
            };
            return Err(Error::new(kind, message).hint("`l4d2ctl versions` shows which run on another build"));
        }
        if let Some(name) = to_watch.iter().chain(to_start).next() {
            return Ok(Some(name.clone()));
        }
        if self.request.when_empty.is_some() || waiting.is_empty() {
            return Ok(None);
        }
        let addressed = waiting.iter().filter_map(|name| Some((name, address(&self.root, name, None)?)));
        let (names, targets): (Vec<_>, Vec<_>) = addressed.map(|(name, address)| (name, Target::new(address))).unzip();
        let answers = sweep::ask(&targets, LIMIT);
        let empty = |info: &Info| info.humans() == 0;
        let found = names.into_iter().zip(&answers).find(|(_, answer)| answer.info.as_ref().is_ok_and(empty));
        Ok(found.map(|(name, _)| name).or(waiting.first()).cloned())
    }

    /// Restarts and watches until all have passed, or one has not.
    fn drive(&mut self, ahead: &mut Ahead<'a>, total: usize) -> Result<Option<(InstanceName, Error)>> {
        loop {
            while let Some((name, humans)) = self.next(ahead)? {
                if ahead.canary.is_none() && self.state.all(Place::Moved).next().is_none() {
                    ahead.canary = Some(name.clone());
                    self.tell(&RolloutEvent::Canary { name: name.clone() });
                }
                if humans != Some(0) {
                    self.tell(&RolloutEvent::Overdue { name: name.clone(), humans });
                }
                if let Restarted::Failed(error) = self.restart(&name, false)? {
                    return Ok(Some((name, error)));
                }
                if let Some(drain) = &mut ahead.drain {
                    drain.done();
                }
            }
            match self.look()? {
                Some((gate, Verdict::Failed(kind, why))) => {
                    let error = self.host.not_answering(&gate.name, kind, &why);
                    return Ok(Some((gate.name, error)));
                }
                Some((Gate { name, .. }, _)) => {
                    self.put(&name, Place::Moved)?;
                    let moved = self.state.all(Place::Moved).count();
                    self.tell(&RolloutEvent::Moved { name, moved, total });
                }
                None if self.gates.is_empty() && ahead.waiting.is_empty() => return Ok(None),
                None => self.interrupted.pause(PAUSE).map_err(|_| self.was_interrupted())?,
            }
            self.interrupted.check().map_err(|_| self.was_interrupted())?;
        }
    }

    /// The next one that may be restarted now, and how many play on it: 0 where nobody is waited for.
    fn next(&mut self, ahead: &mut Ahead<'a>) -> Result<Option<(InstanceName, Option<u8>)>> {
        self.interrupted.check().map_err(|_| self.was_interrupted())?;
        if ahead.waiting.is_empty() {
            return Ok(None);
        }
        let first = self.state.all(Place::Moved).next().is_none();
        let room = self.gates.len() < if first { 1 } else { AT_ONCE };
        // One that is not there any more leaves the place to the others.
        let canary = ahead.canary.clone().filter(|canary| first && ahead.waiting.contains(canary));
        let may = |name: &InstanceName| room && canary.as_ref().is_none_or(|canary| canary == name);
        let Some(drain) = &mut ahead.drain else {
            let mut held = None;
            for (index, name) in ahead.waiting.iter().enumerate().filter(|(_, name)| may(name)) {
                // Another command has it, for a moment: meanwhile Ctrl-C is heard, and the others go on.
                match lock::holder(&self.root, Lock::Instance(name))? {
                    None => return Ok(ahead.waiting.remove(index).map(|name| (name, Some(0)))),
                    Some(who) => held = held.or_else(|| Some((name.clone(), Waiting::Held(who)))),
                }
            }
            if let Some((name, waiting)) = held.filter(|_| self.gates.is_empty()) {
                (self.tell)(&RolloutEvent::Waiting { name, waiting, left: None });
            }
            return Ok(None);
        };
        if Instant::now() < ahead.next_look {
            return Ok(None);
        }
        let tell = &mut self.tell;
        let drained = drain.step(&may, &mut |name, waiting, left| {
            tell(&RolloutEvent::Waiting { name: name.clone(), waiting: waiting.clone(), left });
        })?;
        let Some(drained) = drained else {
            ahead.next_look = Instant::now() + drain.pause();
            return Ok(None);
        };
        ahead.waiting.retain(|name| *name != drained.name);
        Ok(Some((drained.name, drained.humans)))
    }

    /// Restarts one onto the target, and watches it from then on.
    fn restart(&mut self, name: &InstanceName, was_begun: bool) -> Result<Restarted> {
        let target = self.current_target()?;
        if !was_begun && !self.waits(name, &target)? {
            self.tell(&RolloutEvent::Skipped { name: name.clone(), why: "it does not run any more".to_owned() });
            return Ok(Restarted::Skipped);
        }
        if !self.state.steps.contains_key(name) {
            let from = self.version_of(name)?;
            self.state.steps.insert(name.clone(), Step { from, place: Place::Moving });
        }
        self.put(name, Place::Moving)?;
        self.tell(&RolloutEvent::Restarting { name: name.clone() });
        match self.host.restart_on(name, &self.state.target) {
            Ok(_) => {
                self.watch(name.clone());
                Ok(Restarted::Begun)
            }
            Err(error) => Ok(Restarted::Failed(self.unless_interrupted(error)?)),
        }
    }

    fn watch(&mut self, name: InstanceName) {
        let times = (self.request.limit, self.request.soak);
        self.gates.push(Gate::new(&self.root, name, self.state.target.clone(), times));
    }

    /// Whether it still runs, on another version.
    fn waits(&self, name: &InstanceName, target: &Version) -> Result<bool> {
        match self.host.get_instance_status(name).map(|status| status.state) {
            Ok(InstanceState::Running | InstanceState::Starting) => self.is_behind(name, target),
            Ok(InstanceState::Unknown) => Err(cant_tell(name)),
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it was started on another version than the target. What can't be read is an error: to take it for moved would
    /// leave a server behind in silence.
    fn is_behind(&self, name: &InstanceName, target: &Version) -> Result<bool> {
        if !self.root.exists(format!("instances/{name}/staged"))? {
            return Ok(false);
        }
        let staged = staged_version(&self.root, name)?.map(|(id, _)| id);
        Ok(is_staged_on_another(staged.as_ref(), target))
    }

    /// What it was started on. A plan that says nothing of it was staged when there was but the installation.
    fn version_of(&self, name: &InstanceName) -> Result<Option<names::GenerationId>> {
        let versions = Versions::read(&self.root)?;
        Ok(match staged_version(&self.root, name)? {
            Some((id, _)) => Some(id).filter(|id| versions.get(id).is_some()),
            None => versions.all().iter().find(|version| version.chain.is_empty()).map(|version| version.id.clone()),
        })
    }

    /// The target, if it is still the current version: an install or a rollback that came in between has the last word.
    fn current_target(&self) -> Result<Version> {
        let versions = Versions::read(&self.root)?;
        match versions.current() {
            Some(current) if current.id == self.state.target => Ok(current.clone()),
            current => {
                let current = current.map_or("none", |current| current.id.as_str());
                let target = self.state.target.as_str();
                let message =
                    format!("build {target} is no longer the current one, but {current}: nothing more is moved to it");
                Err(Error::new(ErrorKind::RolloutFailed, message)
                    .hint(format!("`l4d2ctl rollout` moves all to build {current}")))
            }
        }
    }

    fn fail(&mut self, name: &InstanceName, error: Error, drain: Option<Drain<'_>>) -> Error {
        self.cancel(drain);
        let why = error.to_string();
        let failed = Failed { instance: name.to_string(), why: why.clone() };
        self.state.failed = Some(failed.clone());
        if let Err(unwritten) = self.state.write(&self.root) {
            return unwritten;
        }
        self.tell(&RolloutEvent::Failed { name: name.clone(), why });
        self.go_back(&failed, Some(error))
    }

    /// Players who were warned are told that nothing comes of it.
    fn cancel(&mut self, drain: Option<Drain<'_>>) {
        let Some(drain) = drain else { return };
        let tell = &mut self.tell;
        drain.cancel(&mut |name, waiting, left| {
            tell(&RolloutEvent::Waiting { name: name.clone(), waiting: waiting.clone(), left });
        });
    }
}
