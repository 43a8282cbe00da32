//! What a server's console prints, read: pure functions over a reply's bytes.
//!
//! Nothing that is printed there can be trusted: hostname and players' names are whatever somebody made them, and no two
//! builds print the same. What can't be read is none, or counted; it is never an error, and no text panics. Texts are
//! handed on as they came (U+FFFD for what is no UTF-8), control characters included.

mod cvarlist;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod stats;
mod status;

pub use cvarlist::command_names;
pub use stats::Stats;
pub use status::{Status, StatusPlayer};

/// A reply's lines as text.
fn lines(reply: &str) -> impl Iterator<Item = &str> {
    reply.split('\n').map(|line| line.trim_end_matches('\r'))
}
