//! `appmanifest_222860.acf`: what Steam knows of an installation. KeyValues text, read tolerantly.

use std::collections::BTreeMap;

/// Where it lies in the installation.
pub(super) const PATH: &str = "steamapps/appmanifest_222860.acf";

/// Real ones have a few KiB.
pub(super) const MAX_SIZE: usize = 1024 * 1024;

/// The values directly below `AppState`, by key in lower case (Steam itself does not distinguish). Anything nested
/// deeper is passed over. None for text that is not of that form.
pub(super) fn parse(text: &str) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut depth = 0_u32;
    let mut key: Option<String> = None;
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(first) = rest.chars().next() {
        let after;
        match first {
            '{' => {
                depth += 1;
                key = None;
                after = &rest[1..];
            }
            '}' => {
                depth = depth.checked_sub(1)?;
                after = &rest[1..];
            }
            '/' if rest.starts_with("//") => after = rest.split_once('\n').map_or("", |(_, after)| after),
            _ => {
                let word;
                (word, after) = take_word(rest)?;
                key = match key.take() {
                    Some(key) if depth == 1 => {
                        values.insert(key.to_ascii_lowercase(), word);
                        None
                    }
                    Some(_) => None,
                    None => Some(word),
                };
            }
        }
        rest = after.trim_start();
    }
    (depth == 0 && !values.is_empty()).then_some(values)
}

/// A word, in quotes (with `\` before what would end it) or up to a space.
pub(super) fn take_word(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_whitespace() || "{}\"".contains(c)).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut word = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((word, &quoted[index + 1..])),
            '\\' => word.push(chars.next()?.1),
            c => word.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_the_top() {
        let text = "\u{feff}\"AppState\" // c\n{\n\t\"appid\"\t\t\"222860\"\n\t\"StateFlags\" \"4\"\n\t\"Path\" \"C:\\\\x\"\n\
            \t\"InstalledDepots\"\n\t{\n\t\t\"appid\"\t\t\"1\"\n\t}\n\tbuildid 99\n}\n";
        let values = parse(text).unwrap();
        assert_eq!(values["appid"], "222860");
        assert_eq!((values["stateflags"].as_str(), values["buildid"].as_str()), ("4", "99"));
        assert_eq!(values["path"], "C:\\x");
    }

    #[test]
    fn what_is_no_manifest() {
        for text in ["", "}", "{", "\"AppState\" {", "\"open", "\"a\" { \"b\" \"c }", "\"a\" { }", "\\", "\"\\"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
