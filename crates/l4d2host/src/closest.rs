//! What was probably meant by a name that is not there.

/// The name that is closest to what was typed, if it is close.
pub(crate) fn closest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().map(|name| (distance(typed, name), name)).min()?;
    (near.0 <= 1 + typed.len() / 4).then_some(near.1)
}

/// "did you mean NAME? " where a name is close, to stand before a hint.
pub(crate) fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    closest(typed, names).map_or_else(String::new, |name| format!("did you mean {name}? "))
}

/// How many letters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let here = (before + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_meant() {
        let names = ["friday", "saturday", "league-1"];
        assert_eq!(closest("firday", names), Some("friday"));
        assert_eq!(closest("leage-1", names), Some("league-1"));
        assert_eq!(closest("x", names), None);
        assert_eq!(
            (did_you_mean("firday", names), did_you_mean("x", names)),
            ("did you mean friday? ".into(), String::new())
        );
    }
}
