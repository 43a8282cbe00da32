//! What is known of all instances, and what is chosen of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use l4d2host::{InstanceState, InstanceStatus, Live};
use names::InstanceName;

use super::act::Verb;
use super::watch::{News, Shown};

/// What a table is sorted by: the columns, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Column {
    #[default]
    Name,
    State,
    Players,
    Map,
    Frames,
    Processor,
    Memory,
    Traffic,
    Since,
    Restarts,
}

impl Column {
    pub(super) const ALL: [Self; 10] = [
        Self::Name,
        Self::State,
        Self::Players,
        Self::Map,
        Self::Frames,
        Self::Processor,
        Self::Memory,
        Self::Traffic,
        Self::Since,
        Self::Restarts,
    ];

    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::State => "STATE",
            Self::Players => "PLAYERS",
            Self::Map => "MAP",
            Self::Frames => "FPS",
            Self::Processor => "CPU%",
            Self::Memory => "MEM",
            Self::Traffic => "IN/OUT",
            Self::Since => "UP",
            Self::Restarts => "RST",
        }
    }
}

/// An instance.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) status: InstanceStatus,
    /// Of one core, in percent, since the look before.
    pub(super) processor: Option<f64>,
    /// Bytes.
    pub(super) memory: Option<u64>,
    /// Used so far, to compare with.
    used: Option<Duration>,
}

impl Row {
    fn live<T>(&self, field: impl Fn(&Live) -> Option<T>) -> Option<T> {
        self.status.live.as_ref().and_then(field)
    }

    /// How many humans are on it; none where that is not known.
    pub(super) fn humans(&self) -> Option<u8> {
        self.live(|live| live.humans)
    }

    fn compare(&self, other: &Self, column: Column) -> Ordering {
        let number = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
        let of = |value: fn(&Self) -> Option<f64>| number(value(self), value(other));
        match column {
            Column::Name => Ordering::Equal,
            Column::State => self.status.state.as_str().cmp(other.status.state.as_str()),
            Column::Players => of(|row| row.humans().map(f64::from)),
            Column::Map => self.live(|live| live.map.clone()).cmp(&other.live(|live| live.map.clone())),
            Column::Frames => of(|row| row.live(|live| live.fps)),
            Column::Processor => of(|row| row.processor),
            Column::Memory => other.memory.cmp(&self.memory),
            Column::Traffic => of(|row| row.live(|live| Some(live.in_kb? + live.out_kb?))),
            Column::Since => self.status.since.unwrap_or(u64::MAX).cmp(&other.status.since.unwrap_or(u64::MAX)),
            Column::Restarts => other.status.restarts.cmp(&self.status.restarts),
        }
    }
}

/// What keys mean at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Table,
    /// A text is typed that names must have in them.
    Filter,
    /// Players are on it: really?
    Confirm(Verb, InstanceName),
    /// One instance, with its players and its log.
    One,
}

/// Everything that is drawn.
#[derive(Debug, Default)]
pub(super) struct Model {
    rows: BTreeMap<InstanceName, Row>,
    looked: Option<Instant>,
    pub(super) shown: Option<Shown>,
    pub(super) mode: Mode,
    pub(super) sort: Column,
    pub(super) reversed: bool,
    pub(super) filter: String,
    pub(super) selected: Option<InstanceName>,
    pub(super) message: String,
    pub(super) error: Option<String>,
}

impl Model {
    pub(super) fn take(&mut self, news: News) {
        self.error = news.error;
        if self.error.is_some() {
            // What was known stays: it says when it was.
            return;
        }
        let passed = self.looked.map(|last| news.at.saturating_duration_since(last).as_secs_f64());
        let row = |status: InstanceStatus| {
            let usage = news.usage.get(&status.name).copied().unwrap_or_default();
            let before = self.rows.get(&status.name).and_then(|row| row.used);
            let share = |(now, before): (Duration, Duration), passed: f64| {
                now.checked_sub(before).map(|used| used.as_secs_f64() / passed * 100.0)
            };
            let processor =
                usage.cpu.zip(before).zip(passed.filter(|&p| p > 0.0)).and_then(|(times, p)| share(times, p));
            let row = Row { processor, memory: usage.memory, used: usage.cpu, status };
            (row.status.name.clone(), row)
        };
        self.rows = news.statuses.into_iter().map(row).collect();
        self.looked = Some(news.at);
        self.shown = news.shown;
        let visible = self.visible();
        if self.selected.as_ref().is_none_or(|name| !visible.iter().any(|row| row.status.name == *name)) {
            self.selected = visible.first().map(|row| row.status.name.clone());
        }
    }

    /// The rows that the filter leaves, in order.
    pub(super) fn visible(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> =
            self.rows.values().filter(|row| row.status.name.as_str().contains(&self.filter)).collect();
        // Stable, so that equals are by their names.
        rows.sort_by(|a, b| a.compare(b, self.sort));
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    pub(super) fn has_looked(&self) -> bool {
        self.looked.is_some()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(super) fn selected_row(&self) -> Option<&Row> {
        self.rows.get(self.selected.as_ref()?)
    }

    /// Chooses another row, so many further down.
    pub(super) fn choose(&mut self, by: isize) {
        let visible = self.visible();
        let at = visible.iter().position(|row| Some(&row.status.name) == self.selected.as_ref()).unwrap_or(0);
        let last = visible.len().saturating_sub(1);
        let to = at.saturating_add_signed(by).min(last);
        self.selected = visible.get(to).map(|row| row.status.name.clone());
    }

    /// Whether somebody would notice if it were stopped, as far as is known.
    pub(super) fn is_played_on(&self, name: &InstanceName) -> bool {
        let runs = |row: &&Row| row.status.state == InstanceState::Running;
        self.rows.get(name).filter(runs).is_some_and(|row| row.humans() != Some(0))
    }
}
