//! The helper called in every odd way: it does what it is asked, or nothing, and never hangs or panics.
//!
//! Run by root, the helper is root of the host. Run by somebody else it is root of a user namespace, where hard limits
//! stay; then it may also refuse.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use odd_calls::{Outcome, Way, call, call_bare, odd_names, storm, ways};

use super::{Host, OlderNamespace, in_namespaces_of, mounts, ok, refused, run};

const HELPER: &str = env!("CARGO_BIN_EXE_left4me-overlay");

fn in_namespaces(test: &str, body: fn(&Host)) {
    in_namespaces_of(is_root(), test, body);
}

/// Whether this is the host's root, who has all rights.
pub(super) fn is_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    whole && rustix::process::geteuid().is_root()
}

/// `CAP_SYS_RESOURCE` of the host's root. A container's may be without.
fn may_raise_limits() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    is_root() && u64::from_str_radix(effective, 16).unwrap() & (1 << 24) != 0
}

fn command(verb: &str) -> Command {
    let mut command = Command::new(HELPER);
    command.args([verb, "one"]);
    command
}

/// Whether `one` is mounted; half of a mount, or of an umount, is a finding.
fn is_mounted(why: &str) -> bool {
    let state = (mounts().len(), Path::new("/run/left4me/one").exists());
    assert!(state == (1, true) || state == (0, false), "{why}: {state:?} mounts and a record");
    state.0 == 1
}

/// What came of a call, if the program was run at all.
fn expect(done: std::io::Result<Outcome>, way: &Way, verb: &str) {
    let why = format!("{verb} with {}", way.name);
    let mounted = is_mounted(&why);
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(error) if way.lethal && error.kind() != ErrorKind::TimedOut => return,
        Err(error) => panic!("{why}: {error}"),
    };
    assert_eq!(outcome.finding(way.lethal), None, "{why}");
    match outcome.status.code() {
        Some(0) => assert_eq!(mounted, verb == "mount", "{why}: {outcome:?}"),
        Some(1) => assert_eq!(mounted, verb == "umount", "{why}: {outcome:?}"),
        None => assert!(way.lethal),
        Some(_) => panic!("{why}: {outcome:?}"),
    }
    if !way.lethal && (!way.hard_limit || may_raise_limits()) {
        assert_eq!(outcome.status.code(), Some(0), "{why}: {outcome:?}");
    }
}

#[test]
fn every_odd_way_does_it_or_does_nothing() {
    in_namespaces("odd_calls::every_odd_way_does_it_or_does_nothing", |host| {
        host.overlay("mods");
        host.stage(&["mods"]);
        let ways = ways();
        assert!(ways.len() > 80, "the table has {} ways", ways.len());
        for way in &ways {
            expect(call(command("mount"), way), way, "mount");
            ok(&["mount", "one"]);
            assert_eq!(host.read("runtime/one/merged/file"), "mods");
            expect(call(command("umount"), way), way, "umount");
            ok(&["umount", "one"]);
            assert!(!host.root.join("runtime/one/work").exists(), "{}", way.name);
        }
    });
}

#[test]
fn a_bare_argv_and_an_environment_that_is_none() {
    in_namespaces("odd_calls::a_bare_argv_and_an_environment_that_is_none", |host| {
        host.stage(&[]);
        let bare = |argv: &[&str], environment: &[&str]| {
            let [argv, environment] = [argv, environment].map(|list| list.iter().map(OsStr::new).collect::<Vec<_>>());
            let outcome = call_bare(Path::new(HELPER), &argv, &environment).unwrap();
            assert_eq!(outcome.finding(false), None);
            outcome.status.code().unwrap()
        };
        for argv in [&[][..], &[""], &["", "mount"], &["mount", "one"]] {
            assert_eq!(bare(argv, &[]), 2, "{argv:?}");
        }
        let no_variables = ["=X=1", "=", "", "NOTHING", "==", "LEFT4ME_OVERLAY_PRINT_ONLY", "X=1", "X=2"];
        assert_eq!(bare(&["", "mount", "one"], &no_variables), 0);
        assert!(is_mounted("no variables"));
        assert_eq!(bare(&[&"x".repeat(100_000), "umount", "one"], &no_variables), 0);
        assert!(!is_mounted("no variables"));
    });
}

#[test]
fn odd_arguments_are_a_usage_error_and_nothing_else() {
    in_namespaces("odd_calls::odd_arguments_are_a_usage_error_and_nothing_else", |host| {
        host.stage(&[]);
        let usage = |args: &[&OsStr]| {
            let output = Command::new(HELPER).args(args).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
            assert!(output.stdout.is_empty() && said.lines().count() == 2 && said.len() < 2000, "{args:?}: {said}");
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{args:?}: {said}");
            assert!(!Path::new("/run/left4me").exists(), "{args:?}");
        };
        let os = OsStr::new;
        for name in odd_names() {
            for verb in ["mount", "umount"] {
                usage(&[os(verb), &name]);
            }
            usage(&[&name, os("one")]);
            usage(&[os("mount"), os("one"), &name]);
        }
        for args in [&[][..], &[os("mount")], &[os("mount"), os("--"), os("one")], &vec![os("mount"); 10_000]] {
            usage(args);
        }
    });
}

#[test]
fn signals_at_any_moment_leave_nothing_half() {
    in_namespaces("odd_calls::signals_at_any_moment_leave_nothing_half", |host| {
        host.stage(&[]);
        // HUP, INT, QUIT, USR1, PIPE, ALRM, TERM, CHLD, TSTP, TTOU, XFSZ, PROF
        let signals = [1, 2, 3, 10, 13, 14, 15, 17, 20, 22, 25, 27];
        let mut ended = [0, 0];
        for round in 0..120 {
            let storm_of = &signals[round % signals.len()..=round % signals.len()];
            for verb in ["mount", "umount"] {
                let outcome = storm(command(verb), storm_of).unwrap();
                assert_eq!(outcome.finding(true), None, "{verb} in a storm of {storm_of:?}");
                let mounted = is_mounted(verb);
                if outcome.status.success() {
                    ended[0] += 1;
                    assert_eq!(mounted, verb == "mount");
                } else {
                    ended[1] += 1;
                }
                ok(&[verb, "one"]);
            }
        }
        assert!(ended[0] > 10 && ended[1] > 10, "done and not done: {ended:?}");
    });
}

#[test]
fn a_directory_in_the_mount_that_goes_does_not_keep_it() {
    in_namespaces("odd_calls::a_directory_in_the_mount_that_goes_does_not_keep_it", |host| {
        host.stage(&[]);
        ok(&["mount", "one"]);
        let merged = host.root.join("runtime/one/merged");
        assert!(command("umount").current_dir(&merged).status().unwrap().success());
        assert!(!is_mounted("umount from within"));
    });
}

#[test]
fn any_name_can_be_unmounted_and_leaves_no_file() {
    in_namespaces("odd_calls::any_name_can_be_unmounted_and_leaves_no_file", |host| {
        host.stage(&[]);
        let locks = || fs::read_dir("/run/left4me/.locks").unwrap().count();
        for number in 0..20 {
            ok(&["umount", &format!("nobody-{number}")]);
            refused(&["mount", &format!("nobody-{number}")]);
        }
        assert_eq!(locks(), 0, "the service user could fill /run");
        ok(&["mount", "one"]);
        assert_eq!(locks(), 1, "an umount needs no room in /run");
        ok(&["umount", "one"]);
        assert_eq!(locks(), 0);
    });
}

#[test]
fn many_at_once_are_one_after_the_other() {
    in_namespaces("odd_calls::many_at_once_are_one_after_the_other", |host| {
        host.stage(&[]);
        for _ in 0..10 {
            let verbs = ["mount", "umount", "mount", "umount", "mount", "umount", "mount", "umount"];
            let children: Vec<_> = verbs.iter().map(|verb| command(verb).spawn().unwrap()).collect();
            for mut child in children {
                assert!(child.wait().unwrap().success());
            }
            is_mounted("many at once");
        }
        ok(&["umount", "one"]);
        assert!(!is_mounted("at the end"));
    });
}

#[test]
fn a_mount_point_moved_beyond_the_longest_path_is_found() {
    in_namespaces("odd_calls::a_mount_point_moved_beyond_the_longest_path_is_found", |host| {
        let older = OlderNamespace::new();
        host.stage(&[]);
        let merged = host.root.join("runtime/one/merged");
        let name = "x".repeat(250);
        let down = format!(
            "cd {} && for n in $(seq 30); do mkdir -p {name} && cd -P {name} || exit 1; done && mv {} 'a\nb'",
            host.root.display(),
            merged.display()
        );
        ok(&["mount", "one"]);
        older.run(&["sh", "-c", &down]);
        fs::create_dir(&merged).unwrap();
        assert!(mounts()[0].len() > 7000, "it was not moved");
        ok(&["umount", "one"]);
        assert!(!is_mounted("moved far away"));
        ok(&["mount", "one"]);
        ok(&["umount", "one"]);
        run("rm", &["-r", host.root.join(name).to_str().unwrap()]);
    });
}

#[test]
fn what_others_call_their_things_is_escaped_in_messages() {
    in_namespaces("odd_calls::what_others_call_their_things_is_escaped_in_messages", |host| {
        host.stage(&[]);
        ok(&["mount", "one"]);
        let name = "a\nerror: \x1b[2J";
        let mut holder = Command::new("sh");
        holder.args(["-c", r#"printf '%s' "$0" > /proc/$$/comm; echo; read line"#, name]);
        holder.current_dir(host.root.join("runtime/one/merged"));
        let mut holder =
            holder.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let error = refused(&["umount", "one"]);
        assert!(error.lines().count() == 1 && error.contains(r"(a\nerror: \u{1b}[2J)"), "{error}");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        ok(&["umount", "one"]);
    });
}
