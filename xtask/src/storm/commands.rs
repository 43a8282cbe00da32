//! The commands of a storm: which there are, and which reasons for failing each may have.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::Options;
use crate::onlooker::ROOT;

pub(super) const VERBS: [&str; 12] = [
    "initialize",
    "start",
    "stop",
    "reset",
    "delete",
    "status",
    "status NAME",
    "logs",
    "install",
    "rollback",
    "prune",
    "verify",
];

/// Longer than any queue here. Who waits in a circle gives up after it, and has then failed.
const PATIENCE: &str = "90";

/// A command that hangs is ended, and has failed.
const LIMIT_SECONDS: &str = "150";

/// A command line.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) verb: &'static str,
    args: Vec<String>,
    /// What it reads on its stdin.
    spec: String,
    build: u64,
    /// The kinds of errors that it may end with.
    may: Vec<&'static str>,
}

/// How a command ended.
pub(super) enum Outcome {
    Ok,
    /// With an error that it may have.
    Named(String),
    Failed(String),
}

pub(super) fn name(index: u16) -> String {
    format!("storm{index}")
}

/// Every other instance is never deleted, and so must keep its password.
pub(super) fn is_kept(index: u16) -> bool {
    index.is_multiple_of(2)
}

/// The next command of a process.
pub(super) fn choose(options: &Options, random: &mut fastrand::Rng) -> Script {
    let index = random.u16(..options.instances);
    let name = name(index);
    let one = |verb, may: &[&'static str]| (verb, vec![name.clone()], may.to_vec());
    let mut spec = String::new();
    let (verb, args, may) = match random.u32(..100) {
        0..20 => {
            spec = random_spec(options, random);
            let args = vec![name, "-f".to_owned(), "-".to_owned()];
            ("initialize", args, vec!["port-conflict", "overlay-missing"])
        }
        20..48 => one("start", &["not-found"]),
        48..58 => one("stop", &["not-found"]),
        58..68 => one("reset", &["not-found"]),
        68..76 if !is_kept(index) => one("delete", &[]),
        68..84 => ("status", Vec::new(), Vec::new()),
        84..90 => one("status NAME", &["not-found"]),
        90..93 => ("logs", vec![name, "--no-follow".to_owned()], vec!["not-found"]),
        93..96 => ("install", Vec::new(), Vec::new()),
        // There may be none before the current one.
        96..98 => ("rollback", Vec::new(), vec!["not-found"]),
        98 => ("prune", vec!["--keep".to_owned(), random.u32(..3).to_string()], Vec::new()),
        _ => ("verify", Vec::new(), Vec::new()),
    };
    script(verb, args, may, spec, random)
}

/// One in eight does not wait, and one in eight hardly: they may find a lock held.
fn script(
    verb: &'static str,
    mut args: Vec<String>,
    mut may: Vec<&'static str>,
    spec: String,
    random: &mut fastrand::Rng,
) -> Script {
    let patience = match random.u32(..8) {
        0 => "0",
        1 => "1",
        _ => PATIENCE,
    };
    let takes_a_lock = !matches!(verb, "status" | "status NAME" | "logs");
    if patience != PATIENCE && takes_a_lock {
        may.push("timeout");
    }
    args.extend(["--json", "--lock-timeout", patience].map(str::to_owned));
    Script { verb, args, spec, build: random.u64(9_450_001..9_450_004), may }
}

/// Ports are few, an overlay may be missing, and some servers do not last.
fn random_spec(options: &Options, random: &mut fastrand::Rng) -> String {
    let overlays = ["[]", "[storm/a]", "[storm/a, storm/b]", "[{path: storm/b, alias: b}]", "[storm/b, storm/missing]"];
    let overlays = overlays[random.usize(..overlays.len())];
    let more = ["log on", "log on", "log on", "sim_shutdown_seconds 1", "sim_exit_after 1", "sim_crash_after 2"];
    let more = more[random.usize(..more.len())];
    let port = 27_200 + random.u16(..2 * options.instances);
    spec(port, overlays, &format!("  - sv_tag {}\n  - {more}\n", random.u32(..)))
}

pub(super) fn spec(port: u16, overlays: &str, config: &str) -> String {
    format!("port: {port}\noverlays: {overlays}\nconfig:\n{config}")
}

pub(super) fn run(options: &Options, script: &Script) -> Outcome {
    let verb = script.verb.split(' ').next().unwrap_or_default();
    let args: Vec<&str> = [verb].into_iter().chain(script.args.iter().map(String::as_str)).collect();
    let output = match l4d2ctl(options, &args, &script.spec, script.build) {
        Ok(output) => output,
        Err(error) => return Outcome::Failed(format!("l4d2ctl {}: {error:#}", args.join(" "))),
    };
    judge(script, &output).unwrap_or_else(|why| {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Outcome::Failed(format!("l4d2ctl {}: {why}: {}\n{out}{err}{}", args.join(" "), output.status, script.spec))
    })
}

fn judge(script: &Script, output: &Output) -> Result<Outcome, String> {
    let text = String::from_utf8_lossy(&output.stdout);
    if script.verb == "logs" && output.status.success() {
        return Ok(Outcome::Ok);
    }
    let last = text.lines().last().unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(last).map_err(|e| format!("no document ({e})"))?;
    if script.verb != "install" && text.lines().count() != 1 {
        return Err("more than one document".to_owned());
    }
    if output.status.success() {
        return healthy(script, &document, output);
    }
    let (kind, message) = (document["error"]["kind"].as_str(), document["error"]["message"].as_str());
    let (Some(kind), Some(message)) = (kind, message) else { return Err("no error".to_owned()) };
    if kind == "timeout" && !message.contains(" by ") {
        return Err("it does not say for whom it waited".to_owned());
    }
    match script.may.contains(&kind) {
        true => Ok(Outcome::Named(kind.to_owned())),
        false => Err(format!("{kind} is no reason for it")),
    }
}

/// A success says nothing on stderr, and a status finds no damage, not even in what is being deleted.
fn healthy(script: &Script, document: &serde_json::Value, output: &Output) -> Result<Outcome, String> {
    if !output.stderr.is_empty() {
        return Err("a success with words on stderr".to_owned());
    }
    let instances = document["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
    match instances.iter().find(|instance| crate::machine::is_damaged(instance) || instance["state"] == "unknown") {
        Some(instance) if script.verb.starts_with("status") => Err(format!("damaged: {instance}")),
        _ => Ok(Outcome::Ok),
    }
}

/// Runs `l4d2ctl` as whoever this is.
pub(super) fn l4d2ctl(options: &Options, args: &[&str], stdin: &str, build: u64) -> anyhow::Result<Output> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT_SECONDS, "l4d2ctl"]).args(args);
    command.env("LEFT4ME_STEAMCMD", format!("{ROOT}/steamcmd/steamcmd")).env("LEFT4ME_SIM_BUILD", build.to_string());
    command.env("LEFT4ME_SUPERVISOR", if options.embedded { "embedded" } else { "systemd" });
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take()
        && !stdin.is_empty()
    {
        // One that ends before it has read everything says why itself.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    Ok(child.wait_with_output()?)
}
