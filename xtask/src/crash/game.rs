//! The builds of the game that commands are killed among: which there are before, and that afterwards each one that
//! counts is whole and a server that runs has seen nothing.
//!
//! What a build is to look like is not asked of `l4d2ctl`: SteamCMD lays each down once more, in an empty directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::scenes::{Effect, Scene};
use super::world::{NAME, World};
use crate::build::succeed;
use crate::game::{Builds, Tree, differences, tree};
use crate::onlooker::{ROOT, entries, path};

/// Which builds there are. The last one is current; the instance, where it runs, was started on the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Game {
    None,
    Two,
    Four,
}

/// Builds are told by their last digit here; they follow each other, and the third is what Steam has.
pub(super) const FIRST: u64 = 9_450_000;
pub(super) const NEWEST: u64 = 3;
pub(super) const STARTED_ON: u64 = 2;

/// What instances are started on: the second build, or the fourth.
pub(super) const LAYERS: [&str; 2] = [
    "generation 9450002\ninstallation\n",
    "generation 9450004\ngeneration 9450003\ngeneration 9450002\ninstallation\n",
];

/// Where the builds are kept as they were at first, and each as SteamCMD brings it to an empty directory.
const SAVED: &str = "/run/crash-game";
/// How far a rollout has come.
const ROLLOUT: &str = "rollout.json";
const PARTS: [&str; 4] = ["installation", "generations", "manifests", "versions.json"];

/// How long it may take until a server has read all its files twice.
const READ_LIMIT: Duration = Duration::from_secs(20);

impl Game {
    fn count(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    fn saved(self) -> PathBuf {
        Path::new(SAVED).join(format!("{self:?}"))
    }
}

/// The builds as they have to be.
pub(super) struct Shelf {
    game: Game,
    trees: BTreeMap<u64, Tree>,
}

impl Shelf {
    /// Has the builds brought, one after the other, and keeps a copy. There is no instance.
    pub(super) fn fill(world: &World, game: Game) -> Result<Self> {
        let mut trees = BTreeMap::new();
        for number in 1..=4 {
            trees.insert(number, tree(&fresh(world, number)?)?);
        }
        let saved = game.saved();
        if !saved.exists() {
            bring(world, game.count())?;
            fs::create_dir_all(&saved)?;
            for part in PARTS.iter().filter(|part| path(part).exists()) {
                copy(&path(part), &saved)?;
            }
        }
        let shelf = Self { game, trees };
        shelf.restore_all(world)?;
        Ok(shelf)
    }

    fn is_as_saved(&self) -> bool {
        let saved = self.game.saved();
        let same = |part: &str| entries(path(part)) == entries(saved.join(part));
        let read = |dir: &Path| fs::read(dir.join("versions.json")).ok();
        same("generations") && same("manifests") && same("installation") && read(Path::new(ROOT)) == read(&saved)
    }

    /// Brings all back; nobody uses any.
    pub(super) fn restore_all(&self, world: &World) -> Result<()> {
        empty(world)?;
        for part in entries(self.game.saved()) {
            copy(&self.game.saved().join(part), Path::new(ROOT))?;
        }
        Ok(())
    }

    /// Brings back what is not as it was. With `in_use`, the second build stays as it is: it is mounted.
    pub(super) fn restore(&self, world: &World, in_use: bool) -> Result<()> {
        if self.is_as_saved() {
            return Ok(());
        }
        if !in_use {
            return self.restore_all(world);
        }
        let saved = self.game.saved();
        for part in ["generations", "manifests"] {
            for name in entries(path(part)) {
                if !saved.join(part).join(&name).exists() {
                    remove(&path(part).join(name))?;
                }
            }
            for name in entries(saved.join(part)) {
                if part == "manifests" || !path(part).join(&name).exists() {
                    copy(&saved.join(part).join(name), &path(part))?;
                }
            }
        }
        copy(&saved.join("versions.json"), Path::new(ROOT))
    }

    /// For a start on the second build, where another one is current.
    pub(super) fn start_on_second(&self, world: &World, start: impl FnOnce() -> Result<()>) -> Result<()> {
        let build = (FIRST + STARTED_ON).to_string();
        if self.game != Game::Four {
            return start();
        }
        world.l4d2ctl_with(&["rollback", &build], &[])?;
        start()?;
        self.restore(world, true)
    }

    /// What holds also after a command that was killed: each build that counts is whole, and none has been made up.
    pub(super) fn check_whole(&self, scene: &Scene) -> Result<()> {
        let builds = Builds::read(Path::new(ROOT))?;
        let (after, current_after) = scene.builds;
        let before: Vec<u64> = (1..=self.game.count()).collect();
        let mountpoint = Path::new(SAVED).join("mountpoint");
        fs::create_dir_all(&mountpoint)?;
        for build in &builds.all {
            let number = build.number.wrapping_sub(FIRST);
            ensure!(before.contains(&number) || after.contains(&number), "build {} came from nowhere", build.number);
            let wrong = differences(&build.tree(Path::new(ROOT), &mountpoint)?, &self.trees[&number]);
            ensure!(wrong.is_empty(), "build {} is not whole: {}", build.number, wrong.join(", "));
        }
        let current = builds.current.map(|build| build.wrapping_sub(FIRST));
        let former = (scene.effect == Effect::Moved).then_some(STARTED_ON);
        let expected = [before.last().copied(), Some(current_after), former];
        ensure!(expected.contains(&current), "the current build is {current:?}, and not one of {expected:?}");
        let kept = before.iter().filter(|number| after.contains(number));
        let numbers = builds.numbers();
        let lost: Vec<_> = kept.filter(|number| !numbers.contains(&(FIRST + **number))).collect();
        ensure!(lost.is_empty(), "builds are lost: {lost:?}");
        Ok(())
    }

    /// The server, by its process, runs on this build, and has seen nothing else all the time.
    pub(super) fn check_server(&self, world: &World, pid: u64, build: u64) -> Result<()> {
        let sees = tree(Path::new(&format!("/proc/{pid}/cwd"))).context("what the server sees")?;
        let upper = path(&format!("runtime/{NAME}/upper"));
        let is_own = |name: &str| upper.join(name).exists() || name.starts_with("left4dead2/cfg/server");
        let only_game = |tree: &Tree| -> Tree {
            tree.iter().filter(|(name, _)| !is_own(name)).map(|(name, thing)| (name.clone(), thing.clone())).collect()
        };
        let wrong = differences(&only_game(&sees), &only_game(&self.trees[&build]));
        ensure!(wrong.is_empty(), "the server sees: {}", wrong.join(", "));
        let begun = rounds(world)?;
        let until = Instant::now() + READ_LIMIT;
        // One that was being read may have begun before.
        while rounds(world)? < begun + 2 {
            ensure!(Instant::now() < until, "the server does not read its files any more");
            // Bounded by the limit above; of another program's count there is no event.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// What holds after a command that has said that it is done.
pub(super) fn check_done(world: &World, scene: &Scene) -> Result<()> {
    let builds = Builds::read(Path::new(ROOT))?;
    let numbers: Vec<u64> = builds.numbers().iter().map(|number| number.wrapping_sub(FIRST)).collect();
    let is = (&numbers[..], builds.current.unwrap_or_default().wrapping_sub(FIRST));
    let is_back = scene.effect == Effect::Moved && is == (scene.builds.0, STARTED_ON);
    ensure!(is == scene.builds || is_back, "the builds are {is:?}, and not {:?}", scene.builds);
    ensure!(!path(ROLLOUT).exists(), "{ROLLOUT} is left");
    builds.check_no_garbage(Path::new(ROOT))?;
    world.l4d2ctl_with(&["verify"], &[]).context("verify finds something").map(drop)
}

/// How often the server has read all its files; that one ever changed is an error.
fn rounds(world: &World) -> Result<u64> {
    let said = world.l4d2ctl_with(&["rcon", NAME, "sim_files"], &[])?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["files", _, "rounds", rounds, "changed", changed, ..] = words[..] else { bail!("sim_files says {said:?}") };
    ensure!(changed == "0", "files changed below the server: {said}");
    Ok(rounds.parse()?)
}

/// A build as SteamCMD brings it where there is nothing.
fn fresh(world: &World, number: u64) -> Result<PathBuf> {
    let dir = Path::new(SAVED).join(format!("fresh-{number}"));
    if dir.exists() {
        return Ok(dir);
    }
    fs::create_dir_all(dir.join("steamapps"))?;
    for made in [&dir, &dir.join("steamapps")] {
        chown(made, Some(world.user.0), Some(world.user.1))?;
    }
    let place = dir.to_string_lossy();
    for pass in ["windows", "linux"] {
        let words = [
            "/var/lib/left4me/steamcmd/steamcmd",
            "+@sSteamCmdForcePlatformType",
            pass,
            "+force_install_dir",
            &place,
            "+login",
            "anonymous",
            "+app_update",
            "222860",
            "validate",
            "+quit",
        ];
        let mut command = world.service_user_command(&words);
        let output = command.env("LEFT4ME_SIM_BUILD", (FIRST + number).to_string()).output()?;
        ensure!(output.status.success(), "SteamCMD: {}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(dir)
}

/// Has so many builds brought, one after the other, in the place of all that are there.
pub(super) fn bring(world: &World, count: u64) -> Result<()> {
    empty(world)?;
    for number in 1..=count {
        world.l4d2ctl_with(&["install"], &[("LEFT4ME_SIM_BUILD", &(FIRST + number).to_string())])?;
    }
    Ok(())
}

/// Takes every build away.
fn empty(world: &World) -> Result<()> {
    for part in PARTS.iter().chain(&["tmp", ROLLOUT]) {
        remove(&path(part))?;
    }
    for dir in ["installation", "generations", "manifests", "tmp"] {
        fs::create_dir(path(dir))?;
        chown(path(dir), Some(world.user.0), Some(world.user.1))?;
    }
    Ok(())
}

fn copy(from: &Path, into: &Path) -> Result<()> {
    succeed(Command::new("cp").args(["-a", "--"]).arg(from).arg(into))
}

fn remove(path: &Path) -> Result<()> {
    succeed(Command::new("rm").args(["-rf", "--"]).arg(path))
}
