//! The real helper, mounting for real, without root: each test runs again inside user, mount and PID namespaces of its
//! own, where it is root, PID 1's mount namespace is its own, and `/etc` and `/run` are empty.

#![allow(clippy::disallowed_methods, reason = "tests make and damage trees by path")]

#[path = "helper/advisories.rs"]
mod advisories;
#[path = "helper/odd_calls.rs"]
mod odd_calls;
#[path = "helper/stacks.rs"]
mod stacks;
#[path = "helper/trouble.rs"]
mod trouble;
#[path = "helper/work.rs"]
mod work;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Set for the inner run of a test.
const INNER: &str = "LEFT4ME_TEST_INNER";

/// Runs `body` inside the namespaces; `test` is the test's own name.
fn in_namespaces(test: &str, body: fn(&Host)) {
    in_namespaces_of(false, test, body);
}

/// The same; the host's root stays that one if `as_root`, and is in no user namespace then.
fn in_namespaces_of(as_root: bool, test: &str, body: fn(&Host)) {
    if std::env::var_os(INNER).is_some() {
        return body(&Host::new(test));
    }
    let user: &[&str] = if as_root { &[] } else { &["--user", "--map-root-user"] };
    let output = Command::new("unshare")
        .args(user)
        .args(["--mount", "--pid", "--fork", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INNER, "1")
        .output()
        .expect("unshare (util-linux) runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A root directory, and `/etc/left4me/root` naming it.
struct Host {
    root: PathBuf,
}

impl Host {
    fn new(test: &str) -> Self {
        for path in ["/etc", "/run"] {
            run("mount", &["-t", "tmpfs", "none", path]);
        }
        // Whoever runs this as another user than the one who built it says where that one may write.
        let scratch = std::env::var_os("LEFT4ME_TEST_TMPDIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
        let root = Path::new(&scratch).join(format!("{}-{}", test.replace("::", "-"), std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for path in
            ["installation", "overlays", "instances/one/staged", "runtime/one/upper", "runtime/one/merged", "tmp"]
        {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::create_dir("/etc/left4me").unwrap();
        fs::write("/etc/left4me/root", format!("{}\n", root.display())).unwrap();
        let host = Self { root };
        host.write("installation/file", "installation");
        host.write("installation/only", "installation");
        host
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| format!("<{error}>"))
    }

    fn stage(&self, overlays: &[&str]) {
        let lines: String = overlays.iter().map(|overlay| format!("overlay {overlay}\n")).collect();
        self.write("instances/one/staged/layers", &(lines + "installation\n"));
    }

    fn overlay(&self, overlay: &str) {
        self.write(&format!("overlays/{overlay}/file"), overlay);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Best effort: what a failed test leaves mounted goes with the namespace.
        let _ = helper(&["umount", "one"]);
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn helper(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_left4me-overlay")).args(args).output().unwrap()
}

fn ok(args: &[&str]) {
    let output = helper(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// The message of a refusal (exit 1).
fn refused(args: &[&str]) -> String {
    let output = helper(args);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The mountinfo lines of instance `one`.
fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().filter(|line| line.contains(" overlay left4me-one ")).map(str::to_owned).collect()
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

/// A process in a mount namespace of its own, older than the mounts to come.
struct OlderNamespace(Child);

impl OlderNamespace {
    fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", "echo; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        Self(child)
    }

    fn run(&self, args: &[&str]) {
        let pid = self.0.id().to_string();
        run("nsenter", &[&["--mount", "--target", &pid, "--"], args].concat());
    }
}

impl Drop for OlderNamespace {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn print_only_does_nothing_and_not_under_systemd() {
    in_namespaces("print_only_does_nothing_and_not_under_systemd", |host| {
        host.overlay("mods");
        host.stage(&["mods"]);
        let print = |verb: &str, systemd: bool| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_left4me-overlay"));
            command.args([verb, "one"]).env("LEFT4ME_OVERLAY_PRINT_ONLY", "1");
            if systemd {
                command.env("INVOCATION_ID", "0");
            }
            command.output().unwrap()
        };
        let plan = String::from_utf8(print("mount", false).stdout).unwrap();
        let lower: Vec<&str> = plan.lines().filter(|line| line.starts_with("lowerdir+ ")).collect();
        assert!(
            lower.len() == 2 && lower[0].ends_with("/overlays/mods") && lower[1].ends_with("/installation"),
            "{plan}"
        );
        assert!(plan.contains("runtime/one/work/left4me-one\n"), "{plan}");
        assert!(plan.contains("options userxattr,index=off") && plan.contains("flags nosuid,nodev"), "{plan}");
        assert!(mounts().is_empty() && !Path::new("/run/left4me").exists());
        ok(&["mount", "one"]);
        assert_eq!(String::from_utf8(print("mount", false).stdout).unwrap(), plan, "mounted or not");
        assert!(print("umount", false).status.success());
        assert_eq!(mounts().len(), 1);
        assert_eq!(print("mount", true).status.code(), Some(1));
    });
}

#[test]
fn what_the_caller_set_does_not_matter() {
    in_namespaces("what_the_caller_set_does_not_matter", |host| {
        host.overlay("evil");
        host.stage(&[]);
        let status = Command::new("/bin/sh")
            .args(["-c", r#"cd "$1"; ulimit -S -n 16; ulimit -S -f 0; umask 777; exec "$0" mount one <&- >&- 2>&-"#])
            .arg(env!("CARGO_BIN_EXE_left4me-overlay"))
            .arg(host.root.join("overlays"))
            .envs([("LEFT4ME_ROOT", "/tmp"), ("PATH", "/tmp"), ("LD_PRELOAD", "/tmp/x.so"), ("TZ", "/etc/passwd")])
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(host.read("runtime/one/merged/file"), "installation");
        let mode = fs::metadata("/run/left4me/one").unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "everybody may read the record");
    });
}
