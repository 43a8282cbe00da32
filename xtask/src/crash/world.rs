//! The host that commands are killed on, and its one instance, which is brought into a state. `holds` checks it afterwards.

mod holds;

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::game::{FIRST, Game, NEWEST, STARTED_ON, Shelf};
use super::scenes::Scene;
use crate::onlooker::{ROOT, entries, held, password, path};

pub(super) const NAME: &str = "a";
/// Where the spec lies that a command is to read.
pub(super) const SPEC_FILE: &str = "/tmp/crash-spec.yaml";
const UNIT: &str = "left4me-server@a.service";

/// How long what a killed command started may take to come to its end by itself.
const SETTLE: Duration = Duration::from_secs(20);

/// What the game left in its upper, in places of different depth.
const MARKERS: [&str; 3] = ["marker", "left4dead2/marker", "left4dead2/addons/deep/marker"];

/// Who runs the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supervisor {
    Systemd,
    Embedded,
}

/// How the instance is, before a command or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Missing,
    Stopped,
    /// Stopped, with a plan to mount from.
    Staged,
    Running,
    /// Staged, and mounted by the helper without its unit.
    Mounted,
}

pub(super) struct World {
    pub(super) supervisor: Supervisor,
    pub(super) user: (u32, u32),
    /// The specs count: each is another.
    spec: u32,
    /// The spec that the command is to bring, where it brings one.
    new_spec: u32,
    rcon_password: Option<String>,
    marked: bool,
    /// The process of the server, where it runs before the command.
    server: Option<u64>,
    /// The builds of the game; none only until they are brought.
    shelf: Option<Shelf>,
    /// What this harness was started among.
    environment: Vec<(String, String)>,
}

impl World {
    pub(super) fn new(supervisor: Supervisor, game: Game) -> Result<Self> {
        let owner = fs::metadata(ROOT)?;
        let word = if supervisor == Supervisor::Systemd { "systemd" } else { "embedded" };
        let newest = (FIRST + NEWEST).to_string();
        let environment = [
            ("HOME", ROOT),
            ("LEFT4ME_SUPERVISOR", word),
            ("LEFT4ME_STEAMCMD", "/var/lib/left4me/steamcmd/steamcmd"),
            ("LEFT4ME_SIM_BUILD", &newest),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let user = (owner.uid(), owner.gid());
        let (rcon_password, server, shelf) = (None, None, None);
        let mut world =
            Self { supervisor, user, spec: 0, new_spec: 0, rcon_password, marked: false, server, shelf, environment };
        world.service_user(&["mkdir", "-p", "/var/lib/left4me/overlays/base/left4dead2/cfg"])?;
        let cfg = path("overlays/base/left4dead2/cfg/server.cfg");
        fs::write(&cfg, "sv_tags base\n")?;
        chown(&cfg, Some(user.0), Some(user.1))?;
        world.umount()?;
        world.l4d2ctl(&["delete", NAME])?;
        world.shelf = Some(Shelf::fill(&world, game)?);
        Ok(world)
    }

    fn shelf(&self) -> Result<&Shelf> {
        self.shelf.as_ref().context("no builds were brought")
    }

    pub(super) fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// A command as the service user, which must succeed.
    fn service_user(&self, words: &[&str]) -> Result<String> {
        let output = self.service_user_command(words).output().with_context(|| format!("can't run {words:?}"))?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{words:?}: {}\n{out}{err}", output.status);
        Ok(out.into_owned())
    }

    pub(super) fn service_user_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).uid(self.user.0).gid(self.user.1).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(self.environment());
        command.stdin(Stdio::null()).current_dir("/");
        command
    }

    fn l4d2ctl(&self, words: &[&str]) -> Result<String> {
        self.l4d2ctl_with(words, &[])
    }

    /// One that has to succeed, with more in its environment; its stdout.
    pub(super) fn l4d2ctl_with(&self, words: &[&str], environment: &[(&str, &str)]) -> Result<String> {
        let mut command = self.service_user_command(&[&["l4d2ctl"], words].concat());
        let output = command.envs(environment.iter().copied()).output().context("can't run l4d2ctl")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "l4d2ctl {words:?}: {}\n{out}{err}", output.status);
        Ok(out.into_owned())
    }

    /// Brings the builds of the game and the instance into the state that a command begins from, with a spec that the
    /// instance was not started with, marks in its upper, and the next spec ready.
    pub(super) fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let state = scene.before;
        // Left by a command that was killed and could not be repeated, if by anything.
        self.umount()?;
        let runs = path("instances/a").exists() && self.state()? == "running";
        self.shelf()?.restore(self, runs)?;
        match state {
            State::Missing => drop(self.l4d2ctl(&["delete", NAME])?),
            State::Stopped => {
                self.stop()?;
                self.initialize()?;
                self.mark()?;
            }
            State::Running => {
                self.initialize()?;
                let status = self.status()?.context("the instance is gone")?;
                if status["state"] != "running" || status["build_id"] != FIRST + STARTED_ON {
                    self.stop()?;
                    // Before it is mounted: what changes below a mount is undefined.
                    self.mark()?;
                    self.shelf()?.start_on_second(self, || self.l4d2ctl(&["start", NAME]).map(drop))?;
                }
            }
            State::Staged => self.prepare_staged()?,
            State::Mounted => {
                self.prepare_staged()?;
                root(&["/usr/local/libexec/left4me/left4me-overlay", "mount", NAME])?;
            }
        }
        let exists = state != State::Missing;
        self.rcon_password = exists.then(|| password(NAME)).transpose()?;
        self.new_spec = self.spec + 1;
        fs::write(SPEC_FILE, spec(self.new_spec)).context("can't write the spec")?;
        self.server = self.status()?.and_then(|status| status["main_pid"].as_u64());
        ensure!(self.server.is_some() == (state == State::Running), "the server is process {:?}", self.server);
        Ok(())
    }

    /// Leaves what every machine begins with: no instance, and the first build.
    pub(super) fn leave(&self) -> Result<()> {
        self.umount()?;
        self.l4d2ctl(&["delete", NAME])?;
        super::game::bring(self, 1)
    }

    /// Stopped, with a plan to mount from.
    fn prepare_staged(&mut self) -> Result<()> {
        self.stop()?;
        self.initialize()?;
        if !path("instances/a/staged/layers").exists() {
            self.l4d2ctl(&["start", NAME])?;
            self.stop()?;
        }
        Ok(())
    }

    fn initialize(&mut self) -> Result<()> {
        self.spec += 1;
        fs::write(SPEC_FILE, spec(self.spec)).context("can't write the spec")?;
        self.l4d2ctl(&["initialize", NAME, "-f", SPEC_FILE]).map(drop)
    }

    fn stop(&self) -> Result<()> {
        if path("instances/a").exists() && !["stopped", "not-found"].contains(&self.state()?.as_str()) {
            self.l4d2ctl(&["stop", NAME])?;
        }
        Ok(())
    }

    fn umount(&self) -> Result<()> {
        if self.supervisor == Supervisor::Systemd && !held()?.mounts.is_empty() && self.state()? != "running" {
            root(&["/usr/local/libexec/left4me/left4me-overlay", "umount", NAME])?;
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<()> {
        let upper = path("runtime/a/upper");
        for marker in MARKERS {
            let file = upper.join(marker);
            let parent = file.parent().context("a marker lies somewhere")?;
            fs::create_dir_all(parent)?;
            fs::write(&file, marker)?;
            for made in parent.ancestors().take_while(|dir| *dir != upper).chain([file.as_path()]) {
                chown(made, Some(self.user.0), Some(self.user.1))?;
            }
        }
        self.marked = true;
        Ok(())
    }

    fn status(&self) -> Result<Option<Value>> {
        let output = self.service_user_command(&["l4d2ctl", "status", NAME, "--no-query", "--json"]).output()?;
        let json: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("status says {}", String::from_utf8_lossy(&output.stdout)))?;
        if json["error"]["kind"] == "not-found" {
            return Ok(None);
        }
        ensure!(output.status.success(), "status fails: {json} {}", String::from_utf8_lossy(&output.stderr));
        Ok(Some(json["instances"][0].clone()))
    }

    fn state(&self) -> Result<String> {
        let status = self.status()?;
        Ok(status.map_or("not-found".to_owned(), |status| status["state"].as_str().unwrap_or("?").to_owned()))
    }

    /// Waits until nothing of ours runs but what is to run.
    pub(super) fn wait_for_quiet(&self, after: State) -> Result<()> {
        let embedded = self.supervisor == Supervisor::Embedded && after == State::Running;
        // The supervisor's own process is of the name.
        let expected = usize::from(embedded);
        self.wait_for_processes(expected..=expected)
    }

    /// The same after a kill, which may have come between the stop of a server and its start.
    pub(super) fn wait_for_quiet_after_a_kill(&self, after: State) -> Result<()> {
        let embedded = self.supervisor == Supervisor::Embedded && after == State::Running;
        self.wait_for_processes(0..=usize::from(embedded))
    }

    fn wait_for_processes(&self, expected: RangeInclusive<usize>) -> Result<()> {
        let until = Instant::now() + SETTLE;
        loop {
            let running = processes();
            let updates = update_mounts();
            if expected.contains(&running.len()) && updates.is_empty() && !busy_unit(self.supervisor) {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!("still at work after {} s: {running:?}, an update's mount in {updates:?}", SETTLE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The processes that are to be followed besides the command's own.
    pub(super) fn others(&self, scene: &Scene) -> Vec<i32> {
        match self.supervisor {
            Supervisor::Systemd => vec![1],
            // Killing it would be an attack on the server, and not on the command.
            Supervisor::Embedded if !scene.is_of_the_instance() => Vec::new(),
            Supervisor::Embedded => processes().into_iter().map(|(pid, _)| pid).collect(),
        }
    }
}

fn spec(number: u32) -> String {
    format!(
        "port: 27101\noverlays:\n  - path: base\n    alias: base\nconfig:\n  - hostname \"{number}\"\n  - sim_rehash 50\n"
    )
}

fn root(words: &[&str]) -> Result<()> {
    let output = Command::new(words[0]).args(&words[1..]).env_clear().stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Our programs, sudo's runs of them and SteamCMD's, as far as they run.
fn processes() -> Vec<(i32, String)> {
    let pids = entries("/proc").into_iter().filter_map(|name| name.parse::<i32>().ok());
    let told = |pid: i32| {
        let file = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = file.file_name()?.to_str()?.trim_end_matches(" (deleted)").to_owned();
        let is_one = super::trace::is_ours(&name) || ["sudo", "systemctl", "steamcmd"].contains(&name.as_str());
        is_one.then_some((pid, name))
    };
    pids.filter_map(told).collect()
}

/// The processes that have SteamCMD's overlay mounted, in whatever namespace.
fn update_mounts() -> Vec<String> {
    let has_it = |pid: &String| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        mounts.contains(" left4me-update ")
    };
    entries("/proc").into_iter().filter(|name| name.parse::<u32>().is_ok()).filter(has_it).collect()
}

/// Whether systemd still does something with the unit.
fn busy_unit(supervisor: Supervisor) -> bool {
    if supervisor == Supervisor::Embedded {
        return false;
    }
    let show = Command::new("systemctl").args(["show", "-P", "Job", "-P", "ActiveState", UNIT]).output();
    let text = show.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // No job has the number 0, or none at all.
    text.lines().any(|line| matches!(line, "activating" | "deactivating"))
        || text.lines().any(|line| line.parse().is_ok_and(|job: u32| job > 0))
}
