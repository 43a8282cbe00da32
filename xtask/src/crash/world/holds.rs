//! What has to hold after a command: of one that was killed, and of one that says that it is done.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{MARKERS, NAME, State, Supervisor, World, spec};
use crate::crash::game::{FIRST, LAYERS, STARTED_ON};
use crate::crash::scenes::{Effect, Scene};
use crate::game::Builds;
use crate::onlooker::{ROOT, entries, held, password, path};

impl World {
    /// What holds also after a command that was killed half way: the instance is the old one or the new one, whole, and so
    /// is the game.
    pub(in crate::crash) fn check_whole(&self, scene: &Scene) -> Result<()> {
        self.shelf()?.check_whole(scene)?;
        if let Some(status) = self.status()? {
            let pid = status["main_pid"].as_u64();
            let is_as_before = status["state"] == "running" && pid == self.server;
            ensure!(is_as_before || !scene.keeps_running(), "the server was {:?}: {status}", self.server);
            ensure!(!crate::machine::is_damaged(&status), "status shows damage: {status}");
            let found = self.check_spec()?;
            ensure!(!status["revision"].is_null(), "no revision: {status}");
            if let Some(before) = &self.rcon_password {
                ensure!(found.is_some() && password(NAME)? == *before, "the RCON password changed");
            }
            check_staged()?;
        }
        let there = MARKERS.iter().filter(|marker| path("runtime/a/upper").join(marker).exists()).count();
        ensure!(there == 0 || there == MARKERS.len() || !self.marked, "{there} of {} marks are left", MARKERS.len());
        Ok(())
    }

    /// The files of the instance are those of one spec; which.
    fn check_spec(&self) -> Result<Option<u32>> {
        let Ok(bytes) = fs::read_to_string(path("instances/a/spec.yaml")) else { return Ok(None) };
        let is_it = |number: &u32| bytes == spec(*number);
        let number = [self.spec, self.new_spec].into_iter().find(is_it);
        let number = number.with_context(|| format!("spec.yaml is neither the old nor the new: {bytes:?}"))?;
        let compiled: Value = serde_json::from_slice(&fs::read(path("instances/a/instance.json"))?)?;
        let line = format!("hostname \"{number}\"");
        ensure!(compiled["config"][0] == line.as_str(), "instance.json is of another spec: {compiled}");
        Ok(Some(number))
    }

    /// What holds after a command that has said that it is done.
    pub(in crate::crash) fn check_done(&self, scene: &Scene) -> Result<()> {
        let after = scene.after;
        self.check_whole(scene)?;
        self.wait_for_quiet(after)?;
        crate::crash::game::check_done(self, scene)?;
        if let Some(pid) = self.server.filter(|_| scene.keeps_running()) {
            self.shelf()?.check_server(self, pid, STARTED_ON)?;
        }
        if scene.effect == Effect::Moved {
            self.check_moved()?;
        }
        let status = self.status()?;
        let state = status.as_ref().map_or("not-found", |status| status["state"].as_str().unwrap_or("?"));
        let expected = match after {
            State::Missing => "not-found",
            State::Stopped | State::Staged | State::Mounted => "stopped",
            State::Running => "running",
        };
        // A unit whose last step was killed says so, although that step was then done by the helper.
        let state = if state == "failed" { "stopped" } else { state };
        ensure!(state == expected, "the instance is {state}, not {expected}: {status:?}");
        if after != State::Missing {
            let wanted = if scene.effect == Effect::Spec { self.new_spec } else { self.spec };
            ensure!(self.check_spec()? == Some(wanted), "the spec is not the one that was asked for");
        }
        if after == State::Running {
            let cfg = fs::read_to_string(path("runtime/a/upper/left4dead2/cfg/server.cfg"))?;
            ensure!(
                cfg == fs::read_to_string(path("instances/a/staged/cfg/server.cfg"))?,
                "server.cfg in the upper: {cfg}"
            );
        }
        if scene.effect == Effect::Emptied && after == State::Stopped {
            let left = [entries(path("runtime/a/upper")), entries(path("runtime/a/work"))].concat();
            ensure!(left.is_empty(), "the upper still holds {left:?}");
        }
        let left = entries(path("tmp"));
        ensure!(left.is_empty(), "tmp holds {left:?}");
        let dirs = [path("instances/a"), path("runtime/a")].iter().filter(|dir| dir.exists()).count();
        ensure!(dirs == if after == State::Missing { 0 } else { 2 }, "{dirs} of its directories are there");
        if self.supervisor == Supervisor::Systemd { Self::check_systemd(after) } else { Ok(()) }
    }

    /// The instance runs on the current build.
    fn check_moved(&self) -> Result<()> {
        let current = Builds::read(Path::new(ROOT))?.current.context("no build is current")?;
        let status = self.status()?.context("the instance is gone")?;
        ensure!(status["build_id"] == current, "build {current} is current: {status}");
        let pid = status["main_pid"].as_u64().context("it has no process")?;
        self.shelf()?.check_server(self, pid, current.wrapping_sub(FIRST))
    }

    fn check_systemd(after: State) -> Result<()> {
        let named = |is: bool| if is { vec![NAME] } else { Vec::new() };
        let (mounted, enabled) =
            (named(matches!(after, State::Running | State::Mounted)), named(after == State::Running));
        let held = held()?;
        ensure!(
            held.mounts == mounted && held.records == mounted && held.enabled == enabled,
            "the host holds {held:?}"
        );
        Ok(())
    }
}

/// What is staged is whole, whichever spec it is of.
fn check_staged() -> Result<()> {
    let staged = path("instances/a/staged");
    if !staged.exists() {
        return Ok(());
    }
    let read = |file: &str| fs::read_to_string(staged.join(file)).with_context(|| format!("staged/{file}"));
    ensure!(
        LAYERS.map(|layers| format!("overlay base\n{layers}")).contains(&read("layers")?),
        "staged/layers is {:?}",
        read("layers")
    );
    ensure!(read("launch")?.contains("+hostport\n"), "staged/launch is {:?}", read("launch"));
    ensure!(read("revision")?.len() == 17, "staged/revision is {:?}", read("revision"));
    ensure!(read("cfg/server_base.cfg")? == "sv_tags base\n", "server_base.cfg is not whole");
    let cfg = read("cfg/server.cfg")?;
    let password = password(NAME)?;
    ensure!(cfg.ends_with(&format!("rcon_password \"{}\"\n", password.trim())), "server.cfg is not whole: {cfg}");
    Ok(())
}
