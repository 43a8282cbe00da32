//! A command for Source's console, from arguments.

use l4d2host::{ErrorKind, quoted};

use crate::problem::Problem;

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
    if text.is_empty() || text.contains(ends) || text.contains("//") { Ok(quoted(text)?) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
