//! What is known of the instances, as metrics. What is not known has none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use l4d2host::{DiskUsage, Host, InstanceState, InstanceStatus, Observe, Pressure, SharedDiskUsage, Usage, Waited};
use names::InstanceName;

use super::metric::Kind::{Counter, Gauge, Info};
use super::metric::{Metric, Metrics};
use crate::problem::Problem;
use crate::ui::Ui;

/// Every metric there is. An instance is called `name`: Prometheus itself uses `instance` for what it asks.
mod metrics {
    use super::{Counter, Gauge, Info, Metric};

    macro_rules! metrics {
        ($($id:ident: $kind:ident, $name:literal, $unit:literal, $help:literal;)*) => {
            $(pub(super) const $id: Metric = Metric::new($kind, $name, $unit, $help);)*
            #[cfg(test)]
            pub(super) const ALL: &[Metric] = &[$($id),*];
        };
    }

    metrics! {
        BUILD: Info, "left4me_build", "", "The l4d2ctl that answers.";
        STATE: Gauge, "left4me_instance_state", "", "1 for the state that the instance is in, and 0 for the others.";
        ENABLED: Gauge, "left4me_instance_enabled", "", "1 if the instance starts again at boot.";
        PENDING: Gauge, "left4me_instance_pending", "", "1 if the spec was changed since the last start.";
        PROBLEMS: Gauge, "left4me_instance_problems", "", "How many problems the instance has; `l4d2ctl status` names them.";
        START_TIME: Gauge, "left4me_instance_start_time_seconds", "seconds", "When the present run began, since 1970.";
        RESTARTS: Counter, "left4me_instance_restarts", "", "Restarts after a failure, since the last start by hand.";
        INFO: Info, "left4me_instance", "", "The port of the spec, and what the server says of itself.";
        ANSWERING: Gauge, "left4me_instance_answering", "", "1 if the server, which runs, answers.";
        PLAYERS: Gauge, "left4me_instance_players", "", "Players on the server, by kind: human or bot.";
        MAX_PLAYERS: Gauge, "left4me_instance_max_players", "", "How many may play.";
        HIBERNATING: Gauge, "left4me_instance_hibernating", "", "1 if the server sleeps, as nobody is on it.";
        QUERY: Gauge, "left4me_instance_query_duration_seconds", "seconds", "How long the server took to answer.";
        FRAME_RATE: Gauge, "left4me_instance_frame_rate_hertz", "hertz", "Frames that the server computes in a second.";
        RECEIVED: Gauge, "left4me_instance_receive_bytes_per_second", "", "Traffic from players, as the server counts it.";
        SENT: Gauge, "left4me_instance_transmit_bytes_per_second", "", "Traffic to players, as the server counts it.";
        CPU: Counter, "left4me_instance_cpu_seconds", "seconds", "Processor time used by the present run.";
        MEMORY: Gauge, "left4me_instance_memory_bytes", "bytes", "Memory in use, as it counts for MemoryMax=.";
        TASKS: Gauge, "left4me_instance_tasks", "", "Processes and threads.";
        WAITING: Counter, "left4me_instance_pressure_waiting_seconds", "seconds",
            "Time in which at least one task of the instance waited for the resource.";
        STALLED: Counter, "left4me_instance_pressure_stalled_seconds", "seconds",
            "Time in which all tasks of the instance that were not idle waited for the resource.";
        PRIVATE_DISK: Gauge, "left4me_instance_disk_bytes", "bytes", "Disk space of what the server wrote.";
        PRIVATE_DISK_PARTIAL: Gauge, "left4me_instance_disk_partial", "",
            "1 if not all that the server wrote could be counted, so that it is at least so much.";
        SHARED_DISK: Gauge, "left4me_shared_disk_bytes", "bytes", "Disk space of the layers that all instances share.";
        SHARED_DISK_PARTIAL: Gauge, "left4me_shared_disk_partial", "",
            "1 if not all of the layer could be counted, so that it is at least so much.";
        COLLECTION: Gauge, "left4me_collection_duration_seconds", "seconds", "How long it took to find all this out.";
    }
}

const STATES: [InstanceState; 7] = [
    InstanceState::Running,
    InstanceState::Starting,
    InstanceState::Stopping,
    InstanceState::Stopped,
    InstanceState::Failed,
    InstanceState::CrashLooping,
    InstanceState::Unknown,
];

/// Disk space, which is measured more seldom than the rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    private: BTreeMap<InstanceName, DiskUsage>,
    shared: SharedDiskUsage,
}

impl Disk {
    pub(super) fn measure(host: &Host) -> Result<Self, Problem> {
        let private = host.disk_usage(&host.instance_names()?)?;
        Ok(Self { private, shared: host.shared_disk_usage()? })
    }
}

/// Asks for everything. Fails only where not even the instances can be listed.
pub(super) fn collect(ui: Ui, host: &Host, disk: &Disk, query: bool) -> Result<Metrics, Problem> {
    let begun = Instant::now();
    let mut statuses = host.all_statuses_in_detail()?;
    if query {
        // The logs, too: an alarm on a problem is to ring for each that `status` shows.
        let asked = host.observe(&mut statuses, Observe { stats: true, ..Observe::default() });
        asked.unwrap_or_else(|error| ui.note(&format!("the servers were not asked: {error}")));
    }
    let names: Vec<InstanceName> = statuses.iter().map(|status| status.name.clone()).collect();
    let usage = host.usage(&names).unwrap_or_else(|error| {
        ui.note(&format!("no figures of processor and memory: {error}"));
        BTreeMap::new()
    });
    let pressure = host.pressure(&names);
    let mut all = Metrics::default();
    all.add(metrics::BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    for status in &statuses {
        add_status(&mut all, status);
        add_live(&mut all, status);
        let name = status.name.as_str();
        if let Some(usage) = usage.get(&status.name) {
            add_usage(&mut all, name, *usage);
        }
        if let Some(pressure) = pressure.get(&status.name) {
            add_pressure(&mut all, name, *pressure);
        }
        if let Some(disk) = disk.private.get(&status.name) {
            all.add(metrics::PRIVATE_DISK, &[("name", name)], number(disk.bytes));
            all.add(metrics::PRIVATE_DISK_PARTIAL, &[("name", name)], flag(disk.partial));
        }
    }
    let shared = disk.shared;
    let layers =
        [("installation", shared.installation), ("generations", shared.generations), ("overlays", shared.overlays)];
    for (layer, disk) in layers {
        if let Some(disk) = disk {
            all.add(metrics::SHARED_DISK, &[("layer", layer)], number(disk.bytes));
            all.add(metrics::SHARED_DISK_PARTIAL, &[("layer", layer)], flag(disk.partial));
        }
    }
    all.add(metrics::COLLECTION, &[], begun.elapsed().as_secs_f64());
    Ok(all)
}

fn add_status(all: &mut Metrics, status: &InstanceStatus) {
    let name = ("name", status.name.as_str());
    for state in STATES {
        all.add(metrics::STATE, &[name, ("state", state.as_str())], flag(status.state == state));
    }
    // Of one that the supervisor could not be asked about, it is not known.
    if status.state != InstanceState::Unknown {
        all.add(metrics::ENABLED, &[name], flag(status.enabled));
    }
    all.add(metrics::PENDING, &[name], flag(status.pending));
    all.add(metrics::PROBLEMS, &[name], number(status.problems.len() as u64));
    if status.state == InstanceState::Running {
        add_some(all, metrics::START_TIME, status.name.as_str(), status.since.map(number));
    }
    add_some(all, metrics::RESTARTS, status.name.as_str(), status.restarts.map(f64::from));
}

/// What the server says of itself. Its texts are hostile: what a terminal would obey is made harmless, and long ones are cut.
fn add_live(all: &mut Metrics, status: &InstanceStatus) {
    let name = status.name.as_str();
    let port = status.port.map(|port| port.get().to_string());
    let live = status.live.as_ref();
    let texts = [
        ("port", port),
        ("hostname", live.and_then(|live| live.hostname.clone())),
        ("map", live.and_then(|live| live.map.clone())),
        ("version", live.and_then(|live| live.version.clone())),
    ];
    let texts = texts.map(|(label, text)| (label, text.map(|text| harmless_label(&text))));
    let texts = texts.iter().filter_map(|(label, text)| Some((*label, text.as_deref()?)));
    all.add(metrics::INFO, &[("name", name)].into_iter().chain(texts).collect::<Vec<_>>(), 1.0);
    let Some(live) = live else { return };
    all.add(metrics::ANSWERING, &[("name", name)], flag(live.answering));
    for (kind, players) in [("human", live.humans), ("bot", live.bots)] {
        if let Some(players) = players {
            all.add(metrics::PLAYERS, &[("name", name), ("kind", kind)], players.into());
        }
    }
    add_some(all, metrics::MAX_PLAYERS, name, live.max_players.map(f64::from));
    add_some(all, metrics::HIBERNATING, name, live.hibernating.map(flag));
    add_some(all, metrics::QUERY, name, live.latency_ms.map(|latency| latency / 1e3));
    add_some(all, metrics::FRAME_RATE, name, live.fps);
    /// As Source counts.
    const KB: f64 = 1024.0;
    add_some(all, metrics::RECEIVED, name, live.in_kb.map(|traffic| traffic * KB));
    add_some(all, metrics::SENT, name, live.out_kb.map(|traffic| traffic * KB));
}

fn harmless_label(text: &str) -> String {
    /// Longer than any name that somebody chose to be read.
    const LENGTH: usize = 128;
    let text: String = text.chars().take(LENGTH).collect();
    crate::text::harmless(text.as_bytes(), false)
}

fn add_usage(all: &mut Metrics, name: &str, usage: Usage) {
    add_some(all, metrics::CPU, name, usage.cpu.as_ref().map(Duration::as_secs_f64));
    add_some(all, metrics::MEMORY, name, usage.memory.map(number));
    add_some(all, metrics::TASKS, name, usage.tasks.map(number));
}

fn add_pressure(all: &mut Metrics, name: &str, pressure: Pressure) {
    for (resource, waited) in [("cpu", pressure.cpu), ("memory", pressure.memory), ("io", pressure.io)] {
        let Some(Waited { some, full }) = waited else { continue };
        let labels = [("name", name), ("resource", resource)];
        all.add(metrics::WAITING, &labels, some.as_secs_f64());
        if let Some(full) = full {
            all.add(metrics::STALLED, &labels, full.as_secs_f64());
        }
    }
}

fn add_some(all: &mut Metrics, metric: Metric, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        all.add(metric, &[("name", name)], value);
    }
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// What Prometheus calculates with: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "of what is larger than 8 PiB nobody needs the last byte")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the rules of OpenMetrics and of Prometheus' own naming guide, which `promtool check metrics` also asks for.
    #[test]
    fn metrics_are_called_by_the_conventions() {
        for metric in metrics::ALL {
            let name = metric.name;
            assert!(name.starts_with("left4me_") && name.bytes().all(|b| b.is_ascii_lowercase() || b"_4".contains(&b)));
            assert!(metric.unit.is_empty() || name.ends_with(&format!("_{}", metric.unit)), "{name}: its unit");
            assert!(!["_total", "_info", "_count", "_sum"].iter().any(|end| name.ends_with(end)), "{name}: a suffix");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '"', '\n']), "{name}: its help");
            assert_eq!(metrics::ALL.iter().filter(|other| other.name == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn each_is_in_the_documents() {
        let documents = include_str!("../../../../../docs/operating.md");
        for name in metrics::ALL.iter().map(Metric::sample_name) {
            assert!(documents.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn the_dashboard_asks_for_nothing_that_is_not_there() {
        let dashboard = include_str!("../../../../../dist/grafana/left4me.json");
        let known: Vec<String> = metrics::ALL.iter().map(Metric::sample_name).collect();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let asked: Vec<&str> = dashboard.split(|c| !word(c)).filter(|text| text.starts_with("left4me_")).collect();
        assert!(asked.len() > 10, "{asked:?}");
        for name in asked {
            assert!(known.iter().any(|known| known == name), "the dashboard asks for {name}");
        }
    }
}
