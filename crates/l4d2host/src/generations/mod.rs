//! Builds of the game, one above the other: an update is one more layer.
//!
//! - [`versions`]: which builds there are, and which one is started; [`list`]: who runs on them, and going back;
//! - [`manifest`]: what a layer consists of; [`merge`]: what layers show together, and what two trees differ in;
//! - [`scan`]: looking at a layer; [`lay`]: laying a merged tree down; [`generation`]: making a layer of it;
//! - [`chain`]: the layers of one version, opened;
//! - [`in_use`]: the layers that must stay; [`prune`]: giving back what others take;
//! - [`verify`]: comparing layers with what was recorded.

#[cfg(test)]
mod as_overlayfs;
pub(crate) mod chain;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod generation;
pub(crate) mod in_use;
pub(crate) mod lay;
mod list;
pub(crate) mod manifest;
pub(crate) mod merge;
mod prune;
pub(crate) mod scan;
mod verify;
pub(crate) mod versions;

pub use list::VersionStatus;
pub use prune::Pruned;
pub(crate) use prune::finish_fold;
pub use verify::{Damage, Difference, Verified};
pub use versions::Version;
