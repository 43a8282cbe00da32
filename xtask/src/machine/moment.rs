//! A moment of a virtual machine, its memory and its disk, to begin from again and again: that takes a second or two,
//! where an emulated boot takes half a minute.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Answer;
use super::container::read_disk;
use super::leftovers::{directory, new_name};
use super::vm::{AGENT, IMAGE, QMP, Vm, receive, send, spawn};
use crate::build::succeed;

/// How long qemu may take for what it is told.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a command in the machine may take, of which nothing is known yet.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);

/// Lies in the directory of the machine that it is of, and goes with it.
pub(crate) struct Moment {
    memory: PathBuf,
    disk: PathBuf,
    boot: PathBuf,
}

impl Vm {
    /// Saves this moment; the machine goes on.
    pub(crate) fn save(&mut self, name: &str) -> Result<Moment> {
        let (memory, disk) = (self.work.join(format!("{name}.memory")), self.work.join(format!("{name}.img")));
        let mut qemu = Qmp::connect(&self.work)?;
        qemu.tell("stop", &json!({}))?;
        qemu.tell("migrate-set-parameters", &json!({ "max-bandwidth": 1_u64 << 40 }))?;
        qemu.tell("migrate", &json!({ "uri": format!("exec:cat > '{}'", memory.display()) }))?;
        qemu.wait_for("query-migrate", |answer| answer["status"] == "completed")?;
        copy(&self.work.join(IMAGE), &disk)?;
        qemu.tell("cont", &json!({}))?;
        Ok(Moment { memory, disk, boot: self.boot.clone() })
    }

    /// Runs a script and takes the power away at once: when that time is over, or when its answer comes. What the guest had
    /// not written is lost. Says what was answered until then, and when that was; the disk is as it was left.
    pub(crate) fn run_until_cut(&mut self, script: &str, at: Option<Duration>) -> Result<(Option<Answer>, Duration)> {
        let mut agent = self.agent.take().context("the virtual machine is not up")?;
        let start = Instant::now();
        let number = send(&mut agent, script)?;
        let mut heard = Vec::new();
        while !answered(&heard, &number) {
            let left = at.unwrap_or(COMMAND_LIMIT).saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            agent.set_read_timeout(Some(left))?;
            let mut part = [0; 4096];
            match agent.read(&mut part) {
                Ok(0) => bail!("qemu ended; see {}", self.work.join("console").display()),
                Ok(length) => heard.extend_from_slice(&part[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let after = start.elapsed();
        self.qemu.kill()?;
        self.qemu.wait()?;
        // What was on its way: an answer that came out before the cut was given.
        agent.set_read_timeout(None)?;
        // It ends with an error where qemu died with something unread.
        let _ = agent.read_to_end(&mut heard);
        let answer = receive(&mut heard.as_slice()).ok().filter(|(of, _)| *of == number).map(|(_, answer)| answer);
        Ok((answer, after))
    }

    /// For good; what was saved of it stays.
    pub(crate) fn turn_off(&mut self) -> Result<()> {
        self.agent = None;
        self.qemu.kill()?;
        self.qemu.wait()?;
        Ok(())
    }

    /// The disk, as this machine sees it.
    pub(crate) fn disk(&self) -> PathBuf {
        self.work.join(IMAGE)
    }
}

fn answered(heard: &[u8], number: &str) -> bool {
    receive(&mut &*heard).is_ok_and(|(of, _)| of == number)
}

impl Moment {
    /// A machine that goes on from this moment.
    pub(crate) fn resume(&self) -> Result<Vm> {
        let work = directory().join(new_name());
        fs::create_dir_all(&work)?;
        copy(&self.disk, &work.join(IMAGE))?;
        let qemu = spawn(&work, &self.boot, &["-incoming", "defer"])?;
        let mut vm = Vm { work, boot: self.boot.clone(), qemu, agent: None };
        let mut qemu = Qmp::connect(&vm.work)?;
        // Before the guest goes on: an agent that finds nobody connected ends, and is started again a second later.
        let agent = UnixStream::connect(vm.work.join(AGENT))?;
        let is_connected = |answer: &Value| {
            let devices = answer.as_array().into_iter().flatten();
            devices
                .filter(|device| device["label"] == "agent")
                .any(|device| device["filename"].as_str().is_some_and(|name| !name.starts_with("disconnected")))
        };
        qemu.wait_for("query-chardev", is_connected)?;
        qemu.tell("migrate-incoming", &json!({ "uri": format!("exec:cat '{}'", self.memory.display()) }))?;
        // It was saved while it stood still, and is read so.
        qemu.wait_for("query-status", |answer| answer["status"] == "paused")?;
        qemu.tell("cont", &json!({}))?;
        agent.set_read_timeout(Some(Duration::from_secs(900)))?;
        vm.agent = Some(agent);
        Ok(vm)
    }

    /// Looks at the disk; a copy, as recovering it would make it another than the memory knows.
    pub(crate) fn read_disk<T>(&self, look: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let copied = self.disk.with_extension("copy");
        copy(&self.disk, &copied)?;
        let answer = read_disk(&copied, look);
        fs::remove_file(&copied)?;
        answer
    }
}

/// Copies an image, holes as holes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    succeed(Command::new("cp").arg("--sparse=auto").arg(from).arg(to))
}

/// A connection to qemu's own control.
struct Qmp(BufReader<UnixStream>);

impl Qmp {
    fn connect(work: &Path) -> Result<Self> {
        let until = Instant::now() + LIMIT;
        let stream = loop {
            match UnixStream::connect(work.join(QMP)) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() >= until => return Err(error).context("can't reach qemu"),
                // It makes the socket a moment after its start, and tells nobody.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(LIMIT))?;
        let mut qmp = Self(BufReader::new(stream));
        qmp.line().context("qemu does not greet")?;
        qmp.tell("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("qemu said {line:?}"))
    }

    /// One command; what it returns. What qemu says unasked is passed over.
    fn tell(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let text = json!({ "execute": command, "arguments": arguments }).to_string();
        self.0.get_mut().write_all(text.as_bytes())?;
        loop {
            let mut answer = self.line().with_context(|| format!("no answer to {command}"))?;
            if answer.get("error").is_some() {
                bail!("{command}: {answer}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn wait_for(&mut self, question: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            let answer = self.tell(question, &json!({}))?;
            if is_so(&answer) {
                return Ok(());
            }
            if Instant::now() >= until || answer["status"] == "failed" {
                bail!("{question}: {answer}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
