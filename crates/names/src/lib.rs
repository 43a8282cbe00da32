//! The rules for everything that names something: instances, overlay refs, layers, ports, units.
//!
//! One place, std only, because root's helpers and the host library must agree on every byte. All rules are ASCII
//! rules on bytes: what becomes a path or a unit name never depends on Unicode tables.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod instance;
mod layer;
mod overlay_ref;
mod port;

pub use instance::{Alias, InstanceName};
pub use layer::{GenerationId, Layer, MAX_LAYERS, parse_layers, print_layers};
pub use overlay_ref::OverlayRef;
pub use port::Port;

use std::fmt;

/// The directory that holds everything of left4me unless configured otherwise.
pub const DEFAULT_ROOT: &str = "/var/lib/left4me";

/// The root-owned file from which the helpers (and `l4d2ctl`, for its default) take the root directory: one line, an
/// absolute path. Written by the installer together with the unit.
pub const ROOT_FILE: &str = "/etc/left4me/root";

/// Where root records what is mounted, one file an instance; gone at reboot, as the mounts are.
pub const RECORD_DIR: &str = "/run/left4me";

/// What a name that breaks its rule is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError(String);

impl NameError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

/// Prints `bytes` so that they can stand in a one-line message: quoted, escaped and at most 80 characters.
fn quoted(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
    format!("{text:?}")
}
