//! Starting and stopping the game, without privilege: what the unit's launcher and the embedded supervisor share.
//!
//! - [`parse_launch`], [`print_launch`]: the staged `launch` file, the game's arguments one a line. A file and not an
//!   environment variable or a unit's command line, so that spaces, quotes and `$` reach the game as they are and nothing
//!   the service user writes reaches a step that root runs;
//! - [`exec_game`]: becoming the game;
//! - [`stop()`]: asking it to end, and waiting.

#![deny(clippy::print_stderr, clippy::print_stdout)]

mod arguments;
mod error;
mod filter;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod game;
mod stop;

pub use arguments::{parse_launch, print_launch};
pub use error::{Error, Result};
pub use game::exec_game;
pub use stop::{GRACE, Stopped, stop};
