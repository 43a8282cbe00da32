//! What was measured, as data: rows and lines, by the part that measured them; kept as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// All parts that were measured, each at its own time.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) parts: BTreeMap<String, Part>,
}

/// What one part measured, and where.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) kernel: String,
    pub(super) cpus: usize,
    /// How many processes wanted to run when the part began (the mean of a minute): a busy machine shows here.
    pub(super) load: f64,
    pub(super) rows: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<Line>,
}

/// One figure: ours, mostly beside a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    /// Of `ours` and `reference`, which are medians.
    pub(super) unit: String,
    pub(super) ours: f64,
    pub(super) reference: Option<f64>,
    /// Ours ÷ reference.
    pub(super) ratio: Option<Ratio>,
    pub(super) target: Option<Target>,
    /// Whether the ratio, or ours where there is none, is what its target asks for.
    pub(super) met: Option<bool>,
}

/// The ratio of both medians, and within what the ratios of single rounds lie but for a tenth at either end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// How something grows with the number of instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) unit: String,
    /// (instances, value), in the order of the first.
    pub(super) points: Vec<(f64, f64)>,
}

/// What a measurement tells: one JSON object a line, from inside of a machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Finding {
    Row(Row),
    Line(Line),
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

impl Row {
    /// Of values that were taken in turn, as many of each.
    pub(super) fn compared(name: &str, unit: &str, target: Option<Target>, ours: &[f64], reference: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(reference).map(|(ours, reference)| ours / reference).collect();
        let (ours, reference) = (median(ours), median(reference));
        let ratios = sorted(&ratios);
        let tenth = ratios.len() / 10;
        let ratio = Ratio {
            median: ours / reference,
            low: ratios.get(tenth).copied().unwrap_or(f64::NAN),
            high: ratios.iter().rev().nth(tenth).copied().unwrap_or(f64::NAN),
        };
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            ours,
            reference: Some(reference),
            ratio: Some(ratio),
            target,
            met: target.map(|target| target.is_met_by(ratio.median)),
        }
    }

    /// With nothing to compare it with but its target.
    pub(super) fn single(name: &str, unit: &str, target: Target, ours: f64) -> Self {
        Self { target: Some(target), met: Some(target.is_met_by(ours)), ..Self::without_target(name, unit, ours) }
    }

    /// One that is there to be read.
    pub(super) fn without_target(name: &str, unit: &str, ours: f64) -> Self {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        Self { name, unit, ours, reference: None, ratio: None, target: None, met: None }
    }

    pub(super) fn is_missed(&self) -> bool {
        self.met == Some(false)
    }
}

impl Part {
    pub(super) fn take(&mut self, finding: Finding) {
        match finding {
            Finding::Row(row) => self.rows.push(row),
            Finding::Line(line) => self.lines.push(line),
        }
    }
}

impl Report {
    /// What a file holds; nothing where there is none.
    pub(super) fn read(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("{} is no report of the bench", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// In the order in which the parts are run, those that are known no more last.
    pub(super) fn rows<'a>(&'a self, order: &[&str]) -> Vec<&'a Row> {
        let mut parts: Vec<(&String, &Part)> = self.parts.iter().collect();
        parts.sort_by_key(|(name, _)| order.iter().position(|part| part == name).unwrap_or(order.len()));
        parts.into_iter().flat_map(|(_, part)| &part.rows).collect()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.parts.values().flat_map(|part| &part.lines)
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let values = sorted(values);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_medians_and_its_spread_leaves_a_tenth_out() {
        let ours: Vec<f64> = [3.0, 1.0, 2.0].repeat(10);
        let row = Row::compared("a", "ms", Some(Target::AtMost(0.5)), &ours, &[4.0; 30]);
        assert_eq!(row.ratio, Some(Ratio { median: 0.5, low: 0.25, high: 0.75 }));
        assert_eq!((row.ours, row.reference, row.met), (2.0, Some(4.0), Some(true)));
        // One wild round of eleven shows in neither the ratio nor the spread.
        let mut ours = vec![1.0; 11];
        ours[4] = 100.0;
        let row = Row::compared("a", "ms", None, &ours, &[1.0; 11]);
        assert_eq!((row.ratio, row.met), (Some(Ratio { median: 1.0, low: 1.0, high: 1.0 }), None));
    }

    #[test]
    fn a_target_is_a_bound_from_above_or_below() {
        for (target, met) in [
            (Target::AtMost(2.0), true),
            (Target::AtMost(1.9), false),
            (Target::AtLeast(2.0), true),
            (Target::AtLeast(2.1), false),
        ] {
            let row = Row::single("a", "KiB", target, 2.0);
            assert_eq!((row.met, row.is_missed()), (Some(met), !met), "{target}");
        }
    }

    #[test]
    fn a_part_replaces_its_own_rows_and_no_others() {
        let part = |name: &str| {
            let mut part = Part { cpus: 2, ..Part::default() };
            part.take(Finding::Row(Row::single(name, "ms", Target::AtMost(1.0), 0.5)));
            part.take(Finding::Line(Line { name: name.to_owned(), unit: "ms".to_owned(), points: vec![(1.0, 2.5)] }));
            part
        };
        let path = std::env::temp_dir().join(format!("xtask-bench-{}.json", std::process::id()));
        assert_eq!(Report::read(&path).unwrap(), Report::default());
        for (key, name) in [("b", "old"), ("a", "other"), ("gone", "gone"), ("b", "new")] {
            let mut report = Report::read(&path).unwrap();
            report.parts.insert(key.to_owned(), part(name));
            report.write(&path).unwrap();
        }
        let report = Report::read(&path).unwrap();
        let names: Vec<&str> = report.rows(&["b", "a"]).iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["new", "other", "gone"]);
        assert_eq!(report.lines().count(), 3);
        fs::write(&path, "{").unwrap();
        assert!(Report::read(&path).is_err());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_finding_is_one_line() {
        let row = Row::compared("a\nb", "ms", Some(Target::AtLeast(0.9)), &[1.0], &[1.0]);
        let text = serde_json::to_string(&Finding::Row(row.clone())).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(matches!(serde_json::from_str(&text).unwrap(), Finding::Row(read) if read == row));
    }
}
