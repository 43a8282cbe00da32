//! One root directory with a shell script for a game.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use l4d2host::{Host, InstanceState, LogEntry, LogOptions, LogStream, SpecSource};
use names::InstanceName;

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

    pub(crate) fn state(&self) -> InstanceState {
        self.host.get_instance_status(&self.one).unwrap().state
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
pub(crate) fn processes_of(root: &Path) -> Vec<String> {
    let root = root.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    // A zombie has neither; nor has a process that ends while we look.
    let text = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', " ");
    processes
        .filter(|path| path.join("cmdline").exists() && !path.ends_with("self") && !path.ends_with("thread-self"))
        .filter(|path| text(path.join("cmdline")).contains(root) || text(path.join("environ")).contains(root))
        .map(|path| format!("{}: {}", path.display(), text(path.join("cmdline"))))
        .collect()
}
