//! How SteamCMD fails, by name: what passes by itself is tried again, the rest ends with what to do.
//!
//! One exit code covers the transient and the final (8 is "could not install" for every reason), so the text decides.
//! What is said of a failure is in `advice`.

use std::fmt;

use overlay::beneath::Dir;

use super::output::Event;
use super::run::{Ended, How};

/// Every known way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// State 0x402, 0x406, 0x602, 0x6 or 0x206, or no connection: a download that did not finish.
    Network,
    /// State 0x606: it could not write.
    DiskWrite,
    /// State 0x626: files of the update are missing.
    FilesMissing,
    /// State 0x6A6: what was downloaded is damaged.
    Corrupt,
    /// Exit code 1: Steam did not say what the app is.
    AppInfo,
    /// A fault of an empty directory that the next try does not have.
    MissingConfiguration,
    /// State 0x202 or 0x212, or another failure while there is no room at all.
    DiskFull,
    /// The anonymous account may not have the Linux files.
    InvalidPlatform,
    /// The account does not own the game.
    NoSubscription,
    /// A branch that wants a password.
    BetaPassword,
    /// Steam has had enough of us.
    RateLimit,
    /// A code of the mobile authenticator is needed, or was wrong.
    TwoFactor,
    /// A code of Steam Guard's mails is needed, or was wrong.
    SteamGuard,
    /// Any other refused login.
    Login,
    /// It waits for somebody to type.
    Prompt,
    /// Nothing was printed for too long.
    Hang,
    /// The shell or the loader could not run it.
    Loader,
    /// It was ended by a signal of its own doing.
    Crash(i32),
    /// Anything else.
    Unknown,
}

impl Failure {
    /// How it failed, if it did.
    pub(super) fn of(ended: &Ended) -> Option<Self> {
        let code = match ended.how {
            How::Exited(code) => code,
            How::Signalled(signal) => return Some(Self::Crash(signal)),
            How::Prompted => return Some(Self::Prompt),
            How::Silent => return Some(Self::Hang),
        };
        // The last line that means something, as an early one may have been got over.
        match ended.events.iter().rev().find_map(Self::of_event) {
            Some(Err(told)) => Some(told),
            // Success is said too early at times: the exit code has to agree.
            Some(Ok(())) | None => Self::of_code(code),
        }
    }

    /// What the exit code says where no line does.
    fn of_code(code: i32) -> Option<Self> {
        match code {
            0 => None,
            1 => Some(Self::AppInfo),
            5 => Some(Self::Login),
            126 | 127 => Some(Self::Loader),
            // steamcmd.sh's shell tells of a signal so.
            129..=192 => Some(Self::Crash(code - 128)),
            _ => Some(Self::Unknown),
        }
    }

    /// What a line says of success; none for one that says nothing of it.
    fn of_event(event: &Event) -> Option<Result<(), Self>> {
        match event {
            Event::Success => Some(Ok(())),
            Event::State(state) => Some(Err(Self::of_state(*state))),
            Event::Failed(reason) => Some(Err(Self::of_reason(reason))),
            Event::Login(reason) => Some(Err(Self::of_login(reason))),
            Event::Update { .. } | Event::SelfUpdate(_) | Event::Notice(_) | Event::Other => None,
        }
    }

    /// A set of bits: 2 is "update required", 0x20 "files missing", 0x80 "files corrupt", 0x200 "paused", 0x400 "started".
    fn of_state(state: u32) -> Self {
        match state {
            0x202 | 0x212 => Self::DiskFull,
            0x606 => Self::DiskWrite,
            state if state & 0x80 != 0 => Self::Corrupt,
            state if state & 0x20 != 0 => Self::FilesMissing,
            state if state & 0x402 != 0 => Self::Network,
            _ => Self::Unknown,
        }
    }

    fn of_reason(reason: &str) -> Self {
        let reason = reason.to_ascii_lowercase();
        let known = [
            ("missing configuration", Self::MissingConfiguration),
            ("invalid platform", Self::InvalidPlatform),
            ("no subscription", Self::NoSubscription),
            ("password", Self::BetaPassword),
            ("timed out", Self::AppInfo),
            ("timeout", Self::AppInfo),
            ("not enough disk space", Self::DiskFull),
            ("disk write", Self::DiskWrite),
            ("permission", Self::DiskWrite),
            ("corrupt", Self::Corrupt),
            ("missing update files", Self::FilesMissing),
            ("missing game files", Self::FilesMissing),
            ("connection", Self::Network),
            ("unreachable", Self::Network),
            ("not online", Self::Network),
            ("rate limit", Self::RateLimit),
        ];
        known.into_iter().find(|(words, _)| reason.contains(words)).map_or(Self::Unknown, |(_, failure)| failure)
    }

    /// By Steam's words, or by the numbers of its results.
    fn of_login(reason: &str) -> Self {
        let reason = reason.to_ascii_lowercase();
        let is = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        match reason.as_str() {
            "84" => Self::RateLimit,
            "88" => Self::TwoFactor,
            _ if is(&["rate limit"]) => Self::RateLimit,
            _ if is(&["two-factor", "two factor", "twofactor"]) => Self::TwoFactor,
            _ if is(&["steam guard", "logon denied", "login denied", "auth code"]) => Self::SteamGuard,
            _ if is(&["no connection", "timeout", "service unavailable", "try another"]) => Self::Network,
            _ => Self::Login,
        }
    }

    /// What it was in truth, where it says one thing of two and the disk tells which: full, as far as anybody can use it.
    pub(super) fn with_free_space(self, installation: &Dir) -> Self {
        /// Less than a file of the game's takes.
        const NO_SPACE: u64 = 1 << 20;
        let either = matches!(self, Self::Network | Self::DiskWrite | Self::FilesMissing);
        if either && free_space(installation).is_some_and(|free| free < NO_SPACE) { Self::DiskFull } else { self }
    }

    /// How often it is tried again. Retrying is the only cure known for these, and endless retrying has been seen.
    pub(super) fn retries(self) -> u32 {
        match self {
            Self::Network | Self::DiskWrite | Self::FilesMissing | Self::Corrupt | Self::AppInfo => 5,
            Self::MissingConfiguration => 3,
            _ => 0,
        }
    }
}

/// What an ordinary user may still write to the file system of a directory, in bytes.
pub(crate) fn free_space(dir: &Dir) -> Option<u64> {
    let answer = rustix::fs::fstatvfs(dir).ok()?;
    Some(answer.f_bavail.saturating_mul(answer.f_frsize))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Network => "the download did not finish",
            Self::DiskWrite => "it could not write to the disk",
            Self::FilesMissing => "files of the update are missing",
            Self::Corrupt => "what it downloaded is damaged",
            Self::AppInfo => "Steam did not answer in time",
            Self::MissingConfiguration => "missing configuration",
            Self::DiskFull => "the disk is full",
            Self::InvalidPlatform => "invalid platform",
            Self::NoSubscription => "the account does not own the game",
            Self::BetaPassword => "a branch of the game wants a password",
            Self::RateLimit => "Steam refuses more logins for now (rate limit)",
            Self::TwoFactor => "Steam wants a two-factor code",
            Self::SteamGuard => "Steam Guard wants a code",
            Self::Login => "the login was refused",
            Self::Prompt => "it asks for a password or a code",
            Self::Hang => "it said nothing for too long",
            Self::Loader => "it can't be run",
            Self::Crash(signal) => return write!(f, "it was ended by signal {signal}"),
            Self::Unknown => "for a reason that is not known",
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_the_table() {
        for (state, failure) in [
            (0x202, Failure::DiskFull),
            (0x212, Failure::DiskFull),
            (0x402, Failure::Network),
            (0x406, Failure::Network),
            (0x602, Failure::Network),
            (0x606, Failure::DiskWrite),
            (0x626, Failure::FilesMissing),
            (0x6a6, Failure::Corrupt),
            (0x6, Failure::Network),
            (0x206, Failure::Network),
            (0x402 | 0x0010_0000, Failure::Network),
            (0x1, Failure::Unknown),
        ] {
            assert_eq!(Failure::of_state(state), failure, "{state:#x}");
        }
    }

    fn ended(code: i32, events: &[Event]) -> Ended {
        Ended { how: How::Exited(code), events: events.to_vec(), last_lines: Vec::new() }
    }

    #[test]
    fn the_last_word_decides_and_the_code_where_there_is_none() {
        assert_eq!(Failure::of(&ended(0, &[Event::State(0x402), Event::Success])), None);
        assert_eq!(Failure::of(&ended(0, &[Event::Success, Event::State(0x402)])), Some(Failure::Network));
        assert_eq!(Failure::of(&ended(8, &[])), Some(Failure::Unknown));
        assert_eq!(Failure::of(&ended(1, &[])), Some(Failure::AppInfo));
        assert_eq!(Failure::of(&ended(127, &[])), Some(Failure::Loader));
        assert_eq!(Failure::of(&ended(139, &[])), Some(Failure::Crash(11)));
        assert_eq!(Failure::of(&ended(0, &[])), None, "what is on disk decides");
    }

    #[test]
    fn success_needs_both_words_and_code() {
        assert_eq!(Failure::of(&ended(8, &[Event::Success])), Some(Failure::Unknown));
        assert_eq!(Failure::of(&ended(139, &[Event::Success])), Some(Failure::Crash(11)));
    }

    #[test]
    fn refused_logins() {
        for (reason, failure) in [
            ("Rate Limit Exceeded", Failure::RateLimit),
            ("84", Failure::RateLimit),
            ("Two-factor code mismatch", Failure::TwoFactor),
            ("Account Login Denied Need Two Factor", Failure::TwoFactor),
            ("88", Failure::TwoFactor),
            ("Account Logon Denied", Failure::SteamGuard),
            ("Invalid Login Auth Code", Failure::SteamGuard),
            ("No Connection", Failure::Network),
            ("Invalid Password", Failure::Login),
        ] {
            assert_eq!(Failure::of_login(reason), failure, "{reason}");
        }
    }

    #[test]
    fn reasons_not_to_install() {
        for (reason, failure) in [
            ("Missing configuration", Failure::MissingConfiguration),
            ("Invalid platform", Failure::InvalidPlatform),
            ("No subscription", Failure::NoSubscription),
            ("Password check for AppId", Failure::BetaPassword),
            ("Not enough disk space", Failure::DiskFull),
            ("Disk write failure", Failure::DiskWrite),
            ("Missing file permissions", Failure::DiskWrite),
            ("Corrupt update files", Failure::Corrupt),
            ("No connection to content servers", Failure::Network),
            ("Timed out waiting for AppInfo", Failure::AppInfo),
            ("Failed to request AppInfo update, not online", Failure::Network),
            ("", Failure::Unknown),
        ] {
            assert_eq!(Failure::of_reason(reason), failure, "{reason}");
        }
    }
}
