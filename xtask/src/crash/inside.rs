//! One command under one kind of attack, at every place or at some, inside the machine.
//!
//! What comes out is lines for the outside: `FAIL …` for what did not hold, and at last one line of JSON.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::unistd::Pid;
use serde_json::json;

use super::errors::{ERRORS, can_fail};
use super::scenes::{SCENES, Scene};
use super::trace::{self, Act, Place, Plan, Run, is_ours};
use super::world::{Supervisor, World};

/// After so long the rest is left for another call: a command in a machine may take ten minutes.
const BUDGET: Duration = Duration::from_secs(400);

/// How often a place is tried that a run did not come to: how often a program waits or reads differs from run to run.
const TRIES: u32 = 3;

/// How many places among the calls of sudo, systemctl and PID 1 are tried.
const OTHERS: usize = 50;

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// Kill the process that makes the call.
    Process,
    /// Kill its process group.
    Group,
    /// Kill sudo or systemctl at one of their calls.
    Others,
    /// Kill the command while PID 1 makes one of its calls.
    Manager,
    /// Let the call fail.
    Error(Errno),
}

impl Attack {
    pub(super) const KILLS: [(&str, Self); 4] = [
        ("kill", Self::Process),
        ("kill-group", Self::Group),
        ("kill-others", Self::Others),
        ("kill-pid1", Self::Manager),
    ];

    pub(super) fn parse(word: &str) -> Result<Self> {
        let kills = Self::KILLS.into_iter();
        let mut all = kills.chain(ERRORS.map(|(name, errno)| (name, Self::Error(errno))));
        all.find(|(name, _)| *name == word).map(|(_, attack)| attack).with_context(|| format!("no attack {word:?}"))
    }

    fn act(self) -> Act {
        match self {
            Self::Process | Self::Others => Act::Kill,
            Self::Group => Act::KillGroup,
            Self::Manager => Act::KillCommand,
            Self::Error(errno) => Act::Fail(errno),
        }
    }

    /// Whose calls are places of this attack.
    fn counts(self) -> fn(&str) -> bool {
        match self {
            Self::Process | Self::Group | Self::Error(_) => is_ours,
            Self::Others => |program| ["sudo", "systemctl"].iter().any(|other| program.starts_with(other)),
            Self::Manager => |program| program == "systemd",
        }
    }

    /// Its places among the calls of a run.
    fn places(self, calls: Vec<Place>) -> Vec<Place> {
        match self {
            Self::Process | Self::Group => calls,
            Self::Error(errno) => calls.into_iter().filter(|place| can_fail(place.call, errno)).collect(),
            Self::Others | Self::Manager => spread(calls, OTHERS),
        }
    }
}

/// So many of a list, evenly spread, the last among them.
fn spread(places: Vec<Place>, most: usize) -> Vec<Place> {
    let count = places.len();
    if count <= most {
        return places;
    }
    let chosen: Vec<usize> = (1..=most).map(|n| n * count / most - 1).collect();
    places.into_iter().enumerate().filter(|(index, _)| chosen.contains(index)).map(|(_, place)| place).collect()
}

/// `crash-inside SUPERVISOR SCENE ATTACK FROM MOST`: the places from this one on, of at most so many (0: all).
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [supervisor, scene, attack, from, most] = args else { bail!("crash-inside needs five arguments") };
    let supervisor = if supervisor == "systemd" { Supervisor::Systemd } else { Supervisor::Embedded };
    let scene = SCENES.iter().find(|known| known.name == scene).with_context(|| format!("no command {scene:?}"))?;
    let (from, most): (usize, usize) = (from.parse()?, most.parse()?);
    let scratch = std::env::temp_dir().join("crash");
    fs::create_dir_all(&scratch)?;
    let mut bench = Bench { scene, attack: Attack::parse(attack)?, world: World::new(supervisor)?, scratch };
    let mut places = bench.places()?;
    if most > 0 {
        places = spread(places, most);
    }
    let begin = Instant::now();
    let (mut hit, mut missed, mut failed, mut next) = (0, Vec::new(), 0, from);
    for place in places.iter().skip(from) {
        if begin.elapsed() > BUDGET {
            break;
        }
        next += 1;
        match bench.attack_at(place) {
            Ok(true) => hit += 1,
            Ok(false) => missed.push(place.to_string()),
            Err(error) => {
                failed += 1;
                println!("FAIL {} {attack} at {place}: {error:#}", scene.name);
                bench.world = World::new(supervisor)?;
            }
        }
    }
    let left = places.len().saturating_sub(next);
    println!(
        "{}",
        json!({ "places": places.len(), "hit": hit, "missed": missed, "failed": failed, "next": next, "left": left })
    );
    Ok(())
}

struct Bench {
    scene: &'static Scene,
    attack: Attack,
    world: World,
    scratch: PathBuf,
}

impl Bench {
    /// A run in which nothing happens, for its calls.
    fn places(&mut self) -> Result<Vec<Place>> {
        // Once for what is only done at first: a directory that is made, a link that is set.
        self.world.prepare(self.scene.before)?;
        let first = self.command(None)?;
        ensure!(first.code == 0, "it fails without an attack: {}\n{}", first.code, first.stderr);
        self.world.check_done(self.scene).context("without an attack")?;
        self.world.prepare(self.scene.before)?;
        Ok(self.attack.places(self.command(None)?.calls))
    }

    fn command(&self, at: Option<(&Place, Act)>) -> Result<Run> {
        let others: Vec<Pid> = self.world.others().into_iter().map(Pid::from_raw).collect();
        let environment = self.world.environment();
        trace::run(
            &Plan {
                command: self.scene.command,
                user: if self.scene.as_root { (0, 0) } else { self.world.user },
                environment: if self.scene.as_root { &[] } else { &environment },
                others: &others,
                linger: self.scene.linger.filter(|_| self.world.supervisor == Supervisor::Systemd),
                counts: self.attack.counts(),
                scratch: &self.scratch,
            },
            at,
        )
    }

    /// Whether it was hit; an error is what did not hold.
    fn attack_at(&mut self, place: &Place) -> Result<bool> {
        for _ in 0..TRIES {
            self.world.prepare(self.scene.before).context("can't prepare")?;
            let run = self.command(Some((place, self.attack.act())))?;
            if run.hit {
                self.judge(place, &run).with_context(|| format!("exit code {}: {}", run.code, run.stderr.trim()))?;
                return Ok(true);
            }
            ensure!(run.code == 0, "nothing happened to it, and it failed: {}", run.stderr);
        }
        Ok(false)
    }

    fn judge(&self, place: &Place, run: &Run) -> Result<()> {
        ensure!(!run.stderr.contains("panicked") && run.code != 101 && run.code != 134, "it panicked");
        self.world.check_whole().context("after the first run")?;
        if let Attack::Error(_) = self.attack {
            ensure!(run.code == 0 || names_something(&run.stderr), "the error names nothing");
        }
        // What happens to the unit's main process happens after the command's own end.
        let done = run.code == 0 && !place.key.program.starts_with("left4me-launch");
        if done {
            self.world.check_done(self.scene).context("it said that it was done")?;
        }
        let again = self.scene.command;
        let output = if self.scene.as_root {
            std::process::Command::new(again[0]).args(&again[1..]).env_clear().output()
        } else {
            self.world.service_user_command(again).output()
        };
        let output = output.context("can't run it again")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the second run failed: {}: {said}", output.status);
        self.world.check_done(self.scene).context("after the second run")
    }
}

/// Whether an error says what it is about: the instance, or a path.
fn names_something(stderr: &str) -> bool {
    let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("left4me-overlay: ");
    stderr
        .lines()
        .filter(is_error)
        .any(|line| line.contains('/') || line.contains("instance a") || line.contains(" a: "))
}
