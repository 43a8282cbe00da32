//! What keys do to instances: `l4d2ctl` itself, in a process of its own.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use names::InstanceName;

use super::model::Model;
use crate::text::harmless;

/// What can be done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// What is being done.
#[derive(Debug, Default)]
pub(super) struct Actions(Vec<(Verb, InstanceName, Child)>);

impl Actions {
    pub(super) fn begin(&mut self, model: &mut Model, verb: Verb, name: InstanceName) {
        let mut command = l4d2ctl();
        command.arg(verb.as_str()).arg(name.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => self.0.push((verb, name, child)),
            Err(error) => model.message = format!("{} {name}: can't run l4d2ctl: {error}", verb.as_str()),
        }
    }

    /// Sees which of them have ended, and tells; whether there is anything to tell.
    pub(super) fn look(&mut self, model: &mut Model) -> bool {
        let before = model.message.clone();
        self.0.retain_mut(|(verb, name, child)| match child.try_wait() {
            Ok(None) => {
                model.message = format!("{} {name}...", verb.as_str());
                true
            }
            Ok(Some(status)) if status.success() => {
                model.message = format!("{} {name}: done", verb.as_str());
                false
            }
            Ok(Some(_)) | Err(_) => {
                let mut text = Vec::new();
                // Its words are the reason; without them there is still the failure.
                let _ = child.stderr.take().map(|stderr| stderr.take(64 * 1024).read_to_end(&mut text));
                let text = harmless(&text, true);
                let why = text.lines().next().unwrap_or("error: it failed").trim_start_matches("error: ");
                model.message = format!("{} {name}: {why}", verb.as_str());
                false
            }
        });
        model.message != before
    }
}

/// The console, on the terminal that was given back for it. Where it fails, its words are there until somebody has read them.
pub(super) fn console(name: &InstanceName) {
    let why = match l4d2ctl().arg("console").arg(name.as_str()).status() {
        Ok(status) if status.success() => return,
        // It has said why.
        Ok(_) => String::new(),
        Err(error) => format!("error: can't run l4d2ctl: {error}\n"),
    };
    // A terminal that has gone has nobody to read.
    let asked = writeln!(std::io::stderr(), "{why}Enter goes back");
    let _ = asked.and_then(|()| std::io::stdin().read_line(&mut String::new()));
}

fn l4d2ctl() -> Command {
    Command::new("/proc/self/exe")
}
