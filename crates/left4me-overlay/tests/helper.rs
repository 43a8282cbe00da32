//! The real helper, mounting for real, without root: each test runs again inside user, mount and PID namespaces of its
//! own, where it is root, PID 1's mount namespace is its own, and `/etc` and `/run` are empty.

#![allow(clippy::disallowed_methods, reason = "tests make and damage trees by path")]

#[path = "helper/advisories.rs"]
mod advisories;
#[path = "helper/odd_calls.rs"]
mod odd_calls;

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
        for path in [
            "installation",
            "overlays",
            "instances/one/staged",
            "runtime/one/upper",
            "runtime/one/work",
            "runtime/one/merged",
        ] {
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
fn the_first_layer_wins_and_the_installation_is_last() {
    in_namespaces("the_first_layer_wins_and_the_installation_is_last", |host| {
        host.overlay("high");
        host.overlay("users/42/low");
        host.stage(&["high", "users/42/low"]);
        ok(&["mount", "one"]);
        assert_eq!(host.read("runtime/one/merged/file"), "high");
        assert_eq!(host.read("runtime/one/merged/only"), "installation");
        let found = mounts();
        assert!(found.len() == 1 && found[0].contains("nosuid,nodev") && found[0].contains("userxattr"), "{found:?}");
        host.stage(&["users/42/low", "high"]);
        ok(&["mount", "one"]);
        assert_eq!(host.read("runtime/one/merged/file"), "users/42/low");
        assert_eq!(mounts().len(), 1, "other layers replace the mount, and do not stack on it");
    });
}

#[test]
fn both_verbs_can_be_said_twice() {
    in_namespaces("both_verbs_can_be_said_twice", |host| {
        host.stage(&[]);
        ok(&["mount", "one"]);
        let (before, record) = (mounts(), fs::read("/run/left4me/one").unwrap());
        ok(&["mount", "one"]);
        assert_eq!((mounts(), fs::read("/run/left4me/one").unwrap()), (before, record));
        host.write("runtime/one/merged/only", "changed");
        ok(&["umount", "one"]);
        ok(&["umount", "one"]);
        assert!(mounts().is_empty() && !Path::new("/run/left4me/one").exists());
        assert!(!host.root.join("runtime/one/work/work").exists(), "work/work would be root's for ever");
        assert_eq!(host.read("installation/only"), "installation");
        assert_eq!(host.read("runtime/one/upper/only"), "changed");
        ok(&["umount", "nobody"]);
    });
}

/// Chance that is the same every time: the high bits of a linear congruence.
fn chance(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Every path below a directory, with its mode and size.
fn tree(dir: &Path) -> Vec<(PathBuf, u32, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        let size = if metadata.is_dir() { 0 } else { metadata.len() };
        found.push((entry.path(), metadata.permissions().mode(), size));
        found.extend(metadata.is_dir().then(|| tree(&entry.path())).into_iter().flatten());
    }
    found.sort_unstable();
    found
}

#[test]
fn any_stack_shows_the_first_of_its_layers_and_umount_undoes_mount() {
    in_namespaces("any_stack_shows_the_first_of_its_layers_and_umount_undoes_mount", |host| {
        let mut state = 42;
        for n in 0..12 {
            host.overlay(&format!("o{n}"));
            for file in (0..8).filter(|_| chance(&mut state, 2) == 0).collect::<Vec<_>>() {
                host.write(&format!("overlays/o{n}/dir/f{file}"), &format!("o{n}"));
            }
        }
        for _ in 0..20 {
            let mut all: Vec<String> = (0..12).map(|n| format!("o{n}")).collect();
            let count = chance(&mut state, 12);
            let stack: Vec<String> = (0..count)
                .map(|_| all.remove(usize::try_from(chance(&mut state, all.len() as u64)).unwrap()))
                .collect();
            host.stage(&stack.iter().map(String::as_str).collect::<Vec<_>>());
            let before = (fs::read("/proc/self/mountinfo").unwrap(), tree(&host.root));
            ok(&["mount", "one"]);
            for file in 0..8 {
                let has = |layer: &&String| host.root.join(format!("overlays/{layer}/dir/f{file}")).exists();
                match stack.iter().find(has) {
                    Some(first) => {
                        assert_eq!(host.read(&format!("runtime/one/merged/dir/f{file}")), *first, "{stack:?}");
                    }
                    None => assert!(!host.root.join(format!("runtime/one/merged/dir/f{file}")).exists(), "{stack:?}"),
                }
            }
            assert_ne!(fs::read("/proc/self/mountinfo").unwrap(), before.0);
            ok(&["umount", "one"]);
            assert_eq!((fs::read("/proc/self/mountinfo").unwrap(), tree(&host.root)), before, "{stack:?}");
            assert!(!Path::new("/run/left4me/one").exists());
        }
    });
}

#[test]
fn a_replaced_layer_directory_is_not_already_mounted() {
    in_namespaces("a_replaced_layer_directory_is_not_already_mounted", |host| {
        host.overlay("mods");
        host.stage(&["mods"]);
        ok(&["mount", "one"]);
        fs::rename(host.root.join("overlays/mods"), host.root.join("overlays/old")).unwrap();
        host.write("overlays/mods/file", "new");
        ok(&["mount", "one"]);
        assert_eq!(host.read("runtime/one/merged/file"), "new");
    });
}

#[test]
fn a_mount_point_that_was_moved_away_is_found() {
    in_namespaces("a_mount_point_that_was_moved_away_is_found", |host| {
        let older = OlderNamespace::new();
        host.stage(&[]);
        let (merged, moved) = (host.root.join("runtime/one/merged"), host.root.join("runtime/one/moved"));
        for verb in ["umount", "mount"] {
            ok(&["mount", "one"]);
            older.run(&["mv", merged.to_str().unwrap(), moved.to_str().unwrap()]);
            fs::create_dir(&merged).unwrap();
            assert!(mounts()[0].contains("/moved "));
            ok(&[verb, "one"]);
            assert!(mounts().iter().all(|line| line.contains("/merged ")));
            fs::remove_dir(&moved).unwrap();
        }
        ok(&["umount", "one"]);
        assert!(mounts().is_empty());
    });
}

#[test]
fn work_work_goes_with_all_that_is_in_it() {
    in_namespaces("work_work_goes_with_all_that_is_in_it", |host| {
        host.write("runtime/one/work/work/a/b", "left by a crash");
        fs::set_permissions(host.root.join("runtime/one/work/work"), fs::Permissions::from_mode(0o000)).unwrap();
        symlink("/etc", host.root.join("runtime/one/work/work/a/link")).unwrap();
        ok(&["umount", "one"]);
        assert!(!host.root.join("runtime/one/work/work").exists() && Path::new("/etc/left4me/root").exists());
    });
}

#[test]
fn layers_files_that_are_no_such_thing() {
    in_namespaces("layers_files_that_are_no_such_thing", |host| {
        let path = host.root.join("instances/one/staged/layers");
        let expect = |why: &str| {
            let error = refused(&["mount", "one"]);
            assert!(error.contains(why), "{why}: {error}");
        };
        expect("No such file");
        run("mkfifo", &[path.to_str().unwrap()]);
        expect("not a regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        expect("not a regular file");
        fs::remove_dir(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
        expect("larger than");
        for (text, why) in [
            ("overlay ../../etc\ninstallation\n", "'..'"),
            ("", "newline"),
            ("overlay none\ninstallation\n", "No such file"),
        ] {
            fs::write(&path, text).unwrap();
            expect(why);
        }
        assert!(mounts().is_empty() && !Path::new("/run/left4me/one").exists());
    });
}

#[test]
fn five_hundred_layers() {
    in_namespaces("five_hundred_layers", |host| {
        let names: Vec<String> = (0..500).map(|n| format!("o{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &names {
            host.overlay(name);
        }
        host.stage(&names);
        assert!(refused(&["mount", "one"]).contains("500"));
        host.stage(&names[1..]);
        ok(&["mount", "one"]);
        assert_eq!(host.read("runtime/one/merged/file"), "o1");
    });
}

#[test]
fn a_full_disk_is_an_error_and_not_a_read_only_server() {
    in_namespaces("a_full_disk_is_an_error_and_not_a_read_only_server", |host| {
        let runtime = host.root.join("runtime/one");
        run("mount", &["-t", "tmpfs", "-o", "nr_inodes=4", "none", runtime.to_str().unwrap()]);
        for name in ["upper", "work", "merged"] {
            fs::create_dir(runtime.join(name)).unwrap();
        }
        host.stage(&[]);
        let error = refused(&["mount", "one"]);
        assert!(error.contains("full") && error.contains("runtime/one"), "{error}");
        assert!(mounts().is_empty());
    });
}

#[test]
fn a_busy_mount_names_who_holds_it() {
    in_namespaces("a_busy_mount_names_who_holds_it", |host| {
        host.stage(&[]);
        ok(&["mount", "one"]);
        let mut holder =
            Command::new("sleep").arg("60").current_dir(host.root.join("runtime/one/merged")).spawn().unwrap();
        let error = refused(&["umount", "one"]);
        assert!(error.contains(&format!("{} (sleep)", holder.id())), "{error}");
        holder.kill().unwrap();
        holder.wait().unwrap();
        ok(&["umount", "one"]);
    });
}

#[test]
fn a_directory_of_another_owner_is_refused() {
    in_namespaces("a_directory_of_another_owner_is_refused", |host| {
        host.stage(&[]);
        // The only other owner that this namespace knows is "nobody", for ids that are not mapped: /proc/sys is such a
        // directory everywhere. A bind mount of it stands in for a foreign directory.
        let upper = host.root.join("runtime/one/upper");
        run("mount", &["--bind", "/proc/sys", upper.to_str().unwrap()]);
        refused(&["mount", "one"]);
        assert!(mounts().is_empty());
    });
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
