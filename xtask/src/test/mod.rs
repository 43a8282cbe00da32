//! `cargo xtask test`: everything that can be tested here, in one order, with one summary.

mod cargo;
mod clients;
mod machines;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::build::is_root;
use crate::summary::Summary;

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unit,
    Cli,
    Namespaces,
    Clients,
    Container,
    Vm,
}

const STAGES: [(&str, Stage); 6] = [
    ("unit", Stage::Unit),
    ("cli", Stage::Cli),
    ("namespaces", Stage::Namespaces),
    ("clients", Stage::Clients),
    ("container", Stage::Container),
    ("vm", Stage::Vm),
];

/// What is to be tested.
#[derive(Debug, Default)]
struct Options {
    /// None named: all.
    only: Vec<Stage>,
    /// Every system test in the virtual machine, too.
    all_in_vm: bool,
    filter: String,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match arg {
                "--vm" => options.all_in_vm = true,
                "--only" => {
                    let name = args.next().unwrap_or_default();
                    match STAGES.iter().find(|(known, _)| *known == name) {
                        Some((_, stage)) => options.only.push(*stage),
                        None => bail!("there is no stage {name:?}; `cargo xtask` lists them"),
                    }
                }
                arg if arg.starts_with('-') => bail!("unknown argument {arg}; `cargo xtask` lists them"),
                arg if options.filter.is_empty() => arg.clone_into(&mut options.filter),
                arg => bail!("one filter is enough, and {arg} is another"),
            }
        }
        Ok(options)
    }

    fn wants(&self, stage: Stage) -> bool {
        self.only.is_empty() || self.only.contains(&stage)
    }
}

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    let mut summary = Summary::default();
    if let Err(error) = stages(&options, &mut summary) {
        summary.fail("what the tests need", &format!("{error:#}"));
    }
    // A name mistyped would pass for a test that passed.
    if summary.is_empty() {
        summary.fail(&options.filter, "no test of these stages has this in its name");
    }
    Ok(if summary.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stages(options: &Options, summary: &mut Summary) -> Result<()> {
    if [Stage::Unit, Stage::Cli, Stage::Namespaces].into_iter().any(|stage| options.wants(stage)) {
        cargo::stages(options, summary)?;
    }
    if options.wants(Stage::Clients) {
        clients::stage(options, summary);
    }
    if !options.wants(Stage::Container) && !options.wants(Stage::Vm) {
        return Ok(());
    }
    if !is_root() {
        let count = machines::count(options);
        summary.skip(count, "on a booted Debian 13, which needs root: `sudo cargo xtask test`");
        return Ok(());
    }
    machines::stages(options, summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options> {
        Options::parse(&args.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn stages_and_a_filter_are_chosen() {
        let options = parse("--only vm --vm life --only unit").unwrap();
        assert_eq!(options.only, [Stage::Vm, Stage::Unit]);
        assert!(options.all_in_vm && options.filter == "life");
        assert!(!options.wants(Stage::Cli) && parse("").unwrap().wants(Stage::Cli));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for args in ["--only", "--only moon", "--wm", "one two"] {
            assert!(parse(args).is_err(), "{args}");
        }
    }
}
