//! What a command makes or takes away of an instance, as long as it does not count: `tmp/NAME.new` and the like.
//!
//! A closed list of names, swept by whoever locks the instance next, before it does anything: what a command that was
//! killed or that failed left there is then gone, whatever that next command is about.

use names::InstanceName;
use overlay::beneath::Dir;

use crate::Result;

/// Everything of an instance that may lie in `tmp/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// The instance that is being made, or the old one in exchange.
    New,
    /// The plan that is being staged, or the old one in exchange.
    Staged,
    /// An instance that is being deleted.
    Deleted,
    /// Its runtime directory.
    Runtime,
    /// The upper that a reset takes away, or the empty one for it.
    Upper,
    /// What lay in the place of `work` when the instance was mounted.
    Work,
}

impl Aside {
    const ALL: [Self; 6] = [Self::New, Self::Staged, Self::Deleted, Self::Runtime, Self::Upper, Self::Work];

    /// The name in `tmp/`.
    pub(crate) fn of(self, name: &InstanceName) -> String {
        let word = match self {
            Self::New => "new",
            Self::Staged => "staged",
            Self::Deleted => "deleted",
            Self::Runtime => "runtime",
            Self::Upper => "upper",
            Self::Work => overlay::work::ASIDE,
        };
        format!("{name}.{word}")
    }
}

/// Opens `tmp/` with nothing of the instance in it. The instance must be locked.
pub(crate) fn open_swept(root: &Dir, name: &InstanceName) -> Result<Dir> {
    let tmp = root.open_dir("tmp")?;
    for aside in Aside::ALL {
        tmp.remove(aside.of(name))?;
    }
    Ok(tmp)
}
