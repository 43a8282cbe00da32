//! `docs/cli.md`: every command with its arguments, from the same description as `--help`.

use clap::builder::PossibleValue;
use clap::{Arg, Command};

use super::text::description;

const HEAD: &str = "\
# The commands

Written by `cargo xtask docs` from the text of `--help`; `man l4d2ctl` and `man l4d2ctl-COMMAND` say the same. What they are
for, day by day, is in `operating.md`.
";

/// The whole page. `sections`: what stands behind the commands.
pub(super) fn of(command: &Command, sections: &str) -> String {
    let mut text = HEAD.to_owned();
    let shared: Vec<&Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
    text += "\nEvery command takes:\n\n";
    text += &shared.iter().map(|arg| argument(arg)).collect::<String>();
    for of in command.get_subcommands().filter(|of| !of.is_hide_set()) {
        text += &section(of);
    }
    text + "\n" + sections
}

fn section(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let (body, examples) = description(&long);
    let usage = command.clone().render_usage().to_string();
    let name = command.get_name();
    let mut text = format!("\n## {name}\n\n{about}.\n\n    {}\n", usage.trim_start_matches("Usage: "));
    let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(own).partition(|arg| arg.is_positional());
    if !positional.is_empty() || !options.is_empty() {
        text += "\n";
        text += &positional.into_iter().chain(options).map(argument).collect::<String>();
    }
    if !body.is_empty() {
        text += &format!("\n{body}\n");
    }
    if !examples.is_empty() {
        text += "\nFor example:\n\n";
        text += &examples.iter().map(|line| format!("    {line}\n")).collect::<String>();
    }
    text
}

fn argument(arg: &Arg) -> String {
    let long = arg.to_string();
    let spelled = match arg.get_short() {
        Some(short) if !arg.is_positional() => format!("-{short}, {long}"),
        _ => long,
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible = arg.get_possible_values();
    let possible: Vec<&str> =
        possible.iter().filter(|value| !value.is_hide_set()).map(PossibleValue::get_name).collect();
    let takes_values = arg.get_num_args().is_some_and(|args| args.takes_values());
    let one_of = match possible.as_slice() {
        [_, ..] if takes_values => format!(" (one of {})", possible.join(", ")),
        _ => String::new(),
    };
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match default.as_slice() {
        [_, ..] if takes_values && !arg.is_hide_default_value_set() => format!(" (default: {})", default.join(", ")),
        _ => String::new(),
    };
    format!("- `{spelled}`: {help}{one_of}{default}\n")
}
