//! One command under attack, at every place or at some, inside the machine.
//!
//! What comes out is JSON for the outside, a line for each place and one at last.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Pid;
use serde_json::json;

use super::attack::{Attack, BLOCK, Point};
use super::game::Game;
use super::scenes::{SCENES, Scene};
use super::trace::{self, Act, Place, Plan, Run};
use super::world::{Supervisor, World};
use crate::build::succeed;
use crate::onlooker::ROOT;

/// After so long the rest is left for another call: a command in a machine may take ten minutes.
const BUDGET: Duration = Duration::from_secs(400);

/// How often a place is tried that a run did not come to: how often a program waits or reads differs from run to run.
const TRIES: u32 = 3;

/// What a server may have written to its log meanwhile, and locks that were never taken before.
const WRITTEN_BESIDES: u64 = 8 * BLOCK;

/// `crash-inside SUPERVISOR COMMAND ATTACK,… MOST FROM`: the attacks on a command, each at so many places at most (0: all),
/// from a number among all of them on.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [supervisor, scene, attacks, most, from] = args else { bail!("crash-inside needs five arguments") };
    let supervisor = if supervisor == "systemd" { Supervisor::Systemd } else { Supervisor::Embedded };
    let scene = SCENES.iter().find(|known| known.name == scene).with_context(|| format!("no command {scene:?}"))?;
    let attacks = attacks.split(',').map(|word| Ok((word, Attack::parse(word)?))).collect::<Result<Vec<_>>>()?;
    let scratch = std::env::temp_dir().join("crash");
    fs::create_dir_all(&scratch)?;
    let mut bench = Bench { scene, world: World::new(supervisor, scene.game)?, scratch };
    let (most, from): (usize, usize) = (most.parse()?, from.parse()?);
    let calls = bench.calls(from == 0)?;
    let points = attacks.iter().flat_map(|(word, attack)| {
        let points = attack.points(scene, &calls, most).into_iter();
        points.map(move |point| (*word, *attack, point))
    });
    let points: Vec<_> = points.collect();
    let begin = Instant::now();
    let mut next = from;
    for (word, attack, point) in points.iter().skip(from).take_while(|_| begin.elapsed() < BUDGET) {
        next += 1;
        let outcome = match bench.attack_at(*attack, point) {
            Ok(true) => json!({ "attack": word, "outcome": "hit" }),
            Ok(false) => json!({ "attack": word, "outcome": "missed", "text": point.to_string() }),
            Err(error) => {
                bench.world = World::new(supervisor, scene.game)?;
                json!({ "attack": word, "outcome": "failed", "text": format!("{point}: {error:#}") })
            }
        };
        println!("{outcome}");
    }
    bench.world.leave()?;
    println!("{}", json!({ "next": next, "left": points.len() - next }));
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
        self.world.prepare(self.scene)?;
        let first = self.command(None)?;
        ensure!(first.code == 0, "it fails without an attack: {}\n{}", first.code, first.stderr);
        ensure!(first.stderr.contains(self.scene.says), "it goes another way: {}", first.stderr);
        self.world.check_done(self.scene).context("without an attack")?;
        self.world.prepare(self.scene)?;
        let calls = self.command(None)?.calls;
        fs::write(file, serde_json::to_vec(&calls)?)?;
        Ok(calls)
    }

    fn command(&self, at: Option<(&Place, Act)>) -> Result<Run> {
        let others: Vec<Pid> = self.world.others(self.scene).into_iter().map(Pid::from_raw).collect();
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
    fn attack_at(&mut self, attack: Attack, point: &Point) -> Result<bool> {
        let (place, act) = match point {
            Point::Call(place, act) => (place, *act),
            Point::Room(bytes) => return self.run_with_room(*bytes).map(|()| true),
        };
        for _ in 0..TRIES {
            self.world.prepare(self.scene).context("can't prepare")?;
            let run = self.command(Some((place, act)))?;
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
        self.world.check_whole(self.scene).context("after the first run")?;
        if let Attack::Error(_) = attack {
            ensure!(run.code == 0 || names_something(&run.stderr), "the error names nothing");
        }
        if run.code == 0 && !becomes_the_game(&place.key.program) {
            self.world.check_done(self.scene).context("it said that it was done")?;
        }
        // What a killed one has started ends by itself; and where it has not yet, it does no harm to the next.
        if self.scene.is_of_game() && place.nth.is_multiple_of(2) {
            self.world.wait_for_quiet_after_a_kill(self.scene.after).context("after the first run")?;
        }
        self.run_again()
    }

    fn run_again(&self) -> Result<()> {
        let output = self.untraced()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the second run failed: {}: {said}", output.status);
        self.world.check_done(self.scene).context("after the second run")
    }

    fn untraced(&self) -> Result<Output> {
        let words = self.scene.command;
        let output = if self.scene.as_root {
            Command::new(words[0]).args(&words[1..]).env_clear().output()
        } else {
            self.world.service_user_command(words).output()
        };
        output.context("can't run it")
    }

    /// With room for so many bytes it does what it is to do, or says why not, and gives back what it took.
    fn run_with_room(&mut self, bytes: u64) -> Result<()> {
        self.world.prepare(self.scene).context("can't prepare")?;
        let before = used()?;
        resize(&(before + bytes).to_string())?;
        let output = self.untraced();
        let after = used();
        resize("50%")?;
        let (output, after) = (output?, after?);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let held = || {
            ensure!(!said.contains("panicked"), "it panicked");
            self.world.check_whole(self.scene).context("after the first run")?;
            if output.status.success() {
                return self.world.check_done(self.scene).context("it said that it was done");
            }
            ensure!(said.contains("error: ") && names_want_of_room(&said), "the error is another");
            // The first installation goes on where it was, and keeps what it has.
            let is_first = self.scene.game == Game::None;
            ensure!(is_first || after <= before + WRITTEN_BESIDES, "it kept {} bytes", after - before);
            self.run_again()
        };
        held().with_context(|| format!("{}: {}", output.status, said.trim()))
    }
}

/// How many bytes are used on the disk that left4me has here.
fn used() -> Result<u64> {
    let stat = rustix::fs::statvfs(ROOT).with_context(|| format!("can't look at {ROOT}"))?;
    Ok((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
}

fn resize(size: &str) -> Result<()> {
    let is_own = rustix::fs::statfs(ROOT)?.f_type == rustix::fs::statfs("/dev/shm")?.f_type;
    ensure!(is_own, "{} has no tmpfs of its own that could be small", Path::new(ROOT).display());
    succeed(Command::new("mount").args(["-o", &format!("remount,size={size}"), ROOT]))
}

/// Whether it says that there was no room: ours, or SteamCMD's last lines, which are its reason.
fn names_want_of_room(stderr: &str) -> bool {
    ["No space left", "disk is full", "disk space", "free"].iter().any(|words| stderr.contains(words))
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
