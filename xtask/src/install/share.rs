//! What shells and `man` read: man pages and completions, the list of which a test holds against `dist/`.

use std::path::PathBuf;

macro_rules! files {
    ($directory:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../dist/", $directory, "/", $name)))),*]
    };
}

/// The man pages; the section is what stands behind the last dot. Of a new command `cargo xtask docs` comes first, which writes
/// the page, and then its line here.
const MAN: &[(&str, &str)] = files!("man":
    "l4d2ctl-ban.1",
    "l4d2ctl-console.1",
    "l4d2ctl-delete.1",
    "l4d2ctl-demo.1",
    "l4d2ctl-doctor.1",
    "l4d2ctl-initialize.1",
    "l4d2ctl-install.1",
    "l4d2ctl-kick.1",
    "l4d2ctl-logs.1",
    "l4d2ctl-metrics.1",
    "l4d2ctl-overlays.1",
    "l4d2ctl-players.1",
    "l4d2ctl-prune.1",
    "l4d2ctl-rcon.1",
    "l4d2ctl-reset.1",
    "l4d2ctl-restart.1",
    "l4d2ctl-rollback.1",
    "l4d2ctl-rollout.1",
    "l4d2ctl-say.1",
    "l4d2ctl-start.1",
    "l4d2ctl-status.1",
    "l4d2ctl-stop.1",
    "l4d2ctl-top.1",
    "l4d2ctl-verify.1",
    "l4d2ctl-versions.1",
    "l4d2ctl.1",
    "left4me-server@.service.8",
    "left4me-spec.5",
);

const BASH: &[(&str, &str)] = files!("completions/bash": "l4d2ctl");
const ZSH: &[(&str, &str)] = files!("completions/zsh": "_l4d2ctl");
const FISH: &[(&str, &str)] = files!("completions/fish": "l4d2ctl.fish");

/// Each file's place below the prefix, or an absolute one, and its text. Packages have places of their own.
pub(super) fn all(packaged: bool) -> impl Iterator<Item = (PathBuf, &'static str)> {
    let man = MAN.iter().map(|(name, text)| {
        let section = name.rsplit('.').next().unwrap_or_default();
        (format!("share/man/man{section}"), *name, *text)
    });
    let completions = [
        ("share/bash-completion/completions", BASH),
        (if packaged { "share/zsh/vendor-completions" } else { "share/zsh/site-functions" }, ZSH),
        // fish looks into /usr/local/share only where a desktop has set XDG_DATA_DIRS.
        (if packaged { "share/fish/vendor_completions.d" } else { "/etc/fish/completions" }, FISH),
    ];
    let completions = completions
        .into_iter()
        .flat_map(|(directory, files)| files.iter().map(move |(name, text)| (directory.to_owned(), *name, *text)));
    man.chain(completions).map(|(directory, name, text)| (PathBuf::from(directory).join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_generated_is_installed() {
        let dist = crate::build::project().join("dist");
        for (directory, files) in
            [("man", MAN), ("completions/bash", BASH), ("completions/zsh", ZSH), ("completions/fish", FISH)]
        {
            let entries = std::fs::read_dir(dist.join(directory)).unwrap();
            let mut there: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            there.sort_unstable();
            assert_eq!(there, files.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{directory}");
        }
        assert!(all(false).any(|(path, _)| path.ends_with("share/man/man8/left4me-server@.service.8")));
    }
}
