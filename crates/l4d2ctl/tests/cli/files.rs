//! Roots and instances whose files are not as they should be.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::{Sandbox, port};

#[test]
fn a_root_that_is_missing_or_no_directory() {
    let sandbox = Sandbox::new();
    let with_root = |path: &str| {
        let path = sandbox.dir.path().join(path);
        let ran = sandbox.run_with(&["status"], &[("LEFT4ME_ROOT", path.to_str().unwrap())]);
        assert_eq!(ran.code, 1, "{ran:?}");
        ran.stderr
    };
    assert!(with_root("nowhere").contains("does not exist"));
    sandbox.write("file", "");
    assert!(with_root("file").contains("is not a directory"));
    symlink(sandbox.root(), sandbox.dir.path().join("link")).unwrap();
    assert!(with_root("link").contains("is not a directory"));
}

#[test]
fn damaged_instances_are_shown_and_can_be_mended_or_deleted() {
    let sandbox = Sandbox::new();
    let spec = format!("port: {}\n", port());
    sandbox.make("a", &spec);
    let json = sandbox.root().join("instances/a/instance.json");
    for damage in ["", "{", "{\"format\": 2}", "null"] {
        fs::write(&json, damage).unwrap();
        let table = sandbox.ok(&["status"]);
        assert!(table.contains("instance.json") || table.contains("format"), "{damage:?}: {table}");
        assert!(sandbox.refused(&["start", "a"]).contains("instance a"), "{damage:?}");
    }
    sandbox.make("a", &spec);
    assert!(!sandbox.ok(&["status"]).contains("instance.json"));
    fs::remove_file(&json).unwrap();
    symlink("/etc/passwd", &json).unwrap();
    assert!(sandbox.refused(&["start", "a"]).contains("hint:"));
    sandbox.ok(&["delete", "a"]);
    assert_eq!(fs::read_dir(sandbox.root().join("instances")).unwrap().count(), 0);
    assert!(fs::metadata("/etc/passwd").is_ok());
}

#[test]
fn foreign_files_disturb_nothing() {
    let sandbox = Sandbox::new();
    for path in [
        "root/instances/README",
        "root/instances/.hidden/x",
        "root/instances/Upper/x",
        "root/tmp/old/x",
        "root/locks/x",
    ] {
        sandbox.write(path, "");
    }
    sandbox.make("a", &format!("port: {}\n", port()));
    assert_eq!(sandbox.json(&["status"])["instances"].as_array().unwrap().len(), 1);
    sandbox.ok(&["delete", "a"]);
    assert!(sandbox.root().join("instances/README").exists());
}

#[test]
fn what_is_not_there() {
    let sandbox = Sandbox::new();
    sandbox.make("friday", &format!("port: {}\n", port()));
    for command in ["start", "stop", "reset", "status", "logs"] {
        let error = sandbox.refused(&[command, "firday"]);
        assert!(
            error.contains("there is no instance firday") && error.contains("did you mean friday?"),
            "{command}: {error}"
        );
    }
    assert_eq!(sandbox.ok(&["delete", "firday"]), "instance firday was not there\n");
    assert!(sandbox.refused(&["start", "friday"]).contains("`l4d2ctl install` brings it"));
}

#[test]
fn a_revision_guards_changes() {
    let sandbox = Sandbox::new();
    let spec = format!("port: {}\n", port());
    let made = sandbox.initialize("a", &spec);
    let revision = made.stdout.trim().rsplit(' ').next().unwrap().to_owned();
    sandbox.write("spec.yaml", &format!("{spec}config: [x 1]\n"));
    let other = "0123456789abcdef";
    for args in
        [&["initialize", "a", "-f", "spec.yaml", "--if-revision", other][..], &["delete", "a", "--if-revision", other]]
    {
        let error = sandbox.refused(args);
        assert!(error.contains(&format!("is at revision {revision}")), "{error}");
    }
    sandbox.ok(&["initialize", "a", "-f", "spec.yaml", "--if-revision", &revision]);
    let refused = sandbox.refused(&["initialize", "new", "-f", "spec.yaml", "--if-revision", other]);
    assert!(refused.contains("not there"), "{refused}");
}

#[test]
fn a_full_disk_leaves_the_old_instance() {
    if !is_root() {
        // Without root a small file system can't be mounted; as root this same test runs.
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    let instances = sandbox.root().join("tmp");
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "nr_inodes=2", "none"]).arg(&instances).status();
    assert!(mount.unwrap().success());
    let before = sandbox.ok(&["status", "a", "--json"]);
    let ran = sandbox.initialize("a", &format!("port: {}\nconfig: [x 1]\n", port()));
    std::process::Command::new("umount").arg(&instances).status().unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("root/tmp/a.new") && ran.stderr.contains("No space left"), "{ran:?}");
    assert_eq!(sandbox.ok(&["status", "a", "--json"]), before);
}

/// Root's tests are in a mount namespace of their own, so that nothing stays mounted whatever happens.
#[test]
fn a_read_only_disk_is_named_and_leaves_everything() {
    if !is_root() {
        // Without root nothing can be mounted; as root this same test runs.
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.write("spec.yaml", &format!("port: {}\n", port()));
    let before = sandbox.tree();
    let own = env!("CARGO_BIN_EXE_l4d2ctl");
    for command in ["initialize a -f spec.yaml", "initialize b -f spec.yaml", "reset a", "delete a"] {
        let script = format!("mount --bind root root && mount -o remount,ro,bind root && exec '{own}' {command}");
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", &script]).current_dir(sandbox.dir.path()).env_clear();
        unshare.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", sandbox.home());
        unshare.env("LEFT4ME_ROOT", sandbox.root()).env("LEFT4ME_SUPERVISOR", "embedded");
        let ran = crate::Ran::of(&unshare.output().unwrap());
        assert_eq!(ran.code, 1, "{command}: {ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains("Read-only file system"),
            "{command}: {ran:?}"
        );
        assert_eq!(sandbox.tree(), before, "{command}");
    }
    assert!(sandbox.ok(&["status"]).contains('a'));
}

#[test]
fn root_becomes_the_owner_and_others_are_told_who_that_is() {
    if !is_root() {
        // Only root can be somebody else; as root this same test runs.
        return;
    }
    let sandbox = Sandbox::new();
    // Somebody else has to be able to get there; /tmp is where everybody can.
    let public = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(public.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let environment = [("LEFT4ME_ROOT", public.path().to_str().unwrap())];
    sandbox.write("spec.yaml", &format!("port: {}\n", port()));
    // The spec is root's own, and readable for root alone.
    fs::set_permissions(sandbox.dir.path().join("spec.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = sandbox.run_with(&["initialize", "a", "-f", "spec.yaml"], &environment);
    assert_eq!(ran.code, 0, "{ran:?}");
    for path in ["instances/a/spec.yaml", "runtime/a/upper", "locks/a.lock"] {
        assert_eq!(fs::symlink_metadata(public.path().join(path)).unwrap().uid(), NOBODY, "{path}");
    }

    // A root directory of root's, and somebody else.
    std::os::unix::fs::chown(public.path(), Some(0), Some(0)).unwrap();
    fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = tempfile::tempdir().unwrap();
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_l4d2ctl"), program.path().join("l4d2ctl")).unwrap();
    let mut other = std::process::Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program.path().join("l4d2ctl"));
    other.args(["status", "--json"]).env_clear().env("LEFT4ME_SUPERVISOR", "embedded").envs(environment);
    let ran = crate::Ran::of(&other.current_dir("/").output().unwrap());
    let error: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &error["error"]["kind"]), (1, &"permission-denied".into()), "{ran:?}");
    assert_eq!(error["error"]["hint"], "sudo -u root l4d2ctl ...");
}

/// Debian's user for nothing.
pub(crate) const NOBODY: u32 = 65534;

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
