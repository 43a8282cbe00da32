//! Text for Source's console. A space or `;` ends a word, a quote holds words together, and nothing escapes a quote: so
//! what somebody types can hold neither a quote nor a line's end when it gets there, or it would become commands.

use l4d2host::ErrorKind;

use crate::problem::Problem;

/// Text as one word that nothing in it ends: quotes in it become `'`. Refused is what no console can show, line ends most
/// of all.
pub(crate) fn quoted(text: &str) -> Result<String, Problem> {
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        let message = format!("the text holds {}, which a console can't take", c.escape_unicode());
        return Err(Problem::new(ErrorKind::Usage, message));
    }
    Ok(format!("\"{}\"", text.replace('"', "'")))
}

/// A line of the console: one argument is one already, several are its words, each taken as it is.
pub(crate) fn line(arguments: &[String]) -> Result<String, Problem> {
    if let [line] = arguments {
        return Ok(line.clone());
    }
    let words: Vec<String> = arguments.iter().map(|argument| word(argument)).collect::<Result<_, _>>()?;
    Ok(words.join(" "))
}

fn word(text: &str) -> Result<String, Problem> {
    if text.contains('"') {
        let message = format!("the word {text} holds a quote, which Source can't take within a word");
        let error = l4d2host::Error::new(ErrorKind::Usage, message);
        return Err(error.hint("given as one argument, a command goes to the console as it is").into());
    }
    let ends = |c: char| c.is_whitespace() || c.is_control() || ";{}()',".contains(c);
    if text.is_empty() || text.contains(ends) || text.contains("//") { quoted(text) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_becomes_a_second_command() {
        for text in ["a; quit", "a\"; quit; \"", "a // b", "\"", "", "%s {x}"] {
            let word = quoted(text).unwrap();
            let inner = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap();
            assert!(!inner.contains('"') && inner == text.replace('"', "'"), "{word}");
        }
        for text in ["a\nquit", "a\rquit", "a\0quit", "\u{1b}[2J", "\u{85}"] {
            assert!(quoted(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_stay_words() {
        let line = |words: &[&str]| line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["say hi; quit"]).unwrap(), "say hi; quit");
        assert_eq!(line(&["say", "hi; quit"]).unwrap(), "say \"hi; quit\"");
        assert_eq!(line(&["banid", "0", "STEAM_1:0:7", "kick"]).unwrap(), "banid 0 STEAM_1:0:7 kick");
        assert_eq!(line(&["sv_downloadurl", "http://x/", ""]).unwrap(), "sv_downloadurl \"http://x/\" \"\"");
        assert!(line(&["say", "a\"; quit"]).is_err() && line(&["say", "a\nquit"]).is_err());
    }
}
