//! The program `l4d2ctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    l4d2ctl::run()
}
