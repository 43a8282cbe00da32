//! What shells and `man` make of what is installed: completions are found where each looks for them, and man pages are sound.

use anyhow::{Result, ensure};

use super::Host;

/// Types a line with a Tab into a zsh, and prints what the line has become in angle brackets.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT=; autoload -Uz compinit; compinit -d /tmp/zcompdump; show() { print -r -- \"<\$BUFFER>\" }; zle -N show; bindkey '^X' show; print ready"
zpty -r z seen $'*\nready*'
zpty -w -n z $'l4d2ctl start lea\t\x18'
zpty -r z seen '*<l4d2ctl*>*'
print -r -- "${${seen##*<}%%>*}"
"#;

const BASH: &str = r#"
. /usr/share/bash-completion/bash_completion
_comp_load l4d2ctl
COMP_WORDS=(l4d2ctl start lea); COMP_CWORD=2; COMP_TYPE=9
_clap_complete_l4d2ctl l4d2ctl lea start
echo "l4d2ctl start ${COMPREPLY[*]}"
"#;

const FISH: &str = "echo l4d2ctl start (complete -C 'l4d2ctl start lea')";

/// Whoever completes is any user of the host.
pub(super) fn complete(host: &mut Host) -> Result<()> {
    host.make("league", 27101, &[])?;
    host.make("friday", 27102, &[])?;
    for (shell, script) in [("bash", BASH), ("zsh", ZSH), ("fish", FISH)] {
        // fish and zsh keep files of their own.
        let line = host.ok(&format!(
            "HOME=$(mktemp -d) && export HOME && chown nobody $HOME && cd / && \
             timeout 60 setpriv --reuid nobody --regid nogroup --clear-groups {shell} -c '{}'; \
             code=$?; rm -rf $HOME /tmp/zcompdump*; exit $code",
            script.replace('\'', "'\\''")
        ))?;
        ensure!(line.trim() == "l4d2ctl start league", "{shell} completes to {line:?}");
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
