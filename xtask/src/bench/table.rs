//! The table that `cargo xtask bench` prints.

use super::report::{Row, Target};

/// Name, ours, reference, ratio, spread, target, verdict.
pub(super) fn table(rows: &[&Row]) -> String {
    let mut cells = vec![["ours / reference", "ours", "reference", "ratio", "spread", "target", ""].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| line(row)));
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &cells {
        let padded: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            // Names and verdicts are words, the others numbers.
            .map(
                |(at, (cell, width))| {
                    if at == 0 || at == 6 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn line(row: &Row) -> [String; 7] {
    let value = |value: f64| format!("{} {}", number(value), row.unit);
    let (ratio, spread) = row.ratio.map_or_else(Default::default, |ratio| {
        (number(ratio.median), format!("{} – {}", number(ratio.low), number(ratio.high)))
    });
    [
        row.name.clone(),
        value(row.ours),
        row.reference.map(value).unwrap_or_default(),
        ratio,
        spread,
        row.target.as_ref().map(Target::to_string).unwrap_or_default(),
        verdict(row).to_owned(),
    ]
}

pub(super) fn verdict(row: &Row) -> &'static str {
    match row.met {
        Some(true) => "ok",
        Some(false) => "MISSED",
        None => "",
    }
}

/// With as many decimals as say something, of a ratio of 1/20 as of 100 000 lines.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.5 => 2,
        value if value > 0.0 => 3,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_a_miss_shows() {
        let rows = [
            Row::compared("a", "ms", Some(Target::AtMost(1.2)), &[130.0], &[100.0]),
            Row::single("a longer name", "KiB", Target::AtMost(64.0), 32.0),
            Row::compared("c", "lines/s", None, &[95_000.0], &[100_000.0]),
        ];
        let text = table(&rows.iter().collect::<Vec<_>>());
        assert_eq!(
            text,
            "ours / reference           ours       reference  ratio       spread  target
a                        130 ms          100 ms   1.30  1.30 – 1.30   ≤ 1.2  MISSED
a longer name          32.0 KiB                                        ≤ 64  ok
c                 95000 lines/s  100000 lines/s   0.95  0.95 – 0.95\n"
        );
    }
}
