//! `cargo xtask`: left4me's development tasks.

mod bench;
mod build;
mod check;
mod install;
mod machine;
mod summary;
mod system;
mod test;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  test [--vm|--no-vm] [--system] [FILTER]
                         everything that can be tested here; --vm: all system tests in a virtual machine, too;
                         --system: only system tests; FILTER: those whose name has it
  check                  formatting, lints, documentation, and what root's helpers depend on
  bench                  the speeds that are promised, as ratios (root)
  install [--prefix DIR] [--root DIR] [--destdir DIR] [--bin-dir DIR]
                         install from source (defaults: /usr/local, /var/lib/left4me)
  uninstall [the same]   take it away again; the root directory stays";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, args) = match args.split_first() {
        Some((command, args)) => (command.as_str(), args),
        None => ("", &[][..]),
    };
    let done = match command {
        "test" => test::run(args),
        "check" => check::run(),
        "bench" => bench::run(),
        // Inside a machine, for `bench`.
        "bench-inside" => bench::inside(),
        "install" => install::install(args),
        // Inside a virtual machine of the tests.
        "vm-agent" => machine::agent(),
        "uninstall" => install::uninstall(args),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
