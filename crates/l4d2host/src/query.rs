//! Asking: the status of instances, their names and their logs.

use std::collections::{BTreeMap, BTreeSet};

use names::InstanceName;
use overlay::beneath::Dir;

use crate::closest::closest;
use crate::generations::versions::Versions;
use crate::instance::{self, Instance};
use crate::problems::{self, Seen};
use crate::staging::{is_staged_on_another, staged_revision, staged_version};
use crate::status::now;
use crate::{
    Error, ErrorKind, Host, InstanceState, InstanceStatus, LogOptions, LogStream, Result, StatusProblem, UnitDetails,
    UnitState,
};

impl Host {
    /// The names of all instances, sorted.
    pub fn instance_names(&self) -> Result<Vec<InstanceName>> {
        instance::names(&self.open_for_reading()?)
    }

    /// The instance that was probably meant by the name of one that is not there.
    pub fn closest_instance(&self, name: &InstanceName) -> Result<Option<InstanceName>> {
        let names = self.instance_names()?;
        let close = closest(name.as_str(), names.iter().map(InstanceName::as_str)).map(str::to_owned);
        Ok(names.into_iter().find(|name| Some(name.as_str()) == close.as_deref()))
    }

    /// One instance, with all details.
    pub fn get_instance_status(&self, name: &InstanceName) -> Result<InstanceStatus> {
        let gone = || Error::new(ErrorKind::Internal, format!("nothing was found out about instance {name}"));
        self.named_statuses(std::slice::from_ref(name))?.pop().ok_or_else(gone)
    }

    /// These instances, in this order, with all details. One that is not there is an error.
    pub fn named_statuses(&self, names: &[InstanceName]) -> Result<Vec<InstanceStatus>> {
        let root = self.open_for_reading()?;
        // Where the file is damaged, `problems` says so; what runs does so all the same.
        let versions = Versions::read(&root).unwrap_or_default();
        let units = self.supervisor().units();
        let mut details = self.supervisor().details(names).unwrap_or_default();
        let status = |name| self.status(&root, name, units.as_ref().ok(), details.remove(name), &versions);
        let statuses = names.iter().map(status).zip(names);
        statuses.map(|(status, name)| status.ok_or_else(|| instance::not_found(&root, name))).collect()
    }

    /// All instances by name, without what is asked of each by itself: one question to the supervisor. A unit without an
    /// instance is listed if it does anything.
    pub fn all_statuses(&self) -> Result<Vec<InstanceStatus>> {
        self.every_status(false)
    }

    /// The same, with what is asked of each by itself for those that do anything. Costs milliseconds for each of them.
    pub fn all_statuses_in_detail(&self) -> Result<Vec<InstanceStatus>> {
        self.every_status(true)
    }

    fn every_status(&self, in_detail: bool) -> Result<Vec<InstanceStatus>> {
        let root = self.open_for_reading()?;
        let versions = Versions::read(&root).unwrap_or_default();
        let units = self.supervisor().units();
        let mut names: BTreeSet<InstanceName> = instance::names(&root)?.into_iter().collect();
        let mut details = BTreeMap::new();
        if let Ok(units) = &units {
            let at_work = units.iter().filter(|(_, unit)| unit.active_state != "inactive");
            let at_work: Vec<InstanceName> = at_work.map(|(name, _)| name.clone()).collect();
            if in_detail && !at_work.is_empty() {
                details = self.supervisor().details(&at_work).unwrap_or_default();
            }
            names.extend(at_work);
        }
        let status = |name| self.status(&root, name, units.as_ref().ok(), details.remove(name), &versions);
        Ok(names.iter().filter_map(status).collect())
    }

    /// What is wrong with the host itself, and so is told once and of no instance.
    pub fn problems(&self) -> Result<Vec<StatusProblem>> {
        Ok(problems::of_host(Versions::read(&self.open_for_reading()?).as_ref()))
    }

    /// The log of an instance.
    pub fn stream_instance_logs(&self, name: &InstanceName, options: &LogOptions) -> Result<LogStream> {
        let root = self.open_for_reading()?;
        if !root.exists(format!("instances/{name}"))? {
            return Err(instance::not_found(&root, name));
        }
        self.supervisor().logs(name, options)
    }

    /// The instances that run or are about to.
    pub fn running_instances(&self) -> Result<Vec<InstanceName>> {
        let units = self.supervisor().units()?;
        let stopped = [InstanceState::Stopped, InstanceState::Failed];
        let running = units.into_iter().filter(|(_, unit)| !stopped.contains(&state(unit)));
        Ok(running.map(|(name, _)| name).collect())
    }

    pub(crate) fn state_of(&self, name: &InstanceName) -> Result<InstanceState> {
        Ok(self.supervisor().units()?.get(name).map_or(InstanceState::Stopped, state))
    }

    /// Whether the supervisor has anything of that name.
    pub(crate) fn is_known(&self, name: &InstanceName) -> Result<bool> {
        Ok(self.supervisor().units()?.contains_key(name))
    }

    /// Whether an instance without files does anything all the same. Asked anew: a delete stops a server before it takes
    /// the files away, so what was known before they were missed may be from before it.
    fn is_at_work(&self, name: &InstanceName) -> bool {
        let units = self.supervisor().units();
        units.is_ok_and(|units| units.get(name).is_some_and(|unit| unit.active_state != "inactive"))
    }

    /// `units` is none where the supervisor could not be asked. There is no status of what is not there.
    fn status(
        &self,
        root: &Dir,
        name: &InstanceName,
        units: Option<&BTreeMap<InstanceName, UnitState>>,
        details: Option<UnitDetails>,
        versions: &Versions,
    ) -> Option<InstanceStatus> {
        let details = details.unwrap_or_default();
        let unit = units.map(|units| units.get(name).cloned().unwrap_or_else(UnitState::inactive));
        let (instance, problem) = match Instance::read(root, name) {
            Ok(Some(instance)) => (Some(instance), None),
            Ok(None) if !self.is_at_work(name) => return None,
            Ok(None) => (None, Some(problems::without_files(name))),
            Err(error) => (None, Some(problems::damaged(name, &error))),
        };
        let staged_revision = staged_revision(root, name).unwrap_or(None);
        let revision = instance.as_ref().map(|instance| instance.revision.clone());
        let (build_id, pending_build_id) = match staged_revision {
            Some(_) => builds(root, name, versions),
            None => (None, None),
        };
        let mut status = InstanceStatus {
            name: name.clone(),
            state: unit.as_ref().map_or(InstanceState::Unknown, state),
            active_state: unit.as_ref().map_or("unknown".to_owned(), |unit| unit.active_state.clone()),
            sub_state: unit.as_ref().map_or("unknown".to_owned(), |unit| unit.sub_state.clone()),
            result: details.result,
            enabled: unit.as_ref().is_some_and(|unit| unit.enabled),
            since: details.since.or(unit.and_then(|unit| unit.since)),
            main_pid: details.main_pid,
            restarts: details.restarts,
            port: instance.map(|instance| instance.spec.port),
            pending: revision.is_some()
                && staged_revision.is_some()
                && (revision != staged_revision || pending_build_id.is_some()),
            build_id,
            pending_build_id,
            revision,
            staged_revision,
            supervisor: self.supervisor_kind().as_str(),
            live: None,
            problems: problem.into_iter().collect(),
        };
        status.problems.extend(problems::of(&Seen {
            status: &status,
            port: None,
            log: None,
            unread: None,
            now: now(),
        }));
        Some(status)
    }
}

/// The build of the version that is staged, and that of the current one where that is another.
fn builds(root: &Dir, name: &InstanceName, versions: &Versions) -> (Option<u64>, Option<u64>) {
    // What can't be read is not known; a rollout, which acts on it, asks for itself.
    let Ok(staged) = staged_version(root, name) else { return (None, None) };
    let id = staged.as_ref().map(|(id, _)| id);
    let pending =
        versions.current().filter(|current| is_staged_on_another(id, current)).map(|current| current.build_id);
    (staged.map(|(_, build)| build), pending)
}

pub(crate) fn state(unit: &UnitState) -> InstanceState {
    InstanceState::from_unit(&unit.active_state, &unit.sub_state)
}
