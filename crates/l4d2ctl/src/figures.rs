//! Durations, sizes and times, as people read them: a number, a space, and the unit.

use std::time::Duration;

/// Now, in seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// How long ago, as one number and a unit: "119 min".
pub(crate) fn ago(since: u64, now: u64) -> String {
    let (number, unit) = one_unit(since, now);
    format!("{number} {unit}")
}

/// The same in at most four characters, for a screen that is short of room: "119m". Nothing runs for three years.
pub(crate) fn short_ago(since: u64, now: u64) -> String {
    let (number, unit) = one_unit(since, now);
    format!("{number}{}", &unit[..1])
}

fn one_unit(since: u64, now: u64) -> (u64, &'static str) {
    let seconds = now.saturating_sub(since);
    match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "min"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    }
}

/// A span in one or two units, rounded: "1 h 30 min", "5 min", "42 s".
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_millis().div_ceil(1000);
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// What was waited for: "14.2 s".
pub(crate) fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

/// Hours, minutes and seconds, as the game writes them: "1:02:03".
pub(crate) fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A size: "512 B", "3 KiB", "9.5 GiB".
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", gib(bytes)),
    }
}

/// The same in at most five characters, for a screen that is short of room: "9999M".
pub(crate) fn short_size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{}K", bytes >> 10),
        mib if mib < 10_000 => format!("{mib}M"),
        mib => format!("{}G", mib >> 10),
    }
}

// A number for people: what a double can't hold of it, nobody reads.
#[allow(clippy::cast_precision_loss)]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago() {
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")] {
            assert_eq!(ago(1_000, 1_000 + seconds), text);
        }
        assert_eq!([119, 7_199, 172_799].map(|seconds| short_ago(0, seconds)), ["119s", "119m", "47h"]);
    }

    #[test]
    fn spans() {
        let span = |seconds| span(Duration::from_secs_f64(seconds));
        assert_eq!([span(5.0), span(118.5), span(600.0), span(9000.0)], ["5 s", "119 s", "10 min", "2 h 30 min"]);
        // What is begun a moment ago is whole.
        assert_eq!([span(599.9), span(7199.9), span(10799.9)], ["10 min", "2 h 0 min", "3 h 0 min"]);
        assert_eq!(
            (seconds(Duration::from_millis(14_234)), clock(Duration::from_secs(3723))),
            ("14.2 s".into(), "1:02:03".into())
        );
    }

    #[test]
    fn sizes() {
        assert_eq!(
            [size(0), size(1023), size(4096), size(200 << 20), size(19 << 29)],
            ["0 B", "1023 B", "4 KiB", "200 MiB", "9.5 GiB"]
        );
        assert_eq!([short_size(4096), short_size(9999 << 20), short_size(10_000 << 20)], ["4K", "9999M", "9G"]);
    }
}
