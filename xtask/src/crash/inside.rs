//! One command under attack, at every place or at some, inside the machine.
//!
//! What comes out is JSON for the outside, a line for each place and one at last.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::unistd::Pid;
use serde_json::json;
use syscalls::Sysno;

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

    /// Whether it is for this call.
    fn is_place(self, place: &Place) -> bool {
        let program = place.key.program.as_str();
        match self {
            Self::Process | Self::Group => is_ours(program),
            Self::Error(errno) => is_ours(program) && can_fail(place, errno),
            Self::Others => ["sudo", "systemctl"].iter().any(|other| program.starts_with(other)),
            Self::Manager => program == "systemd",
        }
    }

    /// Its places among the calls of a run.
    fn places(self, calls: &[Place]) -> Vec<Place> {
        let mut before = BTreeMap::new();
        let mut places = Vec::new();
        for place in calls {
            let is_like_before = before.insert(&place.key, place.call()) == Some(Sysno::rt_sigaction);
            if self.is_place(place) && !(self.kills_caller() && is_like_before) {
                places.push(place.clone());
            }
        }
        if matches!(self, Self::Others | Self::Manager) { spread(places, OTHERS) } else { places }
    }

    /// How a process takes signals ends with it. So one that is killed after such a call leaves what it had left before, and
    /// of the 121 in a row with which glibc begins each process the first is tried.
    fn kills_caller(self) -> bool {
        matches!(self, Self::Process | Self::Group)
    }
}

/// So many of a list, evenly spread.
fn spread(places: Vec<Place>, most: usize) -> Vec<Place> {
    let count = places.len();
    if count <= most {
        return places;
    }
    let chosen: Vec<usize> = (0..most).map(|n| (2 * n + 1) * count / (2 * most)).collect();
    places.into_iter().enumerate().filter(|(index, _)| chosen.contains(index)).map(|(_, place)| place).collect()
}

/// `crash-inside SUPERVISOR COMMAND ATTACK,… MOST FROM`: the attacks on a command, each at so many places at most (0: all),
/// from a number among all of them on.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [supervisor, scene, attacks, most, from] = args else { bail!("crash-inside needs five arguments") };
    let supervisor = if supervisor == "systemd" { Supervisor::Systemd } else { Supervisor::Embedded };
    let scene = SCENES.iter().find(|known| known.name == scene).with_context(|| format!("no command {scene:?}"))?;
    let attacks = attacks.split(',').map(|word| Ok((word, Attack::parse(word)?))).collect::<Result<Vec<_>>>()?;
    let scratch = std::env::temp_dir().join("crash");
    fs::create_dir_all(&scratch)?;
    let mut bench = Bench { scene, world: World::new(supervisor)?, scratch };
    let (most, from): (usize, usize) = (most.parse()?, from.parse()?);
    let calls = bench.calls(from == 0)?;
    let places = attacks.iter().flat_map(|(word, attack)| {
        let places = attack.places(&calls);
        let places = if most > 0 { spread(places, most) } else { places };
        places.into_iter().map(move |place| (*word, *attack, place))
    });
    let places: Vec<_> = places.collect();
    let begin = Instant::now();
    let mut next = from;
    for (word, attack, place) in places.iter().skip(from).take_while(|_| begin.elapsed() < BUDGET) {
        next += 1;
        let outcome = match bench.attack_at(*attack, place) {
            Ok(true) => json!({ "attack": word, "outcome": "hit" }),
            Ok(false) => json!({ "attack": word, "outcome": "missed", "text": place.to_string() }),
            Err(error) => {
                bench.world = World::new(supervisor)?;
                json!({ "attack": word, "outcome": "failed", "text": format!("{place}: {error:#}") })
            }
        };
        println!("{outcome}");
    }
    println!("{}", json!({ "next": next, "left": places.len() - next }));
    Ok(())
}

struct Bench {
    scene: &'static Scene,
    world: World,
    scratch: PathBuf,
}

impl Bench {
    /// The calls of a run in which nothing happens, everybody's: seen at first, and afterwards what was written down of it.
    fn calls(&mut self, at_first: bool) -> Result<Vec<Place>> {
        let file = self.scratch.join("calls");
        if !at_first {
            return Ok(serde_json::from_slice(&fs::read(file)?)?);
        }
        // Once for what is only done at first: a directory that is made, a link that is set.
        self.world.prepare(self.scene.before)?;
        let first = self.command(None)?;
        ensure!(first.code == 0, "it fails without an attack: {}\n{}", first.code, first.stderr);
        self.world.check_done(self.scene).context("without an attack")?;
        self.world.prepare(self.scene.before)?;
        let calls = self.command(None)?.calls;
        fs::write(file, serde_json::to_vec(&calls)?)?;
        Ok(calls)
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
                scratch: &self.scratch,
            },
            at,
        )
    }

    /// Whether it was hit; an error is what did not hold.
    fn attack_at(&mut self, attack: Attack, place: &Place) -> Result<bool> {
        for _ in 0..TRIES {
            self.world.prepare(self.scene.before).context("can't prepare")?;
            let run = self.command(Some((place, attack.act())))?;
            if run.hit {
                self.judge(attack, place, &run)
                    .with_context(|| format!("exit code {}: {}", run.code, run.stderr.trim()))?;
                return Ok(true);
            }
            ensure!(run.code == 0, "nothing happened to it, and it failed: {}", run.stderr);
        }
        Ok(false)
    }

    fn judge(&self, attack: Attack, place: &Place, run: &Run) -> Result<()> {
        ensure!(!run.stderr.contains("panicked") && run.code != 101 && run.code != 134, "it panicked");
        self.world.check_whole().context("after the first run")?;
        if let Attack::Error(_) = attack {
            ensure!(run.code == 0 || names_something(&run.stderr), "the error names nothing");
        }
        if run.code == 0 && !becomes_the_game(&place.key.program) {
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

/// What is a server already, or its supervisor: killed, it is a server that was lost a moment after its start, and the status
/// says so.
fn becomes_the_game(program: &str) -> bool {
    ["left4me-launch", "l4d2ctl supervise"].iter().any(|start| program.starts_with(start))
}

/// Whether an error says what it is about: the instance, a path, or what can't be done to what.
fn names_something(stderr: &str) -> bool {
    let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("left4me-overlay: ");
    let has_object = |line: &str| line.split_once("can't ").is_some_and(|(_, rest)| rest.split(' ').count() > 1);
    let has_name = |line: &str| line.contains("instance a") || line.ends_with(": a") || line.contains("left4me's");
    let names = |line: &str| line.contains('/') || has_name(line) || has_object(line);
    stderr.lines().filter(is_error).any(names)
}
