//! The kinds of attacks, and at which points of a command each hits.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use nix::errno::Errno;
use syscalls::Sysno;

use super::errors::{ERRORS, can_fail};
use super::scenes::Scene;
use super::trace::{Act, Place, is_ours};

/// How many places among the calls of sudo, systemctl, SteamCMD and PID 1 are tried.
const OTHERS: usize = 50;

/// So much room, in blocks: a build differs from the next by some 30, and is 2000 large.
const ROOMS: [u64; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 192, 256, 512,
    1024, 2048, 4096,
];
pub(super) const BLOCK: u64 = 4096;

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// Kill the process that makes the call.
    Process,
    /// Kill its process group.
    Group,
    /// Kill sudo, systemctl or SteamCMD at one of their calls.
    Others,
    /// Kill the command while PID 1 makes one of its calls.
    Manager,
    /// Let the call fail.
    Error(Errno),
    /// Leave little room on the disk.
    Full,
}

/// Where an attack hits.
pub(super) enum Point {
    /// At a call, with what happens there.
    Call(Place, Act),
    /// As soon as there are so many bytes more on the disk.
    Room(u64),
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(place, _) => place.fmt(f),
            Self::Room(bytes) => write!(f, "{bytes} bytes of room"),
        }
    }
}

/// All of them, by the names that they have on the command line.
pub(super) fn attacks() -> impl Iterator<Item = (&'static str, Attack)> {
    let kills = [
        ("full", Attack::Full),
        ("kill", Attack::Process),
        ("kill-group", Attack::Group),
        ("kill-others", Attack::Others),
        ("kill-pid1", Attack::Manager),
    ];
    kills.into_iter().chain(ERRORS.map(|(name, errno)| (name, Attack::Error(errno))))
}

impl Attack {
    pub(super) fn parse(word: &str) -> Result<Self> {
        attacks()
            .find(|(name, _)| *name == word)
            .map(|(_, attack)| attack)
            .with_context(|| format!("no attack {word:?}"))
    }

    /// Its points among the calls of a run, at most so many (0: all).
    pub(super) fn points(self, scene: &Scene, calls: &[Place], most: usize) -> Vec<Point> {
        let points = match self {
            Self::Full if scene.is_of_game() => ROOMS.map(|blocks| Point::Room(blocks * BLOCK)).into(),
            Self::Full => Vec::new(),
            Self::Process => self.calls(calls, Act::Kill),
            Self::Group => self.calls(calls, Act::KillGroup),
            Self::Error(errno) => self.calls(calls, Act::Fail(errno)),
            Self::Others => spread(self.calls(calls, Act::Kill), OTHERS),
            Self::Manager => spread(self.calls(calls, Act::KillCommand), OTHERS),
        };
        if most > 0 { spread(points, most) } else { points }
    }

    fn calls(self, calls: &[Place], act: Act) -> Vec<Point> {
        let mut before = BTreeMap::new();
        let mut points = Vec::new();
        for place in calls {
            let is_like_before = before.insert(&place.key, place.call()) == Some(Sysno::rt_sigaction);
            if self.is_for(place) && !(self.kills_caller() && is_like_before) {
                points.push(Point::Call(place.clone(), act));
            }
        }
        points
    }

    /// Whether it is for this call.
    fn is_for(self, place: &Place) -> bool {
        let program = place.key.program.as_str();
        match self {
            Self::Process | Self::Group => is_ours(program),
            Self::Error(errno) => is_ours(program) && can_fail(place, errno),
            Self::Others => ["sudo", "systemctl", "steamcmd"].iter().any(|other| program.starts_with(other)),
            Self::Manager => program == "systemd",
            Self::Full => false,
        }
    }

    /// How a process takes signals ends with it. So one that is killed after such a call leaves what it had left before, and
    /// of the 121 in a row with which glibc begins each process the first is tried.
    fn kills_caller(self) -> bool {
        matches!(self, Self::Process | Self::Group)
    }
}

/// So many of a list, evenly spread.
fn spread<T>(points: Vec<T>, most: usize) -> Vec<T> {
    let count = points.len();
    if count <= most {
        return points;
    }
    let chosen: Vec<usize> = (0..most).map(|n| (2 * n + 1) * count / (2 * most)).collect();
    points.into_iter().enumerate().filter(|(index, _)| chosen.contains(index)).map(|(_, point)| point).collect()
}
