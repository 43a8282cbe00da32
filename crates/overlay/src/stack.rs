//! An instance's stack, opened and checked: what will be mounted.
//!
//! The layers file and every directory named here belong to the service user, so this is where root decides: the file
//! is parsed again, each directory is opened beneath the root, and only descriptors go further.

use names::{InstanceName, Layer, parse_layers};
use rustix::io::Errno;

use crate::beneath::Dir;
use crate::error::{Error, Result};
use crate::work;

/// 500 lines of the longest refs fit.
const MAX_LAYERS_FILE: usize = 512 * 1024;

/// The directories of one instance's mount, each held open.
#[derive(Debug)]
pub struct Stack {
    /// The mount's `source`, by which it is found again.
    pub source: String,
    /// The lower layers, highest precedence first.
    pub layers: Vec<(Layer, Dir)>,
    /// What the server writes.
    pub upper: Dir,
    /// The kernel's own directory beside it, made for this mount.
    pub work: Dir,
    /// `runtime/NAME`, in which `merged` lies.
    pub runtime: Dir,
    /// Where the mount will hang. Nothing is mounted there now.
    pub merged: Dir,
}

/// Where the staged layers of an instance lie below the root.
fn layers_path(name: &InstanceName) -> String {
    format!("instances/{name}/staged/layers")
}

/// The directory of an instance's upper, work and merged below the root.
pub fn runtime_path(name: &InstanceName) -> String {
    format!("runtime/{name}")
}

/// Reads and checks the layers staged for `name`. Errors quote what is wrong in the file, so it must be the service
/// user's own: a hard link to somebody else's would make root's messages an oracle for it.
pub fn staged_layers(root: &Dir, name: &InstanceName) -> Result<Vec<Layer>> {
    let path = layers_path(name);
    let bytes = root.read_owned(&path, MAX_LAYERS_FILE)?;
    parse_layers(&bytes).map_err(|error| Error::new(format!("{} is refused: {error}", root.label_of(path))))
}

/// Opens the directories of `layers` beneath `root`, in order.
pub fn open_layers(root: &Dir, layers: Vec<Layer>) -> Result<Vec<(Layer, Dir)>> {
    layers
        .into_iter()
        .map(|layer| {
            let dir = root.open_place(layer.relative_path())?;
            Ok((layer, dir))
        })
        .collect()
}

impl Stack {
    /// Opens everything that the mount of `name` needs, and makes its work directory. That nothing is mounted at `merged`
    /// yet is checked by the same call that opens it.
    pub fn open(root: &Dir, name: &InstanceName, layers: Vec<(Layer, Dir)>) -> Result<Self> {
        let runtime = root.open_dir(runtime_path(name))?;
        let merged = runtime.open_dir_unmounted("merged").map_err(|error| match error.errno() {
            Some(Errno::XDEV) => Error::new(format!("{} is already mounted on", runtime.label_of("merged"))),
            _ => error,
        })?;
        let upper = runtime.open_dir_unmounted("upper")?;
        for dir in [&runtime, &upper, &merged] {
            check_owner(dir, root)?;
        }
        let work = work::make(root, &runtime, name)?;
        Ok(Self { source: name.mount_source(), layers, upper, work, runtime, merged })
    }
}

/// The service user owns the root directory and all that its instances run from: a directory of somebody else's in
/// such a place was put there by somebody else.
pub(crate) fn check_owner(dir: &Dir, root: &Dir) -> Result<()> {
    if dir.owner()?.0 == root.owner()?.0 {
        return Ok(());
    }
    Err(Error::new(format!("{} does not belong to the owner of {}", dir.label(), root.label())))
}
