//! What the two verbs do, a kernel step a paragraph.
//!
//! Why each is safe for a hostile caller: it chooses only the verb and the name. The root directory comes from root's own
//! file. Everything beneath it, layers file included, is taken as written by an attacker: opened by descriptor, no
//! links, checked on the descriptor, and mounted or removed by that same descriptor. Both verbs are idempotent, so being
//! called at a wrong moment, twice or at once (there is a lock) changes nothing but the instance's own mount.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use names::{InstanceName, Layer, RECORD_DIR};
use overlay::beneath::Dir;
use overlay::mount::{Detached, OPTIONS, USERXATTR};
use overlay::record::Record;
use overlay::stack::{Stack, open_layers, runtime_path, staged_layers};
use overlay::umount::umount_all;
use overlay::{Error, Result, mountinfo, trusted, work};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::lock::Lock;
use crate::process::{Environment, enter_pid1_mount_namespace};
use crate::request::{Request, Verb};

/// Does what was asked, as root, in PID 1's mount namespace.
pub(crate) fn run(request: &Request) -> Result<()> {
    if !geteuid().is_root() {
        return Err(Error::new("must be run by root (LEFT4ME_OVERLAY_PRINT_ONLY=1 only prints the plan)"));
    }
    enter_pid1_mount_namespace()?;
    let root = Dir::open_root(&trusted::root_directory()?)?;
    let records = open_records()?;
    let lock = Lock::take(&records, &request.name)?;
    helper::block_signals();
    let done = match request.verb {
        Verb::Mount => mount(&root, &records, &request.name),
        Verb::Umount => umount(&root, &records, &request.name),
    };
    lock.release(&records, &request.name);
    done
}

fn mount(root: &Dir, records: &Dir, name: &InstanceName) -> Result<()> {
    let layers = open_layers(root, staged_layers(root, name)?)?;
    if is_mounted(root, records, name, &layers)? {
        return Ok(());
    }

    // A stray: from before a crash, with other layers, or moved away by the service user.
    umount_all(&name.mount_source())?;

    let stack = Stack::open(root, name, layers)?;
    let mount = Detached::create(&stack)?;

    // Before the mount appears: one that nothing records could not be told from the right one later.
    Record::of(&stack, mount.id)?.write(records, name)?;
    mount.attach(&stack).inspect_err(|_| {
        // The error to report is the first one. Should this fail too, the next mount clears the stray.
        let _ = umount_all(&stack.source).and_then(|_| records.remove(name.as_str()));
    })
}

/// Whether the mount on record hangs in its place, is the only one, and has just these layers and this upper.
fn is_mounted(root: &Dir, records: &Dir, name: &InstanceName, layers: &[(Layer, Dir)]) -> Result<bool> {
    let source = name.mount_source();
    let text =
        fs::read("/proc/self/mountinfo").map_err(|e| Error::new(format!("can't read /proc/self/mountinfo: {e}")))?;
    if mountinfo::overlays_of(&text, &source).count() != 1 {
        return Ok(false);
    }
    // A record that can't be read is as good as none: the mount is then a stray.
    let Ok(Some(record)) = Record::read(records, name) else { return Ok(false) };
    let runtime = root.open_dir(runtime_path(name))?;
    let same_layers = record.layers.len() == layers.len()
        && record
            .layers
            .iter()
            .zip(layers)
            .all(|((id, layer), (wanted, dir))| layer == wanted && dir.id().is_ok_and(|d| d == *id));
    Ok(same_layers
        && runtime.id_of("upper")? == Some(record.upper)
        && runtime.mount_id_of(c"merged").is_ok_and(|id| id == record.mount_id))
}

fn umount(root: &Dir, records: &Dir, name: &InstanceName) -> Result<()> {
    umount_all(&name.mount_source())?;
    records.remove(name.as_str())?;
    match root.open_dir(runtime_path(name)) {
        Ok(runtime) => work::remove(&runtime, name),
        // An instance without a runtime directory has nothing to clean.
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// `/run/left4me`, made where tmpfiles has not. `/run` is root's, so nobody else can have put it there.
fn open_records() -> Result<Dir> {
    let path = Path::new(RECORD_DIR);
    let parent = Dir::open_root(path.parent().unwrap_or(path))?;
    let records = parent.make_dir(path.file_name().unwrap_or(OsStr::new("left4me")), 0o755)?;
    if records.owner()?.0.is_root() {
        return Ok(records);
    }
    Err(Error::new(format!("{} does not belong to root", records.label())))
}

/// Prints what would be done. It needs no root, looks at no mount and does nothing.
pub(crate) fn print(request: &Request, environment: &Environment) -> Result<()> {
    if environment.under_systemd {
        return Err(Error::new("LEFT4ME_OVERLAY_PRINT_ONLY is refused under systemd"));
    }
    let root = Dir::open_root(&trusted::root_directory()?)?;
    let name = &request.name;
    let runtime = root.label_of(runtime_path(name));
    let plan = match request.verb {
        Verb::Mount => mount_plan(&root, name, &runtime)?,
        Verb::Umount => format!(
            "umount every overlay with source {}\nremove {runtime}/work\nremove {RECORD_DIR}/{name}\n",
            name.mount_source()
        ),
    };
    std::io::stdout().write_all(plan.as_bytes()).map_err(|e| Error::new(format!("can't print the plan: {e}")))
}

fn mount_plan(root: &Dir, name: &InstanceName, runtime: &str) -> Result<String> {
    let layers = staged_layers(root, name)?;
    let lower = layers.iter().map(|layer| format!("lowerdir+ {}\n", root.label_of(layer.relative_path())));
    let options = OPTIONS.map(|(key, value)| format!(",{key}={value}")).concat();
    let (source, work) = (name.mount_source(), format!("{runtime}/work"));
    Ok(format!(
        "mount overlay {source} at {runtime}/merged\n{}upperdir {runtime}/upper\nworkdir {work}/{source}\n\
         options {USERXATTR}{options}\nflags nosuid,nodev\n",
        lower.collect::<String>(),
    ))
}
