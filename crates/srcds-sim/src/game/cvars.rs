//! Cvars, and the words of the lines that set them, as Source reads them.

use std::collections::BTreeMap;
use std::str::FromStr;

/// Those that have a value before anything sets it.
const DEFAULTS: [(&str, &str); 10] = [
    ("hostname", "Left 4 Dead 2 (SIMULATED)"),
    ("map", "c1m1_hotel"),
    ("mp_gamemode", "coop"),
    ("rcon_password", ""),
    ("sv_alltalk", "0"),
    ("sv_cheats", "0"),
    ("sv_consistency", "1"),
    ("sv_lan", "0"),
    ("sv_password", ""),
    ("z_difficulty", "Normal"),
];

/// What the console runs besides.
const COMMANDS: [&str; 14] = [
    "banid",
    "changelevel",
    "cvarlist",
    "echo",
    "exec",
    "exit",
    "kick",
    "kickid",
    "log",
    "quit",
    "say",
    "stats",
    "status",
    "writeid",
];

/// All cvars by name; Source is last-wins.
#[derive(Debug)]
pub(super) struct Cvars(BTreeMap<String, String>);

impl Cvars {
    pub(super) fn new() -> Self {
        Self(DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// A cvar's value; empty for one that nobody has set.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(&name.to_ascii_lowercase()).map_or("", String::as_str)
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).parse().ok()
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        !matches!(self.get(name), "" | "0" | "off")
    }

    /// Plugins bring cvars of their own, so that any name may be set.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_ascii_lowercase(), value.to_owned());
    }

    /// What the console prints for a cvar's name.
    pub(super) fn show(&self, name: &str) -> String {
        match self.0.get(&name.to_ascii_lowercase()) {
            // The real one protects this value, too.
            Some(_) if name.eq_ignore_ascii_case("rcon_password") => {
                "\"rcon_password\" = \"***PROTECTED***\"\n".to_owned()
            }
            Some(value) => format!("\"{name}\" = \"{value}\"\n"),
            None => format!("Unknown command \"{name}\"\n"),
        }
    }

    /// `cvarlist`, in the real one's columns, and as there without values that are secret.
    pub(super) fn list(&self) -> String {
        let hidden = |name: &str| name.ends_with("password");
        let cvar = |(name, value): (&String, &String)| {
            let value = if hidden(name) { "***" } else { value };
            (name.clone(), format!("{name:40} : {value:8} : {:16} : SIMULATED\n", ""))
        };
        let command = |name: &str| (name.to_owned(), format!("{name:40} : cmd      : {:16} : SIMULATED\n", ""));
        let lines: BTreeMap<String, String> = self.0.iter().map(cvar).chain(COMMANDS.map(command)).collect();
        let total = format!("--------------\n{:3} total convars/concommands\n", lines.len());
        ["cvar list\n--------------\n".to_owned()].into_iter().chain(lines.into_values()).chain([total]).collect()
    }
}

/// The commands of a text as words: a line's end or `;` ends one, quotes hold a word together, and `//` begins a comment
/// even within a word, so that an address without quotes loses all from there, as it does in Source.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    text.lines().flat_map(commands_of_line).filter(|words| !words.is_empty()).collect()
}

fn commands_of_line(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        if let Some(next) = rest.strip_prefix(';') {
            commands.push(Vec::new());
            rest = next.trim_start();
            continue;
        }
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(end_of_word(rest)),
        };
        commands.last_mut().into_iter().for_each(|words| words.push(word.to_owned()));
        rest = after.trim_start();
    }
    commands
}

fn end_of_word(text: &str) -> usize {
    let mark = text.find([' ', '\t', '"', ';']).unwrap_or(text.len());
    text.find("//").map_or(mark, |comment| comment.min(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        commands(line).concat()
    }

    #[test]
    fn words_quotes_and_comments() {
        assert_eq!(words(r#"hostname "Friday night" // comment"#), ["hostname", "Friday night"]);
        assert_eq!(words("  sv_cheats\t0"), ["sv_cheats", "0"]);
        assert_eq!(words(r#"rcon_password "a//b""#), ["rcon_password", "a//b"]);
        assert_eq!(words("// all"), Vec::<String>::new());
        assert_eq!(words(r#"open "end"#), ["open", "end"]);
        assert_eq!(words("sv_downloadurl http://host/"), ["sv_downloadurl", "http:"]);
    }

    #[test]
    fn a_line_may_hold_several_commands() {
        assert_eq!(commands("a 1; b 2;;c\n\nd"), [vec!["a", "1"], vec!["b", "2"], vec!["c"], vec!["d"]]);
        assert_eq!(commands(r#"say "a;b" // ; c"#), [["say", "a;b"]]);
    }

    #[test]
    fn the_last_value_wins_whatever_the_case() {
        let mut cvars = Cvars::new();
        cvars.set("sv_Cheats", "1");
        cvars.set("sv_cheats", "0");
        assert_eq!((cvars.get("SV_CHEATS"), cvars.is_on("sv_cheats")), ("0", false));
    }

    #[test]
    fn the_password_is_not_shown() {
        let mut cvars = Cvars::new();
        cvars.set("rcon_password", "secret");
        assert!(!cvars.show("RCON_Password").contains("secret") && !cvars.list().contains("secret"));
    }
}
