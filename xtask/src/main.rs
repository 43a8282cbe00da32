//! `cargo xtask`: left4me's development tasks.

mod attack;
mod bench;
mod build;
mod check;
mod clients;
mod crash;
mod deb;
mod docs;
mod fuzz;
mod game;
mod install;
mod machine;
mod odd_calls;
mod onlooker;
mod power;
mod soak;
mod storm;
mod summary;
mod system;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "usage: cargo xtask COMMAND

  test [--vm] [--only STAGE]... [FILTER]
          everything that can be tested here, as far as its name has FILTER in it
          --vm    all system tests in the virtual machine too, not only those that need one
          STAGE   unit, cli, namespaces, clients, container or vm
  check   formatting, lints, documentation, spelling, generated files, and all dependencies
  docs    writes dist/man, dist/completions and docs/cli.md from the text of --help and docs/man
  fuzz [--seconds N] [--target T]...
          hostile input for every parser, guided by coverage, N seconds (60) for each target of fuzz/; needs g++
  bench [--save] [PART]...
          the speeds that are promised, as ratios, also in target/bench.json; 1 if a target is missed (root, but for `sweep`)
          PART    sweep, start, create, updates, scale, live, cache or logs
          --save  docs/bench.json and docs/bench.svg too
  power [--points N] [COMMAND]...
          cuts a virtual machine's power at N points (20) of each command that writes (root)
  soak [--cycles N] [--instances N] [--seed N] [--embedded]
          1000 random cycles of 20 instances, and what they leaked (root)
  crash [--supervisor systemd|embedded] [--command NAME] [--attack NAME] [--points N]
          kill every command at every system call, let each call fail, or leave it little room on the disk
          (root; hours; --points: at so many places)
  storm [--seconds N] [--processes P] [--instances I] [--embedded] [--seed S]
          P processes with random commands at I instances for N seconds (120, 16, 4; root)
  attack [--swaps N] [--runs N] [--seed N] [--helper PATH]
          the service user against root's mount helper, racing (root; defaults: 1000000 swaps, 20000 runs)
  deb     builds the Debian package, and prints where it is
  install [--prefix DIR] [--root DIR] [--destdir DIR] [--bin-dir DIR]
          install from source (defaults: /usr/local, /var/lib/left4me)
  uninstall [the same]
          take it away again; the root directory stays";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, args) = match args.split_first() {
        Some((command, args)) => (command.as_str(), args),
        None => ("", &[][..]),
    };
    match run(command, args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, args: &[String]) -> Result<ExitCode> {
    match command {
        "test" => return test::run(args),
        "fuzz" => return fuzz::run(args),
        "check" => check::run()?,
        "docs" => docs::write()?,
        "bench" => return bench::run(args),
        // Inside a machine, for `bench`.
        "bench-inside" => bench::inside(args)?,
        "power" => power::run(args)?,
        "soak" => soak::run(args)?,
        "crash" => crash::run(args)?,
        // Inside a machine, for `crash`.
        "crash-inside" => crash::inside(args)?,
        crash::STUB => crash::stub(args)?,
        crash::WITHOUT_USER_NAMESPACES => crash::without_user_namespaces(args)?,
        "storm" => storm::run(args)?,
        // Inside a machine, for `storm`.
        "storm-inside" => storm::inside(args)?,
        "deb" => deb::run(args)?,
        "install" => install::install(args)?,
        "uninstall" => install::uninstall(args)?,
        "attack" => return attack::run(args),
        // Inside the attack's namespaces.
        "attack-inside" => attack::inside(args)?,
        "attack-swaps" => attack::swap_everything(args)?,
        "attack-older" => attack::older_namespace(args)?,
        // Inside a machine of the tests.
        "odd-calls" => odd_calls::inside(args)?,
        // Inside a virtual machine of the tests.
        "vm-agent" => machine::agent()?,
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
