//! What a shell reads to complete `l4d2ctl`: little more than the way to ask the program itself.

use anyhow::{Context, Result};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

const PROGRAM: &str = "l4d2ctl";

/// The place in `dist/` and the script.
pub(super) fn all() -> Result<[(&'static str, String); 3]> {
    Ok([
        ("dist/completions/bash/l4d2ctl", script(&Bash)?),
        ("dist/completions/zsh/_l4d2ctl", script(&Zsh)? + ZSH_FIRST),
        ("dist/completions/fish/l4d2ctl.fish", script(&Fish)?),
    ])
}

/// zsh reads the file when something is first to be completed, and wants that answered, too.
const ZSH_FIRST: &str = "
if [[ $funcstack[1] == _l4d2ctl ]]; then
    _clap_dynamic_completer_l4d2ctl \"$@\"
fi
";

fn script(shell: &dyn EnvCompleter) -> Result<String> {
    let mut script = Vec::new();
    let failed = || format!("can't write the completion of {}", shell.name());
    shell
        .write_registration(l4d2ctl::COMPLETE_VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .with_context(failed)?;
    Ok(String::from_utf8(script)?.trim().to_owned() + "\n")
}
