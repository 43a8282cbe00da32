//! Cvars and the files that set them, as Source reads them.

use std::collections::BTreeMap;
use std::fs;
use std::str::FromStr;

/// A file that execs itself ends somewhere.
const MAX_DEPTH: usize = 8;

/// All cvars by name; Source is last-wins.
#[derive(Debug, Default)]
pub(super) struct Cvars(BTreeMap<String, String>);

impl Cvars {
    /// Those on the command line: `+name value`.
    pub(super) fn from_arguments(args: &[String]) -> Self {
        let mut cvars = Self::default();
        for pair in args.windows(2) {
            if let Some(name) = pair[0].strip_prefix('+')
                && !pair[1].starts_with('+')
            {
                cvars.set(name, &pair[1]);
            }
        }
        cvars
    }

    pub(super) fn get(&self, name: &str) -> &str {
        match (self.0.get(&name.to_ascii_lowercase()), name) {
            (Some(value), _) => value,
            (None, "hostname") => "Left 4 Dead 2 (SIMULATED)",
            (None, _) => "",
        }
    }

    pub(super) fn map(&self) -> &str {
        match self.get("map") {
            "" => "c1m1_hotel",
            map => map,
        }
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).parse().ok()
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        !matches!(self.get(name), "" | "0" | "off")
    }

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

    pub(super) fn list(&self) -> String {
        let lines = self.0.keys().map(|name| format!("{name:40} : cvar\n"));
        lines.chain([format!("{} total convars/concommands\n", self.0.len())]).collect()
    }

    /// Runs a file of the cfg directory; a missing one is said, and no error.
    pub(super) fn exec(&mut self, file: &str, print: &mut dyn FnMut(String)) {
        self.exec_at(file, 0, print);
    }

    fn exec_at(&mut self, file: &str, depth: usize, print: &mut dyn FnMut(String)) {
        if depth == MAX_DEPTH || file.contains("..") || file.starts_with('/') {
            return print(format!("exec: refused {file}"));
        }
        let Ok(bytes) = fs::read(format!("left4dead2/cfg/{file}")) else {
            // sim.cfg is nothing of the game's: without it, silence.
            if file != "sim.cfg" {
                print(format!("exec: couldn't exec {file}"));
            }
            return;
        };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let words = words(line);
            match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                [] => {}
                ["exec", other] => self.exec_at(other, depth + 1, print),
                [name, value, ..] => self.set(name, value),
                [name] => print(format!("Unknown command \"{name}\"")),
            }
        }
    }
}

/// The words of a line: quotes hold one together, `//` begins a comment.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find([' ', '\t', '"']).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_comments() {
        assert_eq!(words(r#"hostname "Friday night" // comment"#), ["hostname", "Friday night"]);
        assert_eq!(words("  sv_cheats\t0"), ["sv_cheats", "0"]);
        assert_eq!(words(r#"rcon_password "a//b""#), ["rcon_password", "a//b"]);
        assert_eq!(words("// all"), Vec::<String>::new());
        assert_eq!(words(r#"open "end"#), ["open", "end"]);
    }

    #[test]
    fn arguments_become_cvars() {
        let args = ["-game", "left4dead2", "+hostport", "27016", "+map", "c2m1", "+flag", "+x", "1"];
        let cvars = Cvars::from_arguments(&args.map(str::to_owned));
        assert_eq!((cvars.number::<u16>("hostport"), cvars.map(), cvars.get("x")), (Some(27016), "c2m1", "1"));
    }
}
