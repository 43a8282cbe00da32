//! `delete` and `reset`: taking an instance away, or what its server wrote.
//!
//! What goes is first renamed into `tmp/`, where nothing counts, and the rename is put on disk; the removal itself may
//! then take its time, or be finished by the next command. So a kill or a power cut leaves the old or the new.

use names::InstanceName;
use overlay::beneath::Dir;
use rustix::io::Errno;

use crate::aside::{Aside, open_swept};
use crate::initialize::{check_revision, make_runtime};
use crate::instance::{self, Instance};
use crate::lock::Lock;
use crate::{ErrorKind, Host, InstanceState, Result, Revision};

impl Host {
    /// Stops the instance and removes it; says whether it was there. Removing what is not there succeeds.
    pub fn delete(&self, name: &InstanceName, if_revision: Option<&Revision>) -> Result<bool> {
        let root = self.open()?;
        let lock = self.lock(&root, Lock::Instance(name))?;
        let tmp = open_swept(&root, name)?;
        let exists = exists_at(&root, name, if_revision)?;
        let has_runtime = root.exists(format!("runtime/{name}"))?;
        if exists || has_runtime || self.is_known(name)? {
            self.check_not_held_by_other(&root, name)?;
            self.supervisor().disable(name, &lock)?;
            // It had to be killed, and that would be the last that is known of an instance which is no more.
            if self.state_of(name)? == InstanceState::Failed {
                self.supervisor().disable(name, &lock)?;
            }
        }
        if has_runtime {
            overlay::work::check_not_foreign(&root.open_dir("runtime")?.open_dir_writable(name.as_str())?)?;
        }
        // The instance first: without it the rest is nothing that anybody asks for.
        for (parent, aside) in [("instances", Aside::Deleted), ("runtime", Aside::Runtime)] {
            let aside = aside.of(name);
            move_aside(&root.open_dir(parent)?, name.as_str(), &tmp, &aside)?;
            tmp.remove(&aside)?;
        }
        // What was put aside would come back after a power cut, to nobody's use.
        tmp.sync()?;
        Ok(exists)
    }

    /// Whether [`Self::delete`] would be refused as things are, as the instance is at another revision.
    pub fn check_delete(&self, name: &InstanceName, if_revision: Option<&Revision>) -> Result<()> {
        exists_at(&self.open_for_reading()?, name, if_revision).map(drop)
    }

    /// Stops the instance and empties its upper: everything its server ever wrote is gone.
    pub fn reset(&self, name: &InstanceName) -> Result<()> {
        let root = self.open()?;
        let lock = self.lock(&root, Lock::Instance(name))?;
        let tmp = open_swept(&root, name)?;
        match Instance::read(&root, name) {
            Ok(None) => return Err(instance::not_found(&root, name)),
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            Ok(Some(_)) | Err(_) => {}
        }
        self.check_not_held_by_other(&root, name)?;
        self.supervisor().disable(name, &lock)?;
        make_runtime(&root, name)?;
        let runtime = root.open_dir(format!("runtime/{name}"))?;
        let aside = Aside::Upper.of(name);
        tmp.create_dir(&aside, 0o755)?;
        // The game may have closed its root, which is the upper.
        runtime.make_movable("upper")?;
        tmp.exchange(&aside, &runtime, "upper")?;
        runtime.sync()?;
        tmp.sync()?;
        tmp.remove(&aside)?;
        Ok(tmp.sync()?)
    }
}

/// Whether there is such an instance, which must then be at this revision.
fn exists_at(root: &Dir, name: &InstanceName, if_revision: Option<&Revision>) -> Result<bool> {
    let (exists, revision) = match Instance::read(root, name) {
        Ok(instance) => (instance.is_some(), instance.map(|instance| instance.revision)),
        Err(error) if error.kind() == ErrorKind::Corrupt => (true, None),
        Err(error) => return Err(error),
    };
    if exists || if_revision.is_none() {
        check_revision(name, revision.as_ref(), if_revision)?;
    }
    Ok(exists)
}

fn move_aside(from: &Dir, name: &str, tmp: &Dir, aside: &str) -> Result<()> {
    match from.rename_new(name, tmp, aside) {
        // Gone already, but maybe not on disk: a delete that was killed after its rename has not come to this.
        Err(error) if error.errno() == Some(Errno::NOENT) => {}
        renamed => renamed?,
    }
    from.sync()?;
    Ok(tmp.sync()?)
}
