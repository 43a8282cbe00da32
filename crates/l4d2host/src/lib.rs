//! left4me's host library: instances of one game, what runs them, and the game itself.
//!
//! Everything is a function on [`Host`], which stands for one root directory and one supervisor. The library is
//! synchronous, prints nothing and never exits; every failure is an [`Error`] with a kind from a closed list.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make and damage trees by path"))]

mod account;
mod aside;
mod closest;
mod disk;
mod doctor;
mod drain;
pub mod embedded;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod generations;
mod heard;
mod host;
mod initialize;
mod instance;
mod interrupt;
mod known;
mod listener;
mod live;
mod lock;
mod logs;
mod overlays;
mod problems;
mod process;
mod query;
mod rcon;
mod remove;
mod rollout;
mod spec;
mod staging;
mod start;
mod status;
mod steam;
mod supervisor;
mod texts;
mod usage;
mod wait;

pub use account::Account;
pub use disk::{DiskUsage, SharedDiskUsage};
pub use doctor::{Check, CheckState};
pub use drain::{Drain, Drained, Tell, Waiting, WhenEmpty};
pub use error::{Error, ErrorKind, Result};
pub use generations::{Damage, Difference, Pruned, Verified, Version, VersionStatus};
pub use host::Host;
pub use initialize::Initialized;
pub use known::Known;
pub use live::{Live, Observe};
pub use lock::Held;
pub use logs::{LogEntry, LogOptions, LogStream};
pub use overlays::OverlayStatus;
pub use problems::StatusProblem;
pub use rcon::{Rcon, quoted};
pub use rollout::{RolledOut, RolloutEvent, RolloutRequest};
pub use spec::{Spec, SpecOverlay, SpecSource};
pub use start::Started;
pub use status::{InstanceState, InstanceStatus, Revision, UnitDetails, UnitState};
pub use steam::{Checked, InstallRequest, Installed, Progress};
pub(crate) use supervisor::Supervisor;
pub use supervisor::SupervisorKind;
pub use usage::{Pressure, Usage, Waited};
