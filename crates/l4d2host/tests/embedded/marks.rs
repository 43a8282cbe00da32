//! Overlayfs' own marks, made by hand: an ordinary user can set every `user.overlay.*`, in an upper and in a layer. None
//! that leads elsewhere is obeyed.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};
use rustix::io::Errno;

use crate::host::TestHost;

pub(crate) const TESTS: &[crate::Test] = &[
    ("marks_of_overlayfs_made_by_hand_lead_nowhere", marks_of_overlayfs_made_by_hand_lead_nowhere),
    ("odd_names_and_deep_trees_are_reset", odd_names_and_deep_trees_are_reset),
    ("an_endless_line_costs_neither_memory_nor_disk", an_endless_line_costs_neither_memory_nor_disk),
];

fn mark(path: &Path, name: &str, value: &[u8]) {
    setxattr(path, name, value, XattrFlags::empty()).unwrap_or_else(|e| panic!("{name} of {}: {e}", path.display()));
}

/// Everything that a later overlayfs ever knew, on a directory and on a file of `tree`.
fn mark_all(tree: &Path) {
    fs::create_dir_all(tree.join("dir")).unwrap();
    for file in ["file", "sized", "dir/whiteout"] {
        fs::write(tree.join(file), "").unwrap();
    }
    for (name, value) in [
        ("redirect", &b"/hidden"[..]),
        ("opaque", b"x"),
        ("origin", b"\x00\xfb\x1d\x00\x01"),
        ("impure", b"y"),
        ("nlink", b"U+1"),
        ("uuid", b"0123456789abcdef"),
        ("protattr", b"ia"),
        ("upper", b"\x00\xfb"),
        ("overlay.opaque", b"y"),
    ] {
        mark(&tree.join("dir"), &format!("user.overlay.{name}"), value);
    }
    for file in ["file", "sized"] {
        mark(&tree.join(file), "user.overlay.metacopy", b"");
        mark(&tree.join(file), "user.overlay.redirect", b"/hidden/secret");
    }
    mark(&tree.join("sized"), "user.overlay.metacopy", b"\x00\x04\x00\x00");
    mark(&tree.join("dir/whiteout"), "user.overlay.whiteout", b"y");
}

fn marks_of_overlayfs_made_by_hand_lead_nowhere(t: &TestHost) {
    t.write("installation/hidden/secret", "what a redirect would show");
    t.write("installation/dir/own", "");
    t.executable(
        "installation/srcds_run",
        "cat file sized dir/secret dir/whiteout 2>&1; ls dir 2>&1; touch dir/x file sized 2>/dev/null; echo over; exec sleep 1000",
    );
    fs::create_dir_all(t.root.join("overlays/marked")).unwrap();
    mark_all(&t.root.join("overlays/marked"));
    let trusted = setxattr(t.root.as_path(), "trusted.overlay.opaque", b"y", XattrFlags::empty());
    if rustix::process::geteuid().is_root() {
        // Root can, and it means nothing: the mount looks for user.overlay alone.
        let dir = t.root.join("overlays/marked/dir");
        setxattr(dir.as_path(), "trusted.overlay.redirect", b"/hidden", XattrFlags::empty()).unwrap();
    } else {
        assert_eq!(trusted, Err(Errno::PERM));
    }
    let mut runs = 0;
    for (spec, in_upper) in [("[]", true), ("[marked]", false), ("[marked]", true)] {
        t.initialize(&format!("port: 27015\noverlays: {spec}\n"));
        if in_upper {
            mark_all(&t.upper(""));
        }
        t.start();
        runs += 1;
        t.wait_for("over", runs);
        let said = t.lines().join("\n");
        assert!(!said.contains("what a redirect would show") && !said.contains("\nsecret"), "{spec}: {said}");
        t.stop();
        t.host.reset(&t.one).unwrap();
        assert_eq!(fs::read_dir(t.upper("")).unwrap().count(), 0);
    }
}

fn odd_names_and_deep_trees_are_reset(t: &TestHost) {
    t.game("mkdir -p deep && cd deep && mkdir -p $(printf 'd/%.0s' $(seq 10000)) && echo over; exec sleep 1000");
    for name in [&b"\xff\xfe\n\x1b[2J"[..], &[b'n'; 255], b"-rf", b" ", b"*", b".left4me-removing-0"] {
        fs::create_dir_all(t.upper("names").join(std::ffi::OsStr::from_bytes(name)).join("in/it")).unwrap();
    }
    fs::File::create(t.upper("huge")).unwrap().set_len(1 << 40).unwrap();
    t.start();
    t.wait_for("over", 1);
    t.stop();
    t.host.reset(&t.one).unwrap();
    assert_eq!(fs::read_dir(t.upper("")).unwrap().count(), 0);
    t.start();
}

/// 64 MiB without a newline, then NULs and escape sequences.
fn an_endless_line_costs_neither_memory_nor_disk(t: &TestHost) {
    t.game("head -c 64M /dev/zero | tr '\\0' x; head -c 1M /dev/zero; printf '\\n\\033]0;title\\007\\nlast\\n'; exec sleep 1000");
    t.start();
    t.wait_for("last", 1);
    let status = fs::read_to_string(format!("/proc/{}/status", t.supervisor())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 32 << 10, "the supervisor took {peak} KiB");
    let files = fs::read_dir(t.root.join("runtime/one/log")).unwrap();
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 18 << 20, "the log takes {size} bytes");
    let longest = t.log(false).map(|entry| entry.unwrap().message.len()).max();
    assert!(longest.is_some_and(|length| length <= 16 * 1024), "{longest:?}");
}
