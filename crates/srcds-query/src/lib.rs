//! What a Source game server tells of itself, for programs: A2S, which anybody may ask, and RCON, for who has the password.
//!
//! - [`a2s`]: one server's name, map, players and rules. The protocol itself does no I/O and can be used with any socket.
//! - [`sweep`]: the same of any number of servers at once, from one socket.
//! - [`rcon`]: commands for a server's console, of one server or of many at once.
//! - [`console`]: what the console prints, read.
//!
//! Nothing of Left 4 Dead 2 is needed: any server that speaks Valve's protocols can be asked, and
//! [what that game does in its own way](a2s#left-4-dead-2) is said where it matters.
//!
//! Everything that comes from a server is taken for hostile. Each read is bounds-checked, nothing is allocated because a
//! packet announces it, everything has a limit and a deadline, and whatever the bytes are the answer is a value or an
//! error, never a panic. Texts are another matter: they are what the server says, with escape sequences for terminals or
//! markup in them if it likes to, and whoever shows them makes them harmless first.

pub mod a2s;
pub mod console;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod rcon;
pub mod sweep;
