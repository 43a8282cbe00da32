//! How SteamCMD fails, by name: what passes by itself is tried again, the rest ends with what to do.
//!
//! One exit code covers the transient and the final (8 is "could not install" for every reason), so the text decides.

use std::fmt;

use overlay::beneath::Dir;

use super::output::Event;
use super::run::{Ended, How};
use crate::{Error, ErrorKind};

/// Every known way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// State 0x402, 0x406, 0x602, 0x6 or 0x206: a download that did not finish.
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
    /// State 0x202 or 0x212.
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
        let told = ended.events.iter().rev().find_map(Self::of_event);
        match (told, code) {
            (Some(told), _) => told.err(),
            (None, 0) => None,
            (None, 1) => Some(Self::AppInfo),
            (None, 5) => Some(Self::Login),
            (None, 126 | 127) => Some(Self::Loader),
            (None, _) => Some(Self::Unknown),
        }
    }

    /// What a line says of success; none for one that says nothing of it.
    fn of_event(event: &Event) -> Option<Result<(), Self>> {
        match event {
            Event::Success => Some(Ok(())),
            Event::State(state) => Some(Err(Self::of_state(*state))),
            Event::Failed(reason) => Some(Err(Self::of_reason(reason))),
            Event::Login(reason) => Some(Err(Self::of_login(reason))),
            Event::Update { .. } | Event::SelfUpdate(_) | Event::Other => None,
        }
    }

    /// A set of bits: 0x200 is "paused", 0x400 "started", 0x20 "files missing", 0x80 "files corrupt".
    fn of_state(state: u32) -> Self {
        match state {
            0x202 | 0x212 => Self::DiskFull,
            0x606 => Self::DiskWrite,
            state if state & 0x80 != 0 => Self::Corrupt,
            state if state & 0x20 != 0 => Self::FilesMissing,
            0x402 | 0x406 | 0x602 | 0x6 | 0x206 => Self::Network,
            _ => Self::Unknown,
        }
    }

    fn of_reason(reason: &str) -> Self {
        match reason {
            "Missing configuration" => Self::MissingConfiguration,
            "Invalid platform" => Self::InvalidPlatform,
            "No subscription" => Self::NoSubscription,
            "Password check for AppId" => Self::BetaPassword,
            "Timed out waiting for AppInfo" => Self::AppInfo,
            "Disk write failure" => Self::DiskWrite,
            _ => Self::Unknown,
        }
    }

    fn of_login(reason: &str) -> Self {
        match reason {
            reason if reason.contains("Rate Limit") => Self::RateLimit,
            reason if reason.contains("wo-factor") || reason.contains("Steam Guard") => Self::TwoFactor,
            _ => Self::Login,
        }
    }

    /// How often it is tried in all.
    pub(super) fn attempts(self) -> u32 {
        match self {
            Self::Network | Self::DiskWrite | Self::FilesMissing | Self::Corrupt | Self::AppInfo => 4,
            Self::MissingConfiguration => 3,
            _ => 1,
        }
    }

    /// The error that ends the install.
    pub(super) fn error(self, ended: &Ended, installation: &Dir) -> Error {
        let kind = match self {
            Self::DiskFull => ErrorKind::DiskFull,
            Self::InvalidPlatform | Self::NoSubscription | Self::TwoFactor | Self::Login | Self::Prompt => {
                ErrorKind::LicenceRequired
            }
            Self::Loader => ErrorKind::SteamcmdMissing,
            Self::Hang => ErrorKind::Timeout,
            _ => ErrorKind::SteamcmdFailed,
        };
        let code = match ended.how {
            How::Exited(code) => u8::try_from(code).unwrap_or(1),
            How::Signalled(signal) => u8::try_from(128 + signal).unwrap_or(1),
            How::Prompted | How::Silent => 1,
        };
        let error = Error::new(kind, format!("SteamCMD failed: {self}"))
            .with_exit_code(code.max(1))
            .hint(self.hint(ended, installation));
        if ended.last_lines.is_empty() {
            return error;
        }
        error.because(format!("its last lines:\n{}", ended.last_lines.join("\n")))
    }

    fn hint(self, ended: &Ended, installation: &Dir) -> String {
        match self {
            Self::Network | Self::AppInfo => {
                "check the connection to Steam, then `l4d2ctl install` goes on where it was".to_owned()
            }
            Self::DiskWrite => {
                format!("{} and all in it must belong to the user who runs this", installation.label_of("steamapps"))
            }
            Self::FilesMissing | Self::Corrupt | Self::Unknown | Self::MissingConfiguration => {
                "`l4d2ctl install` tries again".to_owned()
            }
            Self::DiskFull => missing_space(ended, installation),
            Self::InvalidPlatform => {
                "Steam gives the Linux server to no anonymous user just now: `l4d2ctl install --steam-user NAME` \
                with an account that owns Left 4 Dead 2"
                    .to_owned()
            }
            Self::NoSubscription => {
                "`l4d2ctl install --steam-user NAME` with an account that owns Left 4 Dead 2".to_owned()
            }
            Self::BetaPassword => {
                "remove the branch that SteamCMD remembers: delete steamapps/appmanifest_222860.acf".to_owned()
            }
            Self::RateLimit => "wait some hours: each try makes it longer".to_owned(),
            Self::TwoFactor | Self::Login | Self::Prompt => {
                "log in once by hand, as the user who runs this, so that SteamCMD remembers: \
                `steamcmd +login NAME +quit`"
                    .to_owned()
            }
            Self::Hang => "`l4d2ctl install` tries again; what is there is kept".to_owned(),
            Self::Loader => {
                "SteamCMD is a 32-bit program: `dpkg --add-architecture i386 && apt install libc6:i386 lib32gcc-s1`"
                    .to_owned()
            }
            Self::Crash(_) => "`l4d2ctl doctor` checks what SteamCMD needs".to_owned(),
        }
    }
}

/// How much is missing, as far as SteamCMD said how much it wants.
fn missing_space(ended: &Ended, installation: &Dir) -> String {
    let wanted = ended.events.iter().rev().find_map(|event| match event {
        Event::Update { done, total, .. } => Some(total.saturating_sub(*done)),
        _ => None,
    });
    let free = free_space(installation).unwrap_or(0);
    match wanted.map(|wanted| wanted.saturating_sub(free)) {
        Some(missing @ 1..) => {
            format!("make room for {} MiB more on the disk of {}", (missing >> 20) + 1, installation.label())
        }
        _ => format!("{} MiB are free on the disk of {}: make room", free >> 20, installation.label()),
    }
}

/// What an ordinary user may still write to the file system of a directory, in bytes.
pub(super) fn free_space(dir: &Dir) -> Option<u64> {
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
            (0x1, Failure::Unknown),
        ] {
            assert_eq!(Failure::of_state(state), failure, "{state:#x}");
        }
    }

    #[test]
    fn the_last_word_decides_and_the_code_where_there_is_none() {
        let ended =
            |code, events: &[Event]| Ended { how: How::Exited(code), events: events.to_vec(), last_lines: Vec::new() };
        assert_eq!(Failure::of(&ended(0, &[Event::State(0x402), Event::Success])), None);
        assert_eq!(Failure::of(&ended(0, &[Event::Success, Event::State(0x402)])), Some(Failure::Network));
        assert_eq!(Failure::of(&ended(8, &[])), Some(Failure::Unknown));
        assert_eq!(Failure::of(&ended(127, &[])), Some(Failure::Loader));
        assert_eq!(Failure::of(&ended(0, &[])), None, "what is on disk decides");
    }
}
