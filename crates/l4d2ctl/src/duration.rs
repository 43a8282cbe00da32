//! Spans of time as people type them: `90`, `90s`, `10min`, `1h30min`.

use std::time::Duration;

/// The units, and how many seconds each has. Those of systemd.time(7) that anybody would wait for.
const UNITS: [(&str, u64); 11] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("seconds", 1),
    ("m", 60),
    ("min", 60),
    ("minute", 60),
    ("minutes", 60),
    ("h", 3600),
    ("hour", 3600),
    ("hours", 3600),
];

/// Longer than this is a mistake.
const LONGEST: u64 = 7 * 24 * 3600;

/// Reads a span: a number of seconds, or numbers with units, added up.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let seconds =
        seconds(text).ok_or_else(|| "a time is a number of seconds, or like 90s, 10min, 1h30min".to_owned())?;
    if seconds > LONGEST { Err("that is more than a week".to_owned()) } else { Ok(Duration::from_secs(seconds)) }
}

fn seconds(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (mut rest, mut sum) = (text.trim(), 0_u64);
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.trim_start().bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.trim_start().split_at(letters);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_span() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("10min", 600),
            ("10m", 600),
            ("1h30min", 5400),
            ("1h 30 min", 5400),
            ("2 hours", 7200),
            ("7h1s", 25201),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in
            ["", " ", "-1", "1.5", "s", "1x", "1 h 30", "1h-30min", "ä", "99999999999999999999", "9999999999999999999h"]
        {
            assert!(parse(text).unwrap_err().contains("a time is"), "{text:?}");
        }
        assert!(parse("200h").unwrap_err().contains("week"));
    }
}
