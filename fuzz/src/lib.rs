//! Hostile input for every parser of something that others write.
//!
//! A target is a function that hands bytes to a parser and breaks where a law does: what is read can be printed and read
//! again, nothing names a place outside, nothing moves a terminal's cursor. The laws stand beside the parsers, in the
//! `fuzzing` modules of the crates. They are tried in two ways:
//!
//! - the tests here replay `corpus/` and change its samples by chance, a second each: [`hunt`]. No tools are needed;
//! - `cargo xtask fuzz` has libFuzzer do it, which sees what the code does and looks for what it has not done yet.
//!
//! What either finds is mended, and becomes a sample of the corpus and a test beside the parser.

mod arguments;
pub mod hunt;
mod terminal;

pub use names::fuzzing::Target;

/// All targets. The name of each is also that of its directory below `corpus/`.
pub fn targets() -> Vec<Target> {
    let crates = [names::fuzzing::TARGETS, overlay::fuzzing::TARGETS, left4me_launch::fuzzing::TARGETS];
    let more = [l4d2host::fuzzing::TARGETS, srcds_query::fuzzing::TARGETS, arguments::TARGETS, terminal::TARGETS];
    [crates.concat(), more.concat()].concat()
}
