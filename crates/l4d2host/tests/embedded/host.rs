//! One root directory with a shell script for a game.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use l4d2host::{Host, InstanceState, InstanceStatus, LogEntry, LogOptions, LogStream, SpecSource};
use names::InstanceName;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A host whose one instance, `one`, is deleted when the test is over.
pub(crate) struct TestHost {
    pub(crate) host: Host,
    pub(crate) root: PathBuf,
    pub(crate) one: InstanceName,
}

impl TestHost {
    pub(crate) fn new(root: &Path) -> Self {
        let host = Host::embedded(root).unwrap();
        for dir in ["installation/left4dead2", "overlays"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        Self { host, root: root.canonicalize().unwrap(), one: "one".parse().unwrap() }
    }

    /// Writes the game, a script for /bin/sh, and makes the instance `one` of it.
    pub(crate) fn game(&self, script: &str) {
        self.executable("installation/srcds_run", script);
        self.initialize("port: 27015\noverlays: []\n");
    }

    pub(crate) fn executable(&self, path: &str, script: &str) {
        let path = self.root.join(path);
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn initialize(&self, spec: &str) {
        let source = SpecSource { file_name: "spec.yaml".to_owned(), bytes: spec.as_bytes().to_vec() };
        self.host.initialize(&self.one, &source, None).unwrap();
    }

    pub(crate) fn start(&self) {
        self.host.start(&self.one).unwrap();
    }

    pub(crate) fn stop(&self) {
        self.host.stop(&self.one).unwrap();
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) {
        let status = Command::new(program).args(args).current_dir(&self.root).status().unwrap();
        assert!(status.success(), "{program} {args:?}");
    }

    pub(crate) fn status(&self) -> InstanceStatus {
        self.host.get_instance_status(&self.one).unwrap()
    }

    pub(crate) fn state(&self) -> InstanceState {
        self.status().state
    }

    pub(crate) fn upper(&self, path: &str) -> PathBuf {
        self.root.join("runtime/one/upper").join(path)
    }

    pub(crate) fn log(&self, follow: bool) -> LogStream {
        let options = LogOptions { lines: 1_000_000, follow, ..LogOptions::default() };
        self.host.stream_instance_logs(&self.one, &options).unwrap()
    }

    /// All that was logged, as text.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log(false).map(|entry| text(&entry.unwrap())).collect()
    }

    /// Waits until a line is logged for the `nth` time, counted from 1.
    pub(crate) fn wait_for(&self, line: &str, nth: usize) {
        let mut seen = Vec::new();
        let found = self.log(true).map(|entry| text(&entry.unwrap())).inspect(|line| seen.push(line.clone()));
        assert!(found.filter(|logged| logged == line).nth(nth - 1).is_some(), "{seen:?}");
    }

    /// The supervisor's process.
    pub(crate) fn supervisor(&self) -> u32 {
        let state = fs::read(self.root.join("runtime/one/supervisor.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        state["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// Waits until the supervisor has ended by itself.
    pub(crate) fn wait_for_end(&self) {
        if let Ok(process) = pidfd_open(raw(self.supervisor()), PidfdFlags::empty()) {
            wait_for_process(&process);
        }
    }

    /// For a state that follows at once on a line of the log.
    pub(crate) fn wait_for_state(&self, state: InstanceState) {
        while self.state() != state {
            std::thread::yield_now();
        }
    }

    /// Only the test itself has to do with the root directory.
    pub(crate) fn assert_nothing_runs(&self) {
        let others = processes_of(&self.root).into_iter().filter(|(_, line)| !line.contains(" run-test "));
        assert_eq!(others.collect::<Vec<_>>(), []);
    }
}

pub(crate) fn open_process(pid: u32) -> OwnedFd {
    pidfd_open(raw(pid), PidfdFlags::empty()).unwrap()
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    kill_process(raw(pid), signal).unwrap();
}

pub(crate) fn wait_for_process(process: &OwnedFd) {
    poll(&mut [PollFd::new(process, PollFlags::IN)], None).unwrap();
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // Stops what a failed test left running. In a test that passed it must succeed.
        let deleted = self.host.delete(&self.one, None);
        if !std::thread::panicking() {
            deleted.unwrap();
        }
    }
}

pub(crate) fn text(entry: &LogEntry) -> String {
    String::from_utf8_lossy(&entry.message).into_owned()
}

/// The processes, zombies aside, that were started with this directory in their arguments or as their HOME.
pub(crate) fn processes_of(root: &Path) -> Vec<(u32, String)> {
    let root = root.to_str().unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    // A zombie has neither; nor has a process that ends while we look.
    let text = |pid: u32, file: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).replace('\0', " ")
    };
    pids.filter(|pid| text(*pid, "cmdline").contains(root) || text(*pid, "environ").contains(root))
        .map(|pid| (pid, text(pid, "cmdline")))
        .collect()
}
