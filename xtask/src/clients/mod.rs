//! Clients that nobody here wrote: `python-a2s` and `rcon` of PyPI and `gamedig` of npm, kept in `target/clients`. What
//! they read from a server is compared with what `srcds-query` reads, and so is how long they take.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::build::{cargo, is_root, output_of, project, succeed, target_dir};
use crate::machine::install_packages;

/// Their versions: others may print in other ways.
const PYTHON: [&str; 2] = ["python-a2s==1.4.2", "rcon==2.4.9"];
const NODE: &str = "gamedig@5.3.3";

/// What they run in: programs that must work, and the packages of Debian that bring them.
const NEEDS: [(&[&str], &str); 3] = [
    (&["python3", "-c", "import ensurepip, venv"], "python3-venv"),
    (&["node", "--version"], "nodejs"),
    (&["npm", "--version"], "npm"),
];

const A2S: &str = include_str!("a2s.py");
const RCON: &str = include_str!("rcon.py");
const GAMEDIG: &str = include_str!("gamedig.mjs");

/// What is missing here and can't be installed, for want of root.
pub(crate) fn missing() -> Vec<&'static str> {
    if is_root() { Vec::new() } else { packages() }
}

fn packages() -> Vec<&'static str> {
    let works = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        let status =
            command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    NEEDS.iter().filter(|(words, _)| !works(words)).map(|(_, package)| *package).collect()
}

/// All clients, installed, ours too.
#[derive(Debug)]
pub(crate) struct Clients {
    python: PathBuf,
    node: PathBuf,
    /// Where our programs are.
    ours: PathBuf,
}

impl Clients {
    /// Installs what is not there yet, from the registries that pip and npm are told to use here, and builds ours.
    pub(crate) fn ready(profile: &str) -> Result<Self> {
        install_packages(&packages()).context("can't install Python and Node for the foreign clients")?;
        let dir = project().join("target/clients");
        let clients = Self { python: dir.join("python"), node: dir.join("node"), ours: target_dir(profile)? };
        let versions = format!("{} {NODE}\n", PYTHON.join(" "));
        let mark = dir.join("versions");
        if fs::read_to_string(&mark).is_ok_and(|installed| installed == versions) {
            return clients.build(profile);
        }
        println!("installing {}", versions.trim());
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&clients.python))?;
        let mut pip = clients.python(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        succeed(pip.args(PYTHON))?;
        fs::create_dir_all(&clients.node)?;
        // Without a project of its own npm would look for one in the directories above.
        fs::write(clients.node.join("package.json"), "{\"private\":true}\n")?;
        let npm = ["install", "--silent", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", NODE];
        succeed(Command::new("npm").args(npm).current_dir(&clients.node))?;
        fs::write(&mark, versions)?;
        clients.build(profile)
    }

    fn build(self, profile: &str) -> Result<Self> {
        let args = ["build", "--quiet", "--profile", profile, "--package"];
        succeed(cargo(&args).args(["srcds-query", "--example", "query"]))?;
        succeed(cargo(&args).args(["srcds-sim", "--bin", "srcds-sim"]))?;
        Ok(self)
    }

    fn python(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.python.join("bin/python"));
        // What it prints is read as UTF-8, whatever the locale.
        command.args(args).env("PYTHONUTF8", "1").stdin(Stdio::null());
        command
    }

    /// `python-a2s` with arguments.
    pub(crate) fn a2s(&self, args: &[&str]) -> Result<Value> {
        json(self.python(&["-c", A2S]).args(args))
    }

    /// `gamedig` with arguments.
    pub(crate) fn gamedig(&self, args: &[&str]) -> Result<Value> {
        // Imports are looked for where it runs.
        let mut command = Command::new("node");
        json(
            command
                .args(["--input-type=module", "-e", GAMEDIG])
                .args(args)
                .current_dir(&self.node)
                .stdin(Stdio::null()),
        )
    }

    /// `rcon`: what each command's reply is.
    pub(crate) fn rcon(&self, port: u16, password: &str, commands: &[&str]) -> Result<Value> {
        json_given(self.python(&["-c", RCON, &port.to_string()]).args(commands), password)
    }

    /// Our own client.
    pub(crate) fn ours(&self, args: &[&str]) -> Result<Value> {
        json(Command::new(self.ours.join("examples/query")).args(args))
    }

    /// Our own, for RCON.
    pub(crate) fn our_rcon(&self, port: u16, password: &str, commands: &[&str]) -> Result<Value> {
        let address = format!("127.0.0.1:{port}");
        json_given(Command::new(self.ours.join("examples/query")).args(["--rcon", &address]).args(commands), password)
    }

    /// A simulated game in a directory, that says a line with this text when it is ready.
    pub(crate) fn sim(&self, dir: &Path, args: &[&str], ready: &str) -> Result<Sim> {
        // As many sockets as it likes: 1000 servers are 1000.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 4096; exec \"$0\" \"$@\""]).arg(self.ours.join("srcds-sim")).args(args);
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut sim = Sim(command.spawn().context("can't run srcds-sim")?);
        let mut lines = BufReader::new(sim.0.stdout.take().context("srcds-sim has no stdout")?).lines();
        let mut said = Vec::new();
        for line in lines.by_ref() {
            said.push(line?);
            if said.last().is_some_and(|line| line.contains(ready)) {
                // What it says later is read, and of no interest.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(sim);
            }
        }
        anyhow::bail!("srcds-sim does not serve: {said:?}")
    }
}

/// A simulation that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct Sim(Child);

impl Drop for Sim {
    fn drop(&mut self) {
        // One that has ended already can't be killed, and is well so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn json(command: &mut Command) -> Result<Value> {
    let output = output_of(command)?;
    serde_json::from_str(&output).with_context(|| format!("{command:?} printed no JSON: {output}"))
}

/// Runs a command that reads a password from its stdin.
fn json_given(command: &mut Command, password: &str) -> Result<Value> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{password}")?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
