//! What goes wrong outside of the game: files that are not what they should be, a machine that does not allow it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use l4d2host::{Error, ErrorKind, InstanceState};

use crate::host::TestHost;

pub(crate) const TESTS: &[crate::Test] = &[
    ("a_start_that_fails_says_why_and_leaves_nothing", a_start_that_fails_says_why_and_leaves_nothing),
    ("a_state_file_is_not_believed", a_state_file_is_not_believed),
    ("without_user_namespaces", without_user_namespaces),
    ("on_an_overlay", on_an_overlay),
    ("on_a_full_disk_the_server_goes_on", on_a_full_disk_the_server_goes_on),
];

/// What the tests above run of themselves, elsewhere.
pub(crate) const PARTS: &[crate::Test] = &[
    ("part_without_user_namespaces", part_without_user_namespaces),
    ("part_on_an_overlay", part_on_an_overlay),
    ("part_on_a_full_disk", part_on_a_full_disk),
];

fn why(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    format!("{error}{causes}; hint: {}", error.hint_text().unwrap_or_default())
}

fn a_start_that_fails_says_why_and_leaves_nothing(t: &TestHost) {
    t.game("exit 0");
    let game = t.root.join("installation/srcds_run");
    let fails = |what: &str| {
        let error = t.host.start(&t.one).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StartFailed);
        assert!(why(&error).contains(what), "{}", why(&error));
        assert_eq!(t.state(), InstanceState::Failed);
        let logged = t.lines();
        assert!(logged.last().unwrap().starts_with("left4me: not started: "), "{logged:?}");
        t.assert_nothing_runs();
    };
    fs::set_permissions(&game, fs::Permissions::from_mode(0o644)).unwrap();
    fails("merged/srcds_run: Permission denied");
    fs::write(&game, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&game, fs::Permissions::from_mode(0o755)).unwrap();
    fails("merged/srcds_run: No such file");
    fs::create_dir(t.root.join("overlays/here")).unwrap();
    t.initialize("port: 27015\noverlays: [here]\n");
    fs::remove_dir(t.root.join("overlays/here")).unwrap();
    // This is seen before anything is asked of the supervisor.
    let error = t.host.start(&t.one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OverlayMissing, "{}", why(&error));
    t.game("exec sleep 1000");
    t.start();
    assert_eq!(t.state(), InstanceState::Running);
}

fn a_state_file_is_not_believed(t: &TestHost) {
    t.game("exec sleep 1000");
    t.start();
    let path = t.root.join("runtime/one/supervisor.json");
    let state = fs::read_to_string(&path).unwrap();
    assert!(state.contains("\"active\""));
    let put: [&dyn Fn(); 5] = [
        &|| fs::write(&path, "{\"active_state\": 7").unwrap(),
        &|| fs::write(&path, vec![b'['; 1 << 20]).unwrap(),
        &|| fs::create_dir(&path).unwrap(),
        &|| std::os::unix::fs::symlink("/etc/passwd", &path).unwrap(),
        &|| t.run("mkfifo", &[path.to_str().unwrap()]),
    ];
    for put in put {
        t.run("rm", &["-rf", path.to_str().unwrap()]);
        put();
        // The lock says that something runs, though not what.
        assert_eq!(t.state(), InstanceState::Starting);
        t.stop();
        t.assert_nothing_runs();
        assert_eq!(t.state(), InstanceState::Stopped);
        put();
        assert_eq!(t.state(), InstanceState::Stopped);
        t.start();
        assert_eq!(t.state(), InstanceState::Running);
    }
    t.stop();
    fs::write(&path, state).unwrap();
    assert_eq!(t.state(), InstanceState::Failed);
    fs::remove_file(&path).unwrap();
}

/// Runs a part of this test in namespaces of its own, after a shell line.
pub(crate) fn elsewhere(t: &TestHost, unshare: &[&str], line: &str, part: &str) {
    // Opened, and not by its path, as another user may not reach it by that.
    let exe = fs::File::open("/proc/self/exe").unwrap();
    let output = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-ec", &format!("cd \"$1\"; {line}; exec /proc/self/fd/0 run-test \"$2\" \"$1/there\""), "sh"])
        .arg(&t.root)
        .arg(part)
        .stdin(exe)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

fn without_user_namespaces(t: &TestHost) {
    let line = "echo 0 > /proc/sys/user/max_user_namespaces; mkdir there";
    elsewhere(t, &["--user", "--map-current-user", "--keep-caps"], line, "part_without_user_namespaces");
}

fn part_without_user_namespaces(t: &TestHost) {
    t.game("exec sleep 1000");
    if rustix::process::geteuid().is_root() {
        // As in a container that forbids them: its root needs none.
        t.start();
        return assert_eq!(t.state(), InstanceState::Running);
    }
    let error = why(&t.host.start(&t.one).unwrap_err());
    assert!(error.contains("max_user_namespaces") && error.contains("hint: an administrator allows it"), "{error}");
    assert!(t.host.all_statuses().unwrap().iter().all(|status| status.state != InstanceState::Running));
}

fn on_an_overlay(t: &TestHost) {
    let line = "mkdir lower upper work there; mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work x there";
    elsewhere(t, &["--user", "--map-root-user", "--mount"], line, "part_on_an_overlay");
}

fn part_on_an_overlay(t: &TestHost) {
    t.game("exec sleep 1000");
    let error = why(&t.host.start(&t.one).unwrap_err());
    assert!(error.contains("runtime/one/upper lies on an overlay"), "{error}");
    assert!(error.contains("hint: a container's own file system is one: put the root directory"), "{error}");
}

fn on_a_full_disk_the_server_goes_on(t: &TestHost) {
    let line = "mkdir there; mount -t tmpfs -o size=4m x there";
    elsewhere(t, &["--user", "--map-root-user", "--mount"], line, "part_on_a_full_disk");
}

fn part_on_a_full_disk(t: &TestHost) {
    // The line of 20 000 bytes is more than what is left in the log's last page. `gate` opens when the disk is full.
    t.game(
        "cat /dev/zero > fill 2>/dev/null
head -c 10000 /dev/zero | tr '\\0' x; echo; head -c 10000 /dev/zero | tr '\\0' x; echo
rm fill; trap 'exit 0' INT; while :; do echo after; sleep 0.1; done",
    );
    t.start();
    t.wait_for("after", 1);
    let logged = t.lines();
    assert!(logged.iter().any(|line| line.contains("lines before this one could not be written")), "{logged:?}");
    t.wait_for_state(InstanceState::Running);
    t.stop();
    assert_eq!(t.state(), InstanceState::Stopped);
}
