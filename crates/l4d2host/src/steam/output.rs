//! What SteamCMD prints, line by line, as events. Pure functions: the reading is elsewhere.

/// A longer line is cut.
const MAX_LINE: usize = 4096;

/// A line that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// ` Update state (0x61) downloading, progress: 45.23 (12345678 / 27340800)`
    Update { phase: String, done: u64, total: u64 },
    /// `[ 12%] Downloading update...`: SteamCMD brings itself up to date.
    SelfUpdate(String),
    /// `Success! App '222860' fully installed.`, `… already up to date.`
    Success,
    /// `Error! App '222860' state is 0x602 after update job.`
    State(u32),
    /// `ERROR! Failed to install app '222860' (Missing configuration)`
    Failed(String),
    /// `… FAILED (Rate Limit Exceeded)`: of the login.
    Login(String),
    /// Something that only a person can do, elsewhere: it waits for that.
    Notice(String),
    /// Any other line.
    Other,
}

pub(super) fn parse(line: &str) -> Event {
    let text = line.trim();
    if let Some(event) = parse_update(text) {
        return event;
    }
    if let Some((_, step)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        return Event::SelfUpdate(step.to_owned());
    }
    if text.starts_with("Success! App") || text.contains("already up to date") {
        return Event::Success;
    }
    if let Some((_, state)) = text.split_once("state is 0x") {
        let digits = state.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default();
        return u32::from_str_radix(digits, 16).map_or(Event::Other, Event::State);
    }
    if let Some((_, reason)) = text.split_once("Failed to install app") {
        let reason = reason.split_once('(').map_or(reason, |(_, reason)| reason);
        return Event::Failed(reason.trim_end_matches(')').trim().to_owned());
    }
    for reason in
        ["Password check for AppId", "Timed out waiting for AppInfo", "Failed to request AppInfo update, not online"]
    {
        if text.contains(reason) {
            return Event::Failed(reason.to_owned());
        }
    }
    if text.starts_with("Please confirm the login") {
        return Event::Notice(text.to_owned());
    }
    parse_login(text).map_or(Event::Other, Event::Login)
}

/// Why a login was refused. The words before it have changed over the years.
fn parse_login(text: &str) -> Option<String> {
    if text.contains("not been authenticated") && text.contains("Steam Guard") {
        return Some("Steam Guard".to_owned());
    }
    let before = ["FAILED (", "ERROR (", "FAILED login with result code ", "Login Failure: "];
    let (_, reason) = before.iter().find_map(|before| text.split_once(before))?;
    Some(reason.trim_end_matches(')').to_owned())
}

fn parse_update(text: &str) -> Option<Event> {
    let (phase, progress) = text.strip_prefix("Update state (")?.split_once(") ")?.1.split_once(", progress: ")?;
    let (done, total) = progress.split_once('(')?.1.trim_end_matches(')').split_once(" / ")?;
    Some(Event::Update { phase: phase.to_owned(), done: done.parse().ok()?, total: total.parse().ok()? })
}

/// Whether an unfinished line is a question: those never end with a newline.
pub(super) fn is_prompt(unfinished: &str) -> bool {
    let text = unfinished.trim_end().to_ascii_lowercase();
    ["password:", "two-factor code:", "steam guard code:", "login:"].iter().any(|prompt| text.ends_with(prompt))
}

/// Cuts what comes from the pty into lines, at `\n` and at `\r`, without escape sequences.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Takes bytes; gives the lines that they finish.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' if self.line.is_empty() => {}
                b'\n' | b'\r' => lines.push(clean(&std::mem::take(&mut self.line))),
                byte if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => {}
            }
        }
        lines
    }

    /// What has come since the last line.
    pub(super) fn unfinished(&self) -> String {
        clean(&self.line)
    }
}

/// Text without escape sequences (`ESC [ … letter`) and without other control characters.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
        } else if !c.is_control() || c == '\t' {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_means_something() {
        for (line, event) in [
            (
                " Update state (0x61) downloading, progress: 45.23 (12345678 / 27340800)",
                Event::Update { phase: "downloading".to_owned(), done: 12_345_678, total: 27_340_800 },
            ),
            (
                " Update state (0x3) reconfiguring, progress: 0.00 (0 / 0)",
                Event::Update { phase: "reconfiguring".to_owned(), done: 0, total: 0 },
            ),
            ("[ 12%] Downloading update...", Event::SelfUpdate("Downloading update...".to_owned())),
            ("Success! App '222860' fully installed.", Event::Success),
            ("Success! App '222860' already up to date.", Event::Success),
            ("Error! App '222860' state is 0x602 after update job.", Event::State(0x602)),
            ("Error! App '222860' state is 0x6A6 after update job.", Event::State(0x6a6)),
            ("ERROR! Failed to install app '222860' (Invalid platform)", Event::Failed("Invalid platform".to_owned())),
            (
                "Logging in user 'x' to Steam Public...FAILED (Rate Limit Exceeded)",
                Event::Login("Rate Limit Exceeded".to_owned()),
            ),
            (
                "FAILED login with result code Two-factor code mismatch",
                Event::Login("Two-factor code mismatch".to_owned()),
            ),
            ("ERROR (Account Logon Denied)", Event::Login("Account Logon Denied".to_owned())),
            ("Login Failure: Invalid Password", Event::Login("Invalid Password".to_owned())),
            (
                "This computer has not been authenticated for your account using Steam Guard.",
                Event::Login("Steam Guard".to_owned()),
            ),
            (
                "ERROR! Failed to request AppInfo update, not online or not logged in to Steam.",
                Event::Failed("Failed to request AppInfo update, not online".to_owned()),
            ),
            (
                "Please confirm the login in the Steam Mobile app on your phone.",
                Event::Notice("Please confirm the login in the Steam Mobile app on your phone.".to_owned()),
            ),
            ("Loading Steam API...OK", Event::Other),
            ("Update state (0x61) downloading, progress: x", Event::Other),
            ("state is 0x", Event::Other),
            ("", Event::Other),
        ] {
            assert_eq!(parse(line), event, "{line}");
        }
    }

    #[test]
    fn lines_end_at_either_and_lose_their_escapes() {
        let mut lines = Lines::default();
        assert_eq!(
            lines.push(b"[  0%] a\r[ 50%] b\r\n\x1b[0m\x1b[1;31mred\x1b[0m\nhalf"),
            ["[  0%] a", "[ 50%] b", "red"]
        );
        assert_eq!(lines.unfinished(), "half");
        assert_eq!(lines.push(b" line\n"), ["half line"]);
        let long = lines.push(&[vec![b'x'; 10_000], vec![b'\n']].concat());
        assert_eq!(long[0].len(), MAX_LINE);
        lines.push(&(0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn questions() {
        assert!(is_prompt("password: ") && is_prompt("Two-factor code:") && !is_prompt("password"));
    }
}
