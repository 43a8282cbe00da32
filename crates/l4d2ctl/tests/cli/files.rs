//! Roots and instances whose files are not as they should be.

use std::fs;
use std::os::unix::fs::symlink;

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
    if !fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
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
