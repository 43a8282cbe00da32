//! `cvarlist`: the names that the console knows, for completing what somebody types.

use super::lines;

/// The longest name that is taken.
const MAX_NAME: usize = 64;

/// The names of all commands and cvars, sorted, each once: `name : value : flags : what it is for`, a line each. A name is
/// letters, digits and `_+-.`; whatever else is there is left out.
pub fn command_names(reply: impl AsRef<[u8]>) -> Vec<String> {
    let text = String::from_utf8_lossy(reply.as_ref());
    let is_name = |name: &&str| {
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-.".contains(&b))
    };
    let names = lines(&text).filter_map(|line| line.split_once(" :")).map(|(name, _)| name.trim());
    let mut names: Vec<String> = names.filter(is_name).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_alone_are_taken() {
        let text = "cvar list\n--------------\n\
            sv_cheats                                : 0        : , \"sv\", \"nf\", \"rep\"      : Allow cheats on server\n\
            +attack                                  : cmd      :                  : \n\
            changelevel                              : cmd      :                  : Change server : to the specified map\n\
            sv_cheats                                : 0        : , \"sv\"            : again\n\
            \"odd\"                                  : 1        :                  : \n\
            two words                                : 1        :                  : \n\
            \u{1b}[2J                                : 1        :                  : \n\
            --------------\n 4 total convars/concommands\n";
        assert_eq!(command_names(text), ["+attack", "changelevel", "sv_cheats"]);
        assert!(command_names("").is_empty());
    }
}
