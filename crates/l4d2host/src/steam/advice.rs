//! How an install that failed ends: the error, and what there is to do.

use overlay::beneath::Dir;

use super::failure::{Failure, free_space};
use super::output::Event;
use super::run::{Ended, How};
use crate::{Error, ErrorKind};

impl Failure {
    /// The error that ends the install.
    pub(super) fn error(self, ended: &Ended, installation: &Dir, user: Option<&str>) -> Error {
        let kind = match self {
            Self::DiskFull => ErrorKind::DiskFull,
            Self::InvalidPlatform
            | Self::NoSubscription
            | Self::TwoFactor
            | Self::SteamGuard
            | Self::Login
            | Self::Prompt => ErrorKind::LicenceRequired,
            Self::Loader => ErrorKind::SteamcmdMissing,
            Self::Hang => ErrorKind::Timeout,
            _ => ErrorKind::SteamcmdFailed,
        };
        let code = match ended.how {
            How::Exited(code) => u8::try_from(code).unwrap_or(1),
            How::Signalled(signal) => u8::try_from(128 + signal).unwrap_or(1),
            How::Prompted | How::Silent => 1,
        };
        let number = if self == Self::Unknown { format!(" (exit code {code})") } else { String::new() };
        let error = Error::new(kind, format!("SteamCMD failed: {self}{number}"))
            .with_exit_code(code.max(1))
            .hint(self.hint(ended, installation, user));
        if ended.last_lines.is_empty() {
            return error;
        }
        error.because(format!("its last lines:\n{}", ended.last_lines.join("\n")))
    }

    fn hint(self, ended: &Ended, installation: &Dir, user: Option<&str>) -> String {
        match self {
            // State 0x602 is seen of full disks, too.
            Self::Network => format!(
                "check the connection to Steam ({} MiB are free on the disk), then `l4d2ctl install` goes on where it was",
                free_space(installation).unwrap_or(0) >> 20
            ),
            Self::AppInfo => "check the connection to Steam, then `l4d2ctl install` goes on where it was".to_owned(),
            Self::DiskWrite => {
                format!("{} and all in it must belong to the user who runs this", installation.label_of("steamapps"))
            }
            Self::FilesMissing | Self::Corrupt | Self::Unknown | Self::MissingConfiguration => {
                "`l4d2ctl install` tries again".to_owned()
            }
            Self::DiskFull => missing_space(ended, installation),
            // A login that Steam Guard held up shows as this.
            Self::InvalidPlatform | Self::NoSubscription if user.is_some() => login_hint(user),
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
            Self::TwoFactor | Self::SteamGuard | Self::Login | Self::Prompt => login_hint(user),
            Self::Hang => "`l4d2ctl install` tries again; what is there is kept".to_owned(),
            Self::Loader => {
                "SteamCMD is a 32-bit program: `dpkg --add-architecture i386 && apt install libc6:i386 lib32gcc-s1`"
                    .to_owned()
            }
            Self::Crash(_) => "`l4d2ctl doctor` checks what SteamCMD needs".to_owned(),
        }
    }
}

fn login_hint(user: Option<&str>) -> String {
    let name = user.unwrap_or("NAME");
    format!(
        "log in once by hand, as the user who runs this, so that SteamCMD remembers: `steamcmd +login {name} +quit` \
        (the account has to own Left 4 Dead 2)"
    )
}

/// How much is missing, as far as SteamCMD said how much it wants.
fn missing_space(ended: &Ended, installation: &Dir) -> String {
    let wanted = ended.events.iter().rev().find_map(|event| match event {
        // Other phases count bytes that need no room.
        Event::Update { phase, done, total } if matches!(phase.as_str(), "downloading" | "preallocating") => {
            Some(total.saturating_sub(*done))
        }
        _ => None,
    });
    let free = free_space(installation).unwrap_or(0);
    match wanted.map(|wanted| wanted.saturating_sub(free)) {
        Some(missing @ 1..) => {
            format!("make room for {} MiB more on the disk of {}", (missing >> 20) + 1, installation.label())
        }
        _ => {
            let fresh = super::is_fresh(installation);
            let takes = format!(", a fresh installation takes {} GiB", super::FRESH_SIZE >> 30);
            let takes = if fresh { takes } else { String::new() };
            format!("make room on the disk of {}: {} MiB are free{takes}", installation.label(), free >> 20)
        }
    }
}
