//! Odd ways to call a program: everything that a process inherits from its caller, set so that a careless program fails,
//! hangs or does something else. For the tests of what root runs.
//!
//! [`ways()`] is the table. The tests of each helper go through it with the real program, and look at what was done.
#![allow(unsafe_code)]

mod run;
mod ways;

pub use run::{Outcome, call, call_bare, storm};
pub use ways::{Way, ways};

/// Arguments that no helper takes, whatever its verbs are; each is put in the place of the instance's name.
pub fn odd_names() -> Vec<std::ffi::OsString> {
    use std::os::unix::ffi::OsStringExt;
    let mut names: Vec<std::ffi::OsString> = [
        "",
        ".",
        "..",
        "/",
        "../one",
        "one/",
        "./one",
        "one\n",
        "\none",
        " one",
        "one ",
        "One",
        "-one",
        "--",
        "--help",
        "-h",
        "--version",
        "one.service",
        "left4me-server@one.service",
        "one@",
        "%i",
        "*",
        "?",
        "[a-z]*",
        "$(id)",
        "`id`",
        "one;id",
        "one|id",
        "one&",
        "~",
        "~root",
        "{one}",
        "one\\x2dtwo",
        "one\u{0}two",
        "_one",
        "\u{202e}one",
        "öne",
        "one\t",
        "one\r",
        "\u{1b}[2J",
        "=one",
        "one=two",
        "@",
        "one,two",
        "one:two",
        "'one'",
        "\"one\"",
    ]
    .iter()
    // The kernel ends an argument at a NUL.
    .filter(|name| !name.contains('\0'))
    .map(Into::into)
    .collect();
    names.push("x".repeat(65).into());
    names.push("x".repeat(100_000).into());
    names.push(std::ffi::OsString::from_vec(b"one\xff".to_vec()));
    names.push(std::ffi::OsString::from_vec(vec![0xff; 1000]));
    names
}
