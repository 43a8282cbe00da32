//! What must hold of whatever a server sends. A function breaks where a law does; `fuzz/` calls them, by chance and by
//! libFuzzer. The laws stand beside the parsers.

/// The name of something to try, and the function that tries it.
pub type Target = (&'static str, fn(&[u8]));

/// The parsers of this crate.
pub const TARGETS: &[Target] = &[
    ("a2s_exchange", crate::a2s::fuzzing::exchange),
    ("a2s_info", crate::a2s::fuzzing::info),
    ("a2s_lists", crate::a2s::fuzzing::lists),
    ("a2s_pieces", crate::a2s::fuzzing::pieces),
    ("rcon_session", crate::rcon::fuzzing::session),
    ("console_status", crate::console::fuzzing::status),
    ("console_stats", crate::console::fuzzing::stats),
    ("console_cvarlist", crate::console::fuzzing::cvarlist),
];
