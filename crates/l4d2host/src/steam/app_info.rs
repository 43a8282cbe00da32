//! What SteamCMD prints for `app_info_print`: KeyValues text, a line for each brace, key or pair, amid whatever else it says.

use super::APP;
use super::manifest::take_word;

/// Real ones have five.
const MAX_DEPTH: usize = 32;

/// What was told of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The public branch.
    Build(Public),
    /// The app, but no build of a public branch: not everybody is told.
    NoBuild,
    /// That there is nothing yet. It has been asked for, and may be there next time.
    Nothing,
    /// Nothing of the app at all.
    Silence,
}

/// The build that everybody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Public {
    pub(super) build_id: u64,
    /// When it was made public, in seconds since 1970, where that is said.
    pub(super) updated: Option<u64>,
}

/// What a whole output tells. What it says last counts, if that is more than nothing: a second answer is the newer one.
pub(super) fn read(text: &str) -> Told {
    let lines: Vec<&str> = text.lines().collect();
    let mut told = Told::Silence;
    for (index, line) in lines.iter().enumerate() {
        let now = if line.contains(&format!("No app info for AppID {APP}")) {
            Told::Nothing
        } else if is_title(line) {
            match read_block(&lines[index + 1..]) {
                Some(now) => now,
                None => continue,
            }
        } else {
            continue;
        };
        told = match (told, now) {
            (Told::Build(_), Told::NoBuild | Told::Nothing) | (Told::NoBuild, Told::Nothing) => told,
            _ => now,
        };
    }
    told
}

/// `"222860"`, at times after the prompt, and not below anything else.
fn is_title(line: &str) -> bool {
    let text = line.strip_prefix("Steam>").unwrap_or(line);
    text.trim_end().strip_prefix('"').and_then(|text| text.strip_suffix('"')) == Some(APP)
}

/// What stands in the braces that come next; none where they are not closed, or are too deep.
fn read_block(lines: &[&str]) -> Option<Told> {
    let mut path: Vec<String> = Vec::new();
    let (mut key, mut depth) = (String::new(), 0_usize);
    let (mut build, mut updated, mut is_empty) = (None, None, true);
    for words in lines.iter().filter_map(|line| words(line)) {
        match words {
            Words::Open => {
                depth += 1;
                if depth > 1 {
                    path.push(std::mem::take(&mut key));
                }
            }
            // A title without braces.
            _ if depth == 0 => return None,
            Words::Close => {
                depth -= 1;
                path.pop();
            }
            Words::Key(word) => {
                is_empty = false;
                key = word;
            }
            Words::Pair(word, value) => {
                is_empty = false;
                if is_public(&path) {
                    let number = value.trim().parse::<u64>().ok().filter(|number| *number > 0);
                    match word.to_ascii_lowercase().as_str() {
                        "buildid" => build = number,
                        "timeupdated" => updated = number,
                        _ => {}
                    }
                }
            }
        }
        if depth == 0 {
            let told = if is_empty { Told::Nothing } else { Told::NoBuild };
            return Some(build.map_or(told, |build_id| Told::Build(Public { build_id, updated })));
        }
        if depth > MAX_DEPTH {
            return None;
        }
    }
    None
}

fn is_public(path: &[String]) -> bool {
    let wanted = ["depots", "branches", "public"];
    path.len() == wanted.len() && path.iter().zip(wanted).all(|(key, wanted)| key.eq_ignore_ascii_case(wanted))
}

/// A line of KeyValues.
enum Words {
    Open,
    Close,
    Key(String),
    Pair(String, String),
}

/// None for a line that is SteamCMD's own.
fn words(line: &str) -> Option<Words> {
    match line.trim() {
        "{" => Some(Words::Open),
        "}" => Some(Words::Close),
        text => {
            let (key, rest) = quoted(text)?;
            match rest.trim_start() {
                "" => Some(Words::Key(key)),
                rest => match quoted(rest)? {
                    (value, "") => Some(Words::Pair(key, value)),
                    _ => None,
                },
            }
        }
    }
}

fn quoted(text: &str) -> Option<(String, &str)> {
    text.starts_with('"').then(|| take_word(text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the real one prints it, shortened.
    const WHOLE: &str = "Waiting for user info...OK\n\
        Steam>AppID : 222860, change number : 22871210/4294967295, last change : Fri Mar 22 15:00:04 2024 \n\
        \"222860\"\n{\n\t\"common\"\n\t{\n\t\t\"name\"\t\t\"Left 4 Dead 2 Dedicated Server\"\n\t}\n\
        \t\"depots\"\n\t{\n\t\t\"222860\"\n\t\t{\n\t\t\t\"manifests\"\n\t\t\t{\n\t\t\t\t\"public\"\n\t\t\t\t{\n\
        \t\t\t\t\t\"buildid\"\t\t\"7\"\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t\t\"branches\"\n\t\t{\n\
        \t\t\t\"old\"\n\t\t\t{\n\t\t\t\t\"buildid\"\t\t\"1\"\n\t\t\t}\n\
        \t\t\t\"public\"\n\t\t\t{\n\t\t\t\t\"buildid\"\t\t\"9450002\"\n\t\t\t\t\"timeupdated\"\t\t\"1633438866\"\n\
        \t\t\t\t\"description\"\t\t\"a \\\"quoted\\\" } word\"\n\t\t\t}\n\
        \t\t\t\"new\"\n\t\t\t{\n\t\t\t\t\"buildid\"\t\t\"9450009\"\n\t\t\t}\n\t\t}\n\t}\n}\n";

    const PUBLIC: Told = Told::Build(Public { build_id: 9_450_002, updated: Some(1_633_438_866) });

    const NOTHING: &str = "No app info for AppID 222860 found, requesting...\n";
    const EMPTY: &str =
        "AppID : 222860, change number : 0/0, last change : Wed Dec 31 19:00:00 1969 \n\"222860\"\n{\n}\n";

    #[test]
    fn the_public_build_and_no_other() {
        assert_eq!(read(WHOLE), PUBLIC);
        assert_eq!(read(&WHOLE.replace('\n', "\r\n")), PUBLIC);
        assert_eq!(read(&WHOLE.replace("depots", "Depots").replace("buildid", "BuildID")), PUBLIC);
        assert_eq!(read(&WHOLE.replace("\"222860\"\n{", "Steam>\"222860\"\n{")), PUBLIC);
        let without = WHOLE.replace("\t\t\t\t\"timeupdated\"\t\t\"1633438866\"\n", "");
        assert_eq!(read(&without), Told::Build(Public { build_id: 9_450_002, updated: None }));
    }

    #[test]
    fn whatever_else_is_said_in_between() {
        for noise in
            ["IPC function call took too long: 52 msec", "[  0%] \"a\"", "{ \"x\" }", "\"a\" \"b\" \"c\"", "\"a", ""]
        {
            let noisy: String = WHOLE.lines().map(|line| format!("{noise}\n{line}\n{noise}\n")).collect();
            assert_eq!(read(&noisy), PUBLIC, "{noise}");
        }
    }

    #[test]
    fn what_is_told_last_counts_if_it_is_more_than_nothing() {
        let newer = WHOLE.replace("9450002", "9450003");
        assert_eq!(read(&(NOTHING.to_owned() + EMPTY + WHOLE)), PUBLIC);
        assert_eq!(read(&(newer.clone() + WHOLE)), PUBLIC);
        assert_eq!(read(&(WHOLE.to_owned() + NOTHING + EMPTY)), PUBLIC);
        // Cut off: the whole one before it.
        assert_eq!(read(&(WHOLE.to_owned() + &newer[..newer.len() - 4])), PUBLIC);
    }

    #[test]
    fn less_than_a_build() {
        let hidden = WHOLE.replace("branches", "privatebranches");
        for (text, told) in [
            ("", Told::Silence),
            ("Waiting for user info...OK\n", Told::Silence),
            ("\"222860\"\n", Told::Silence),
            ("\"222860\"\n{\n\t\"common\"\n\t{\n", Told::Silence),
            ("\"222860\"\n\"222860\"\n}\n", Told::Silence),
            (NOTHING, Told::Nothing),
            (EMPTY, Told::Nothing),
            (&hidden, Told::NoBuild),
            (&WHOLE.replace("9450002", "0"), Told::NoBuild),
            (&WHOLE.replace("9450002", "new"), Told::NoBuild),
            (&WHOLE.replace("\"222860\"\n{", "\"550\"\n{"), Told::Silence),
            (&format!("\"222860\"\n{}", "\"a\"\n{\n".repeat(100_000)), Told::Silence),
        ] {
            assert_eq!(read(text), told, "{:?}", text.get(..300.min(text.len())));
        }
    }
}
