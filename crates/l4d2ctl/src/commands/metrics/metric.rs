//! Metrics as values, and the two texts that are made of them: OpenMetrics 1.0, and Prometheus' own text format 0.0.4.
//!
//! Both, since what reads files (node_exporter's textfile collector, `promtool check metrics`) knows only the older one,
//! in which a counter's family is called as its samples are, and there are neither units nor the kind `info`. The crate
//! prometheus-client writes the newer one alone.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// What a metric is, and how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Metric {
    /// Without the suffix that its kind adds; ends with the unit, if there is one.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Gauge,
    Counter,
    /// Texts about something, as labels of a sample that is 1.
    Info,
}

/// A text format of Prometheus
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// OpenMetrics 1.0
    #[value(name = "openmetrics")]
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which everything reads
    Prometheus,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Metric {
    pub(super) const fn new(kind: Kind, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind, unit, help }
    }

    /// How its samples are called.
    pub(super) fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Gauge => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
        };
        format!("{}{suffix}", self.name)
    }

    fn head(&self, format: Format) -> String {
        let (name, kind) = match (format, self.kind) {
            (Format::OpenMetrics, Kind::Info) => (self.name.to_owned(), "info"),
            (Format::OpenMetrics, Kind::Counter) => (self.name.to_owned(), "counter"),
            (Format::Prometheus, Kind::Counter) => (self.sample_name(), "counter"),
            (_, Kind::Gauge | Kind::Info) => (self.sample_name(), "gauge"),
        };
        let unit = match format {
            Format::OpenMetrics if !self.unit.is_empty() => format!("# UNIT {name} {}\n", self.unit),
            _ => String::new(),
        };
        format!("# HELP {name} {}\n# TYPE {name} {kind}\n{unit}", self.help)
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Sample {
    labels: BTreeMap<&'static str, String>,
    value: f64,
}

/// What was collected, by metric, in the order in which these first had a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics(Vec<(Metric, Vec<Sample>)>);

impl Metrics {
    /// Adds a value, unless it is none. Label values may be anything.
    pub(super) fn add(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        // A server may print "inf" where a number belongs.
        if !value.is_finite() {
            return;
        }
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let sample = Sample { labels, value };
        match self.0.iter_mut().find(|(known, _)| known.name == metric.name) {
            Some((_, samples)) => samples.push(sample),
            None => self.0.push((metric, vec![sample])),
        }
    }

    /// All of it as text.
    pub(super) fn text(&self, format: Format) -> String {
        let mut text = String::new();
        for (metric, samples) in &self.0 {
            text.push_str(&metric.head(format));
            let name = metric.sample_name();
            for Sample { labels, value } in samples {
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                text.push_str(&format!("{name}{labels} {value}\n"));
            }
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// A label's value: the three characters that end it or a line. What else a terminal would obey is made harmless before.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A metric with its values, for programs.
#[derive(Serialize)]
struct Family<'a> {
    name: String,
    kind: Kind,
    unit: Option<&'static str>,
    help: &'static str,
    samples: &'a [Sample],
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn family((metric, samples): &(Metric, Vec<Sample>)) -> Family<'_> {
            Family {
                name: metric.sample_name(),
                kind: metric.kind,
                unit: Some(metric.unit).filter(|unit| !unit.is_empty()),
                help: metric.help,
                samples,
            }
        }
        serializer.collect_map([("metrics", self.0.iter().map(family).collect::<Vec<_>>())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Metric = Metric::new(Kind::Counter, "x_cpu_seconds", "seconds", "Time used.");
    const BUILD: Metric = Metric::new(Kind::Info, "x_build", "", "The program.");
    const UP: Metric = Metric::new(Kind::Gauge, "x_up", "", "It is up.");

    fn metrics() -> Metrics {
        let mut metrics = Metrics::default();
        metrics.add(BUILD, &[("version", "1")], 1.0);
        metrics.add(CPU, &[("name", "a")], 1.5);
        metrics.add(UP, &[], 1_764_000_000.0);
        metrics.add(UP, &[("name", "none")], f64::NAN);
        metrics.add(UP, &[("name", "none")], f64::INFINITY);
        metrics.add(CPU, &[("name", "b\\\"\n}"), ("a", "")], 0.000_001);
        metrics
    }

    #[test]
    fn the_newer_format() {
        let text = "# HELP x_build The program.\n# TYPE x_build info\nx_build_info{version=\"1\"} 1\n\
            # HELP x_cpu_seconds Time used.\n# TYPE x_cpu_seconds counter\n# UNIT x_cpu_seconds seconds\n\
            x_cpu_seconds_total{name=\"a\"} 1.5\nx_cpu_seconds_total{a=\"\",name=\"b\\\\\\\"\\n}\"} 0.000001\n\
            # HELP x_up It is up.\n# TYPE x_up gauge\nx_up 1764000000\n# EOF\n";
        assert_eq!(metrics().text(Format::OpenMetrics), text);
        assert_eq!(Metrics::default().text(Format::OpenMetrics), "# EOF\n");
    }

    #[test]
    fn the_older_format_has_neither_units_nor_infos() {
        let text = "# HELP x_build_info The program.\n# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n\
            # HELP x_cpu_seconds_total Time used.\n# TYPE x_cpu_seconds_total counter\n\
            x_cpu_seconds_total{name=\"a\"} 1.5\nx_cpu_seconds_total{a=\"\",name=\"b\\\\\\\"\\n}\"} 0.000001\n\
            # HELP x_up It is up.\n# TYPE x_up gauge\nx_up 1764000000\n";
        assert_eq!(metrics().text(Format::Prometheus), text);
    }
}
