//! What shells and `man` make of what is installed: completions are found where each looks for them, and man pages are sound.

use anyhow::{Result, ensure};
use clap_complete::ValueHint;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use super::Host;

/// What is typed before a Tab, and what the line is to be then. Every option whose value completes is in it, as `--option=`,
/// at which bash splits a word in three.
const LINES: [(&str, &str); 7] = [
    ("l4d2ctl start lea", "l4d2ctl start league"),
    ("l4d2ctl start --wait=60 lea", "l4d2ctl start --wait=60 league"),
    ("l4d2ctl rollout --canary lea", "l4d2ctl rollout --canary league"),
    ("l4d2ctl rollout --canary=lea", "l4d2ctl rollout --canary=league"),
    ("l4d2ctl metrics --format=pro", "l4d2ctl metrics --format=prometheus"),
    ("l4d2ctl metrics --output=/etc/hostn", "l4d2ctl metrics --output=/etc/hostname"),
    ("l4d2ctl initialize x --file=/etc/hostn", "l4d2ctl initialize x --file=/etc/hostname"),
];

/// Types lines with a Tab into a bash, and prints what each has become.
const BASH: &str = r#"
zmodload zsh/zpty
zpty b env TERM=xterm bash --norc --noprofile -i
zpty -w b $'PS1=; bind "set enable-bracketed-paste off"; . /usr/share/bash-completion/bash_completion; echo rea""dy'
zpty -r b seen $'*\nready*'
for line in "$@"; do
    zpty -w -n b $line$'\t\x01echo "<\x05>"\n'
    zpty -r b seen $'*\n<*>*'
    print -r -- "${${seen##*$'\n'<}%%>*}"
done
"#;

/// The same with a zsh.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT=; autoload -Uz compinit; compinit -d /tmp/zcompdump; show() { print -r -- \"<\$BUFFER>\" }; zle -N show; bindkey '^X' show; print rea''dy"
zpty -r z seen $'*\nready*'
for line in "$@"; do
    zpty -w -n z $'\x15'$line$'\t\x18'
    zpty -r z seen '*<l4d2ctl*>*'
    print -r -- "${${seen##*<}%%>*}"
done
"#;

/// fish says itself what may stand for the last word.
const FISH: &str = r"
for line in $argv
    set words (string split ' ' -- $line)
    echo $words[1..-2] (complete -C $line | string split --fields 1 \t)
end
";

/// Whoever completes is any user of the host.
pub(super) fn complete(host: &mut Host) -> Result<()> {
    every_option_is_typed()?;
    host.make("league", 27101, &[])?;
    host.make("friday", 27102, &[])?;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let lines = LINES.map(|(typed, _)| quoted(typed)).join(" ");
    for (shell, runs) in [
        ("bash", format!("zsh -f -c {} zsh", quoted(BASH))),
        ("zsh", format!("zsh -f -c {} zsh", quoted(ZSH))),
        ("fish", format!("fish -c {}", quoted(FISH))),
    ] {
        // fish and zsh keep files of their own.
        let completed = host.ok(&format!(
            "HOME=$(mktemp -d) && export HOME && chown nobody $HOME && cd / && \
             timeout 60 setpriv --reuid nobody --regid nogroup --clear-groups {runs} {lines}; \
             code=$?; rm -rf $HOME /tmp/zcompdump*; exit $code"
        ))?;
        let completed: Vec<&str> = completed.lines().map(str::trim).collect();
        ensure!(completed == LINES.map(|(_, whole)| whole), "{shell} completes to {completed:#?}");
    }
    Ok(())
}

/// None whose value completes is missing in the lines.
fn every_option_is_typed() -> Result<()> {
    let mut command = l4d2ctl::command();
    command.build();
    for of in command.get_subcommands() {
        for option in of
            .get_arguments()
            .filter(|arg| !arg.is_positional() && arg.get_num_args().is_some_and(|n| n.takes_values()))
        {
            let completes = option.get::<ArgValueCandidates>().is_some()
                || option.get::<ArgValueCompleter>().is_some()
                || !option.get_possible_values().is_empty()
                || option.get_value_hint() != ValueHint::Unknown;
            let typed = format!("--{}=", option.get_long().unwrap_or_default());
            let begin = format!("l4d2ctl {} ", of.get_name());
            let is_typed = LINES.iter().any(|(line, _)| line.starts_with(&begin) && line.contains(&typed));
            ensure!(is_typed || !completes, "no line types `{begin}{typed}`");
        }
    }
    Ok(())
}

pub(super) fn man_pages(host: &mut Host) -> Result<()> {
    // Each by its name, as one would ask for it; groff's warnings and mandoc's are on stderr and on stdout.
    let said = host.ok(
        "cd /usr/local/share/man && pages=$(find . -name 'l4d2ctl*' -o -name 'left4me*') && \
         test $(echo \"$pages\" | wc -l) -gt 20 && mandoc -T lint $pages; \
         for page in $pages; do man --warnings -E UTF-8 -l -Tutf8 -Z $page 2>&1 >/dev/null; done; \
         for name in l4d2ctl l4d2ctl-start left4me-spec left4me-server@.service; do man -w $name >/dev/null || exit 1; done",
    )?;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}
