//! One helper at a time for an instance.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use names::InstanceName;
use overlay::beneath::{Dir, FileId};
use overlay::record::Record;
use overlay::{Error, Result};

/// The lock of one instance, a file that is root's alone, so nobody can hold it to make root wait. Names of instances
/// can't begin with a dot, so nothing else is called so.
const DIRECTORY: &str = ".locks";

/// Held until it is released, or the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "open is locked")] File);

impl Lock {
    /// Waits for the lock of `name`.
    pub(crate) fn take(records: &Dir, name: &InstanceName) -> Result<Self> {
        let locks = records.make_dir(DIRECTORY, 0o700)?;
        loop {
            let file = locks.open_or_create(name.as_str(), 0o600)?;
            file.lock().map_err(|e| Error::new(format!("can't lock {name}: {e}")))?;
            // Who had it may have removed it: what counts is the file of that name, or two helpers would hold two.
            let locked = file.metadata().map_err(|e| Error::new(format!("can't read the lock of {name}: {e}")))?;
            let named = locks.id_of(name.as_str())?;
            if named == Some(FileId { device: locked.dev(), inode: locked.ino() }) {
                return Ok(Self(file));
            }
        }
    }

    /// Gives it back. The file stays as long as something is on record, so that an umount needs no space in `/run`; and
    /// not longer: any valid name can be asked to be unmounted, and there are more of them than `/run` has room for.
    pub(crate) fn release(self, records: &Dir, name: &InstanceName) {
        // Best effort: a file too many is no harm, and what was done is done.
        if let Ok(None) = Record::read(records, name) {
            let _ = records.open_dir(DIRECTORY).map(|locks| locks.remove_file(name.as_str()));
        }
        drop(self);
    }
}
