//! `stats`: how the server is doing.

use std::time::Duration;

use super::lines;

/// What `stats` says; none is a column that this server does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Of one core, in percent.
    pub cpu: Option<f64>,
    /// Traffic from players, in KB (as Source counts) a second.
    pub in_kb: Option<f64>,
    /// Traffic to players, in KB a second.
    pub out_kb: Option<f64>,
    /// Since the start, in whole minutes.
    pub uptime: Option<Duration>,
    /// Maps begun since the start.
    pub map_changes: Option<u32>,
    /// Frames a second.
    pub fps: Option<f64>,
    /// On it now.
    pub players: Option<u32>,
    /// Connections since the start.
    pub connects: Option<u32>,
}

impl Stats {
    /// Reads what `stats` replied: a line of headings, found by `FPS`, and a line of numbers below. None where there are no
    /// such two lines.
    pub fn parse(reply: impl AsRef<[u8]>) -> Option<Self> {
        let text = String::from_utf8_lossy(reply.as_ref());
        let mut lines = lines(&text).skip_while(|line| !headings(line).any(|heading| heading == "fps"));
        let (names, values) = (lines.next()?, lines.find(|line| !line.trim().is_empty())?);
        let mut stats = Self::default();
        for (name, value) in headings(names).zip(values.split_whitespace()) {
            let (decimal, whole) = (value.parse().ok().filter(|value: &f64| value.is_finite()), value.parse().ok());
            match name.as_str() {
                "cpu" => stats.cpu = decimal,
                "in" | "netin" => stats.in_kb = decimal,
                "out" | "netout" => stats.out_kb = decimal,
                "uptime" => stats.uptime = whole.map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
                "map" | "maps" => stats.map_changes = whole,
                "fps" => stats.fps = decimal,
                "players" => stats.players = whole,
                "connects" => stats.connects = whole,
                // Another build's.
                _ => {}
            }
        }
        Some(stats)
    }
}

/// The headings' first words, one for each column: `In (KB/s)`, `In_(KB/s)` and `In` are `in`.
fn headings(line: &str) -> impl Iterator<Item = String> {
    let words = line.split_whitespace().filter(|word| !word.starts_with('(') && *word != "changes");
    words.map(|word| word.split('_').next().unwrap_or_default().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headings_name_the_columns() {
        let expected = Stats {
            cpu: Some(12.5),
            in_kb: Some(61.25),
            out_kb: Some(210.0),
            uptime: Some(Duration::from_secs(754 * 60)),
            map_changes: Some(9),
            fps: Some(29.97),
            players: Some(7),
            connects: Some(33),
        };
        for text in [
            "CPU    In (KB/s)  Out (KB/s)  Uptime  Map changes  FPS      Players  Connects\n\
             12.50  61.25      210.00      754     9            29.97    7        33\n",
            "CPU    In_(KB/s)  Out_(KB/s)  Uptime  Map_changes  FPS      Players  Connects\r\n\
             12.50  61.25      210.00      754     9            29.97    7        33\r\n",
        ] {
            assert_eq!(Stats::parse(text), Some(expected));
        }
    }

    #[test]
    fn other_columns_are_passed_over() {
        let text =
            "CPU   In    Out   Uptime  Users   FPS    Players\n 0.00  0.50  0.25      10     4   64.00       3\n";
        let stats = Stats::parse(text).unwrap();
        assert_eq!((stats.fps, stats.players, stats.connects, stats.map_changes), (Some(64.0), Some(3), None, None));
        let text = "  CPU   NetIn   NetOut    Uptime  Maps   FPS   Players  Svms    +-ms   ~tick\n  \
                    10.0  1.5  2.5     7     1   128.5       0    1.75    0.01    0.02\n";
        let stats = Stats::parse(text).unwrap();
        assert_eq!(
            (stats.in_kb, stats.out_kb, stats.map_changes, stats.fps),
            (Some(1.5), Some(2.5), Some(1), Some(128.5))
        );
    }

    #[test]
    fn what_is_no_number_is_none() {
        let stats = Stats::parse("CPU FPS Players\nNaN inf -3\n").unwrap();
        assert_eq!(stats, Stats::default());
        let stats = Stats::parse("CPU FPS Players\n1\n").unwrap();
        assert_eq!((stats.cpu, stats.fps), (Some(1.0), None));
        for text in ["", "Unknown command \"stats\"\n", "CPU FPS\n", "1 2 3\n4 5 6\n"] {
            assert_eq!(Stats::parse(text), None, "{text}");
        }
    }
}
