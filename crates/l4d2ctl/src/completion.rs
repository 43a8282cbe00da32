//! Completing a word for a shell: the program itself is asked, as only it knows the names. It looks, prints, and ends; what
//! goes wrong is not told, as nobody wants it on the line that is being typed.

use std::ffi::{OsStr, OsString};
use std::io::{Result, Write};
use std::path::Path;
use std::process::ExitCode;

use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use clap_complete::env::{self, CompleteEnv, EnvCompleter, Fish, Shells, Zsh};
use l4d2host::Known;
use names::{GenerationId, InstanceName, OverlayRef};

/// The variable that names the shell which asks. Not the usual `COMPLETE`, which somebody may have set for something else.
pub const COMPLETE_VARIABLE: &str = "LEFT4ME_COMPLETE";

/// Where bash and zsh put the number of the word that is being typed.
const INDEX_VARIABLE: &str = "_CLAP_COMPLETE_INDEX";

const PROGRAM: &str = "l4d2ctl";

/// Completes, where a shell asks for it.
pub(crate) fn run_if_called() -> Option<ExitCode> {
    std::env::var_os(COMPLETE_VARIABLE).filter(|shell| !shell.is_empty())?;
    std::panic::set_hook(Box::new(|_| {}));
    let args: Vec<OsString> = std::env::args_os().collect();
    let words = args.iter().skip_while(|arg| *arg != "--").skip(1);
    let index = index().unwrap_or(words.clone().count().saturating_sub(1));
    // Behind a `--` stands text for a server.
    if words.clone().take(index).any(|word| word == "--") {
        return Some(ExitCode::SUCCESS);
    }
    let is_option = words.clone().nth(index).is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let factory = || if is_option { crate::command() } else { without_options(crate::command()) };
    let complete = CompleteEnv::with_factory(factory).var(COMPLETE_VARIABLE).bin(PROGRAM).completer(PROGRAM);
    let shells = Shells(&[&Bash, &Zsh, &Fish]);
    match complete.shells(shells).try_complete(args.clone(), std::env::current_dir().ok().as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The number of the word that is being typed, where the shell says it.
fn index() -> Option<usize> {
    std::env::var(INDEX_VARIABLE).ok()?.parse().ok()
}

/// clap's bash, for which `--canary=fr` is one word. For bash itself it is three, as `=` is in its `COMP_WORDBREAKS`, and what
/// it wants to know is what may stand for the third.
struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        env::Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Bash.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        to: &mut dyn Write,
    ) -> Result<()> {
        env::Bash.write_registration(variable, name, program, completer, to)
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        to: &mut dyn Write,
    ) -> Result<()> {
        let (words, index) = without_signs(words, index().unwrap_or_default());
        let between = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let found = clap_complete::engine::complete(command, words, index, directory)?;
        let found: Vec<_> = found.iter().map(|candidate| candidate.get_value().to_string_lossy()).collect();
        to.write_all(found.join(&between).as_bytes())
    }
}

/// The words without the `=` between an option and its value, which clap takes for the same, and the new number of one.
fn without_signs(words: Vec<OsString>, index: usize) -> (Vec<OsString>, usize) {
    let mut kept: Vec<OsString> = Vec::new();
    let mut new_index = index;
    for (n, word) in words.into_iter().enumerate() {
        let of_option = kept.last().is_some_and(|last| last.as_encoded_bytes().starts_with(b"-"));
        if word == "=" && of_option && n < index {
            new_index -= 1;
        } else {
            kept.push(word);
        }
    }
    (kept, new_index)
}

/// With its options last: where a name can be given, names alone are offered, so that a single one is put onto the line.
fn without_options(command: clap::Command) -> clap::Command {
    let last = |arg: clap::Arg| if arg.is_positional() { arg } else { arg.hide(true) };
    let command = command.disable_help_flag(true).disable_version_flag(true);
    command.mut_args(last).mut_subcommands(without_options)
}

/// The names of instances.
pub(crate) fn instances() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(Known::instances, InstanceName::as_str))
}

/// The refs of overlays.
pub(crate) fn overlays() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(Known::overlays, OverlayRef::as_str))
}

/// The builds of the game.
pub(crate) fn builds() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(Known::builds, GenerationId::as_str))
}

/// Files, as far as their names mean nothing to a shell: what is offered is put onto the line as it is.
pub(crate) fn files() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut found = PathCompleter::any().complete(typed);
        found.retain(|file| is_plain(file.get_value()));
        found
    })
}

fn is_plain(path: &OsStr) -> bool {
    path.as_encoded_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"/._+-@,%".contains(b))
}

fn candidates<T>(list: fn(&Known) -> l4d2host::Result<Vec<T>>, text: fn(&T) -> &str) -> Vec<CompletionCandidate> {
    let names = Known::from_environment().and_then(|known| list(&known)).unwrap_or_default();
    // In their own order, which is not always that of the alphabet.
    let candidate = |(n, name)| CompletionCandidate::new(text(name)).display_order(Some(n));
    names.iter().enumerate().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_between_an_option_and_its_value_is_no_word() {
        for (words, index, expected) in [
            ("l rollout --canary = fr", 4, ("l rollout --canary fr", 3)),
            ("l start --wait = 60 fr", 5, ("l start --wait 60 fr", 4)),
            ("l rollout --canary=fr", 2, ("l rollout --canary=fr", 2)),
            // That is typed itself, or a word of its own.
            ("l metrics --format =", 3, ("l metrics --format =", 3)),
            ("l start = fr", 3, ("l start = fr", 3)),
            ("= =", 1, ("= =", 1)),
        ] {
            let (kept, index) = without_signs(words.split(' ').map(OsString::from).collect(), index);
            assert_eq!((kept.join(OsStr::new(" ")).to_str().unwrap(), index), expected, "{words}");
        }
    }

    #[test]
    fn a_file_that_a_shell_could_run_is_not_offered() {
        assert!(is_plain(OsStr::new("../a-b/friday.yaml")));
        for name in ["a b", "$(x)", "a;b", "`x`", "a\nb", "~x", "a'b", "*", "ä"] {
            assert!(!is_plain(OsStr::new(name)), "{name}");
        }
    }
}
