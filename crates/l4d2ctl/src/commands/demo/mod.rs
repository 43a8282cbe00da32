//! `l4d2ctl demo`: the whole life of two servers, with a simulated game.

mod kept;
mod query;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use l4d2host::{Error, ErrorKind, Host, InstallRequest, LogOptions, Progress, SpecSource};
use names::InstanceName;
use serde_json::json;

use crate::problem::Problem;
use crate::text::harmless;
use crate::ui::{Ui, write_stdout};

/// Show all of it with a simulated game: no root, no Steam
///
/// Installs a SIMULATED game with a SIMULATED SteamCMD, makes two overlays of
/// which one shadows the other, and runs two servers from the example specs
/// under the embedded supervisor; queries them, shows their status and logs,
/// and removes everything.
///
/// Example: l4d2ctl demo
///          l4d2ctl demo --keep
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Leave it running in ./left4me-demo, and say how to go on
    #[arg(long)]
    keep: bool,
}

const DIR: &str = "left4me-demo";

/// The simulated SteamCMD, below the demo's directory.
const STEAMCMD: &str = "bin/steamcmd.sh";

/// The two servers: name and example spec.
const SERVERS: [(&str, &str); 2] = [
    ("friday", include_str!("../../../../../examples/friday.yaml")),
    ("league", include_str!("../../../../../examples/league.yaml")),
];

/// The overlays' files: `friday` shadows what `standard` has, too.
const OVERLAY_FILES: [(&str, &str); 3] = [
    ("overlays/standard/left4dead2/motd.txt", "the standard overlay's message of the day\n"),
    ("overlays/standard/left4dead2/cfg/server.cfg", "// the standard overlay's\nsv_alltalk 1\n"),
    ("overlays/friday/left4dead2/motd.txt", "friday's own message of the day\n"),
];

pub(crate) fn run(ui: &Ui, Args { keep }: Args) -> Result<ExitCode, Problem> {
    let demo = Demo::new(*ui, keep)?;
    let done = demo.play();
    if keep && done.is_ok() {
        kept::how_to_go_on(&demo)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Also after a failure or Ctrl-C; the first error is the one to tell.
    let cleared = demo.clear();
    done.and(cleared)?;
    Ok(ExitCode::SUCCESS)
}

struct Demo {
    ui: Ui,
    dir: PathBuf,
    host: Host,
    interrupted: Arc<AtomicBool>,
}

impl Demo {
    fn new(ui: Ui, keep: bool) -> Result<Self, Problem> {
        let dir = if keep {
            let here = std::env::current_dir().map_err(|e| Error::io("can't read the current directory", e))?;
            here.join(DIR)
        } else {
            std::env::temp_dir().join(format!("{DIR}-{}", std::process::id()))
        };
        let interrupted = Arc::new(AtomicBool::new(false));
        // A terminal that is closed hangs up.
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            let flag = Arc::clone(&interrupted);
            signal_hook::flag::register(signal, flag).map_err(|e| Error::io("can't handle signals", e))?;
        }
        make_dir(&dir)?;
        let host = super::wait_for_others(Host::embedded(&dir)?, ui);
        Ok(Self { ui, dir: host.root().to_owned(), host, interrupted })
    }

    fn play(&self) -> Result<(), Problem> {
        self.ui.note("This is a demonstration: the game and SteamCMD are SIMULATED.");
        self.install()?;
        self.step("making two overlays: friday shadows a file of standard")?;
        for (path, content) in OVERLAY_FILES {
            self.put(path, content, 0o644)?;
        }
        let mut ports = Vec::new();
        for (name, example) in SERVERS {
            let name = parse(name)?;
            let (spec, port) = with_free_port(example, &ports)?;
            ports.push(port);
            self.step(&format!("initialize {name} (port {port}), start {name}"))?;
            let source = SpecSource { file_name: format!("examples/{name}.yaml"), bytes: spec.into_bytes() };
            self.host.initialize(&name, &source, None)?;
            self.host.start(&name)?;
        }
        for ((name, _), port) in SERVERS.into_iter().zip(&ports) {
            self.step(&format!("asking {name} over its game port"))?;
            let answer = query::ask(*port)?;
            let text = format!(
                "{name} answers: {:?} plays {} on port {port}; motd.txt is {:?}",
                answer.hostname, answer.map, answer.motd
            );
            self.show(&json!({ "event": "answer", "name": name, "hostname": answer.hostname, "map": answer.map, "motd": answer.motd }), &text)?;
        }
        if self.ui.is_json() {
            let instances = self.host.all_statuses()?;
            return self.ui.data(&json!({ "event": "status", "instances": instances }), String::new);
        }
        super::status::show(&self.ui, &self.host, &[], true)?;
        self.show_logs()
    }

    /// Through the same code as a real installation, with a SteamCMD that is this program.
    fn install(&self) -> Result<(), Problem> {
        let script = format!("#!/bin/sh\n# SIMULATED SteamCMD\nexec {} simulate steamcmd \"$@\"\n", own_program()?);
        self.put(STEAMCMD, &script, 0o755)?;
        let request = InstallRequest { steamcmd: Some(self.dir.join(STEAMCMD)), ..InstallRequest::default() };
        let mut reporter = super::install::Reporter::new(self.ui);
        let installed = self.host.install(&request, &mut |progress| {
            if !matches!(progress, Progress::Warning { .. }) {
                reporter.report(progress);
            }
        });
        reporter.finish();
        installed?;
        Ok(())
    }

    fn show_logs(&self) -> Result<(), Problem> {
        let (name, options) = (parse(SERVERS[0].0)?, LogOptions { lines: 5, follow: false, ..LogOptions::default() });
        let mut text = format!("\nthe last lines of {name}'s log:\n");
        for entry in self.host.stream_instance_logs(&name, &options)? {
            text.push_str(&format!("  {}\n", harmless(&entry?.message, false)));
        }
        write_stdout(&text)
    }

    /// Stops and removes everything, whatever of it is there.
    fn clear(&self) -> Result<(), Problem> {
        self.ui.note("Step: stopping and removing everything");
        for (name, _) in SERVERS {
            self.host.delete(&parse(name)?, None)?;
        }
        fs::remove_dir_all(&self.dir).map_err(|e| Error::io(format!("can't remove {}", self.dir.display()), e))?;
        Ok(())
    }

    fn step(&self, step: &str) -> Result<(), Problem> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted").with_exit_code(130).into());
        }
        if self.ui.is_json() {
            return write_stdout(&Ui::json_line(&json!({ "event": "step", "step": step }))?);
        }
        self.ui.note(&format!("Step: {step}"));
        Ok(())
    }

    fn show(&self, value: &serde_json::Value, text: &str) -> Result<(), Problem> {
        self.ui.data(value, || format!("{text}\n"))
    }

    fn put(&self, path: &str, content: &str, mode: u32) -> Result<(), Problem> {
        let path = self.dir.join(path);
        let failed = |e| Error::io(format!("can't write {}", path.display()), e);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(&path, content).map_err(failed)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(failed)?)
    }
}

/// Makes the demo's directory, which must be new: in a shared one, what is there already may be somebody's trap.
fn make_dir(dir: &Path) -> Result<(), Problem> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let error = Error::new(ErrorKind::Usage, format!("{} is there already", dir.display()));
            Err(error.hint("remove it, or run the demo elsewhere").into())
        }
        Err(error) => Err(Error::io(format!("can't make {}", dir.display()), error).into()),
    }
}

/// This program, as a word of a shell.
fn own_program() -> Result<String, Problem> {
    let own = std::env::current_exe().map_err(|e| Error::io("can't find this program", e))?;
    Ok(quoted(&own))
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn parse(name: &str) -> Result<InstanceName, Problem> {
    Ok(name.parse().map_err(l4d2host::Error::from)?)
}

/// The example with its own port, if that is free here, or else with another.
fn with_free_port(example: &str, taken: &[u16]) -> Result<(String, u16), Problem> {
    let line = example.lines().find(|line| line.starts_with("port: ")).unwrap_or("port: 27015");
    let first: u16 = line.trim_start_matches("port: ").parse().unwrap_or(27015);
    let is_free = |port: &u16| {
        !taken.contains(port)
            && UdpSocket::bind(("0.0.0.0", *port)).is_ok()
            && std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok()
    };
    let port = (first..first + 500).find(is_free);
    let port = port.ok_or_else(|| Problem::new(ErrorKind::PortConflict, format!("no port from {first} on is free")))?;
    Ok((example.replacen(line, &format!("port: {port}"), 1), port))
}
