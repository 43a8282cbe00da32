//! Undoing what was done is as good as not having done it: laws over the whole tree below the root directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::host::TestHost;

pub(crate) const TESTS: &[crate::Test] = &[
    ("initialize_and_delete_leave_the_tree_as_it_was", initialize_and_delete_leave_the_tree_as_it_was),
    ("reset_is_an_upper_that_nobody_wrote_to", reset_is_an_upper_that_nobody_wrote_to),
];

const SPEC: &str = "port: 27015\noverlays: [{path: a/b, alias: x}, c]\nconfig: [hostname x]\n";

/// Every path below a directory with its mode and, of a file, its content.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir_here) = todo.pop() {
        for entry in fs::read_dir(&dir_here).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let mode = entry.metadata().unwrap().permissions().mode();
            let content = if kind.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            found.insert(name, format!("{mode:o} {}", String::from_utf8_lossy(&content)));
            todo.extend(kind.is_dir().then_some(path));
        }
    }
    found
}

/// The same without what stays, so that nobody waits for a lock that another can't see.
fn tree_without_locks(t: &TestHost) -> BTreeMap<String, String> {
    tree(&t.root).into_iter().filter(|(path, _)| !path.starts_with("locks/")).collect()
}

fn prepare(t: &TestHost) {
    t.executable("installation/srcds_run", "echo x > new; echo y >> left4dead2/cfg/own; rm gone; exec sleep 1000");
    t.write("installation/gone", "");
    t.write("overlays/a/b/left4dead2/cfg/server.cfg", "sv_x 1\n");
    t.write("overlays/c/left4dead2/cfg/own", "c\n");
    // The first command makes what every command counts on.
    t.host.delete(&t.one, None).unwrap();
}

fn initialize_and_delete_leave_the_tree_as_it_was(t: &TestHost) {
    prepare(t);
    let before = tree_without_locks(t);
    t.initialize(SPEC);
    assert_ne!(tree_without_locks(t), before);
    assert!(t.host.delete(&t.one, None).unwrap());
    assert_eq!(tree_without_locks(t), before);
    // With a run in between, of a game that writes, changes and removes.
    t.initialize(SPEC);
    t.start();
    t.wait_for("left4me: started", 1);
    while !t.upper("gone").symlink_metadata().is_ok_and(|whiteout| !whiteout.is_file()) {
        std::thread::yield_now();
    }
    assert!(t.host.delete(&t.one, None).unwrap());
    assert_eq!(tree_without_locks(t), before);
    t.assert_nothing_runs();
    assert!(!t.host.delete(&t.one, None).unwrap());
    assert_eq!(tree_without_locks(t), before);
}

fn reset_is_an_upper_that_nobody_wrote_to(t: &TestHost) {
    prepare(t);
    t.initialize(SPEC);
    let (instance, runtime) = (tree(&t.root.join("instances")), tree(&t.root.join("runtime/one")));
    t.start();
    while !t.upper("gone").symlink_metadata().is_ok_and(|whiteout| !whiteout.is_file()) {
        std::thread::yield_now();
    }
    t.host.reset(&t.one).unwrap();
    t.assert_nothing_runs();
    // What is staged, the log, and what the supervisor said last are the history of the run, which a reset keeps.
    let kept = |path: &str| path == "log" || path.starts_with("log/") || path == "supervisor.json";
    let after: BTreeMap<_, _> = tree(&t.root.join("runtime/one")).into_iter().filter(|(path, _)| !kept(path)).collect();
    assert_eq!(after, runtime);
    let staged = |path: &str| path == "one/staged" || path.starts_with("one/staged/");
    let after: BTreeMap<_, _> = tree(&t.root.join("instances")).into_iter().filter(|(path, _)| !staged(path)).collect();
    assert_eq!(after, instance);
    assert_eq!(tree(&t.root.join("tmp")), BTreeMap::new());
}
