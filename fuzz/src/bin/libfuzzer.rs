//! One program for all targets under libFuzzer; `LEFT4ME_FUZZ_TARGET` says which. Built and run by `cargo xtask fuzz`.

#![no_main]
// libFuzzer calls a function by its symbol, which the macro makes.
#![allow(unsafe_code, missing_docs)]

use std::sync::LazyLock;

use fuzz::{Target, targets};
use libfuzzer_sys::fuzz_target;

/// Breaks at four bytes that chance alone would not find in an hour. `cargo xtask fuzz` begins with it: a run that does
/// not see this would not see anything else.
const FIND_ME: Target = ("find_me", |input| assert!(!matches!(input, [b'l', b'4', b'd', b'2', ..]), "found"));

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("LEFT4ME_FUZZ_TARGET").unwrap_or_default();
    let target = targets().into_iter().chain([FIND_ME]).find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("LEFT4ME_FUZZ_TARGET: there is no target {name:?}"))
});

fuzz_target!(|input: &[u8]| (CHOSEN.1)(input));
