//! The game's own log files: `left4dead2/logs/L<month and day><number>.log`, one for every map while `log` is on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const DIRECTORY: &str = "left4dead2/logs";

#[derive(Debug, Default)]
pub(super) struct Log(Option<File>);

impl Log {
    /// Begins a file, also if there is one: a second `log on` makes a second file in the real game, too.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.close();
        fs::create_dir_all(DIRECTORY)?;
        let date = Moment::now();
        for number in 0..1000 {
            let path = format!("{DIRECTORY}/L{:02}{:02}{number:03}.log", date.month, date.day);
            match File::create_new(&path) {
                Ok(file) => {
                    self.0 = Some(file);
                    self.line(&format!("Log file started (file \"{path}\") (game \"left4dead2\") (SIMULATED)"));
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("all numbers of this day are taken"))
    }

    /// A line of it, if there is one. A full disk ends no game: what can't be written is lost, as in the real one.
    pub(super) fn line(&mut self, text: &str) {
        if let Some(file) = &mut self.0 {
            let _ = writeln!(file, "L {}: {text}", Moment::now().as_text());
        }
    }

    /// The next map's file.
    pub(super) fn next_map(&mut self, map: &str) {
        if self.0.is_some()
            && let Err(error) = self.open()
        {
            super::say(&format!("can't log: {error}"));
        }
        self.line(&format!("Started map \"{map}\""));
    }

    pub(super) fn close(&mut self) {
        self.line("Log file closed");
        self.0 = None;
    }
}

/// A date and a time, in UTC: a static program has no time zones.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl Moment {
    fn now() -> Self {
        Self::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    /// The day in the Gregorian calendar, counted in years that begin in March, so that the leap day is their last.
    fn at(seconds: u64) -> Self {
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            second_of_day: seconds % 86_400,
        }
    }

    fn as_text(&self) -> String {
        let (hour, minute, second) = (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60);
        format!("{:02}/{:02}/{} - {hour:02}:{minute:02}:{second:02}", self.month, self.day, self.year)
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn days_of_the_calendar() {
        for (seconds, text) in [
            (0, "01/01/1970 - 00:00:00"),
            (951_782_399, "02/28/2000 - 23:59:59"),
            (951_782_400, "02/29/2000 - 00:00:00"),
            (1_709_251_199, "02/29/2024 - 23:59:59"),
            (1_798_761_599, "12/31/2026 - 23:59:59"),
            (1_798_761_600, "01/01/2027 - 00:00:00"),
        ] {
            assert_eq!(Moment::at(seconds).as_text(), text);
        }
    }
}
