//! Opening beneath a root, and mounting an instance's stack from what was opened: the code that root trusts.
//!
//! The root helper, the embedded supervisor and the host library use the same code. Everything below the root directory
//! is written by the service user, and `upper` by the game, so nothing here follows a link, re-opens by name what it
//! has checked, or walks a path twice. rustix is the only dependency.
//!
//! - [`beneath`]: directories and files by descriptor, never outside the directory one started from;
//! - [`stack`]: an instance's layers, upper, work and merged, opened and checked: what will be mounted;
//! - [`work`]: the kernel's own directory beside the upper, which belongs to whoever mounts;
//! - [`mount`]: the mount itself, from descriptors; [`umount`]: finding and undoing it;
//! - [`trusted`]: the file that names the root directory;
//! - [`mountinfo`], [`record`]: what the kernel and root say is mounted.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make and damage trees by path"))]

pub mod beneath;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod mount;
pub mod mountinfo;
pub mod record;
mod remove;
pub mod stack;
pub mod trusted;
pub mod umount;
pub mod work;

pub use error::{Error, Result};
