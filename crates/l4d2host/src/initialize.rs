//! `initialize`: making an instance from its spec, or making it anew.
//!
//! All files appear at once: they are written below `tmp/`, put on disk, and renamed or exchanged into place. What was
//! staged and the RCON password go along, so that a running instance, its restart and a reboot see no difference.

use std::io::Read;

use names::InstanceName;
use overlay::beneath::Dir;
use serde::Serialize;

use crate::aside::{Aside, open_swept};
use crate::instance::{self, Instance, is_damage};
use crate::lock::Lock;
use crate::overlays::check_overlays;
use crate::spec::{Spec, SpecSource};
use crate::staging::Staged;
use crate::{Error, ErrorKind, Host, InstanceState, Result, Revision};

/// What `initialize` did.
#[derive(Debug, Clone, Serialize)]
pub struct Initialized {
    /// The spec's revision.
    pub revision: Revision,
    /// There was no such instance before.
    pub created: bool,
    /// It runs, from what was staged before: the next start uses the new spec.
    pub running: bool,
}

impl Host {
    /// Makes the instance `name` from a spec, or makes it anew. Nothing changes unless all of it can. With `if_revision`
    /// only an instance at that revision is changed.
    pub fn initialize(
        &self,
        name: &InstanceName,
        source: &SpecSource,
        if_revision: Option<&Revision>,
    ) -> Result<Initialized> {
        let new = Instance { revision: source.revision(), spec: source.parse()? };
        let root = self.open()?;
        let _lock = self.lock(&root, Lock::Instance(name))?;
        let tmp = open_swept(&root, name)?;
        // One whose files are damaged is there, has no revision, and is mended by this.
        let (exists, old) = match Instance::read(&root, name) {
            Ok(old) => (old.is_some(), old),
            Err(error) if error.kind() == ErrorKind::Corrupt => (true, None),
            Err(error) => return Err(error),
        };
        check_revision(name, old.as_ref().map(|old| &old.revision), if_revision)?;
        check_overlays(&root, &new.spec)?;
        // Until the instance is in its place, where others see its port.
        let _ports = self.lock(&root, Lock::Ports)?;
        check_port(&root, name, &new.spec)?;
        // Asked before anything is written: a supervisor that does not answer is an error of a command that did nothing.
        let idle = [InstanceState::Stopped, InstanceState::Failed];
        let running = exists && !idle.contains(&self.state_of(name)?);
        make_runtime(&root, name)?;
        put_instance(&tmp, &root, name, &new, source, exists)?;
        Ok(Initialized { revision: new.revision, created: !exists, running })
    }
}

/// Refuses unless the instance is at the revision that the caller has seen.
pub(crate) fn check_revision(name: &InstanceName, is: Option<&Revision>, wanted: Option<&Revision>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    if is == Some(wanted) {
        return Ok(());
    }
    let is = is.map_or("not there".to_owned(), |is| format!("at revision {}", is.as_str()));
    let message = format!("instance {name} is {is}, not at revision {}", wanted.as_str());
    Err(Error::new(ErrorKind::RevisionMismatch, message).hint(format!("`l4d2ctl status {name}` shows the revision")))
}

/// Two servers can't have one port. An instance whose files are damaged has none that could be known.
fn check_port(root: &Dir, name: &InstanceName, spec: &Spec) -> Result<()> {
    for other in instance::names(root)?.iter().filter(|other| *other != name) {
        if let Ok(Some(found)) = Instance::read(root, other)
            && found.spec.port == spec.port
        {
            let message = format!("port {} is instance {other}'s", spec.port);
            return Err(Error::new(ErrorKind::PortConflict, message).hint("`l4d2ctl status` shows the ports in use"));
        }
    }
    Ok(())
}

/// The directories of the mount but `work`, which whoever mounts makes. `upper`'s owner and mode become those of what the
/// game sees as its root.
pub(crate) fn make_runtime(root: &Dir, name: &InstanceName) -> Result<()> {
    let runtime = root.make_dirs(format!("runtime/{name}"), 0o755)?;
    for dir in ["upper", "merged"] {
        // Not opened: a merged that is mounted on now need not be readable to say that it is there.
        if !runtime.exists(dir)? {
            runtime.create_dir(dir, 0o755)?;
        }
    }
    Ok(())
}

fn put_instance(
    tmp: &Dir,
    root: &Dir,
    name: &InstanceName,
    new: &Instance,
    source: &SpecSource,
    exists: bool,
) -> Result<()> {
    let instances = root.open_dir("instances")?;
    let temporary = Aside::New.of(name);
    let dir = tmp.create_dir(&temporary, 0o700)?;
    dir.create_file("spec.yaml", &source.bytes, 0o600)?;
    dir.create_file("instance.json", &new.print()?, 0o600)?;
    let old = if exists { Some(instances.open_dir(name.as_str())?) } else { None };
    dir.create_file("rcon_password", rcon_password(old.as_ref())?.as_bytes(), 0o600)?;
    if let Some(staged) = old.as_ref().map(Staged::read).transpose()?.flatten() {
        staged.write(&dir.create_dir("staged", 0o700)?)?;
    }
    dir.sync_file_system()?;
    if exists {
        tmp.exchange(&temporary, &instances, name.as_str())?;
    } else {
        tmp.rename_new(&temporary, &instances, name.as_str())?;
    }
    instances.sync()?;
    tmp.remove(&temporary)?;
    Ok(tmp.sync()?)
}

/// The instance's RCON password, 32 hex digits and a newline: the old one if there is one, else a new one.
fn rcon_password(old: Option<&Dir>) -> Result<String> {
    if let Some(old) = old {
        match read_rcon_password(old) {
            Ok(password) => return Ok(password + "\n"),
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|e| Error::io("can't read /dev/urandom", e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
}

/// Reads the password, which ends up between quotes in `server.cfg`; so nothing but its own form is taken.
pub(crate) fn read_rcon_password(instance: &Dir) -> Result<String> {
    let damaged = || {
        Error::new(ErrorKind::Corrupt, format!("{} is missing or damaged", instance.label_of("rcon_password")))
            .hint("`l4d2ctl initialize` makes a new one")
    };
    let bytes = match instance.read("rcon_password", 64) {
        Ok(bytes) => bytes,
        Err(error) if is_damage(&error) => return Err(damaged()),
        Err(error) => return Err(error.into()),
    };
    match String::from_utf8(bytes).ok().as_deref().map(str::trim_end) {
        Some(text) if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(text.to_owned()),
        _ => Err(damaged()),
    }
}
