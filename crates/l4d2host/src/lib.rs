//! left4me's host library: instances of one game, what runs them, and the game itself.
//!
//! Everything is a function on [`Host`], which stands for one root directory and one supervisor. The library is
//! synchronous, prints nothing and never exits; every failure is an [`Error`] with a kind from a closed list.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make and damage trees by path"))]

mod account;
mod aside;
mod disk;
mod doctor;
pub mod embedded;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod host;
mod initialize;
mod instance;
mod listener;
mod lock;
mod logs;
mod process;
mod query;
mod rcon;
mod remove;
mod spec;
mod staging;
mod start;
mod status;
mod steam;
mod supervisor;
mod usage;

pub use account::Account;
pub use disk::{DiskUsage, SharedDiskUsage};
pub use doctor::{Check, CheckState};
pub use error::{Error, ErrorKind, Result};
pub use host::Host;
pub use initialize::Initialized;
pub use lock::Held;
pub use logs::{LogEntry, LogOptions, LogStream};
pub use rcon::Rcon;
pub use spec::{Spec, SpecOverlay, SpecSource};
pub use start::Started;
pub use status::{InstanceState, InstanceStatus, Revision, UnitDetails, UnitState};
pub use steam::{InstallRequest, Installed, Progress};
pub use supervisor::{Supervisor, SupervisorKind};
pub use usage::{Pressure, Usage, Waited};
