//! The work directory belongs to whoever mounts, and lasts as long as the mount: on Debian 13 the service user could
//! otherwise crash the kernel in the middle of a mount.

use std::os::unix::fs::MetadataExt;

use super::*;

/// The same as [`super::in_namespaces`], of a test of this module.
fn in_namespaces(test: &str, body: fn(&Host)) {
    super::in_namespaces(&format!("work::{test}"), body);
}

fn path(host: &Host) -> PathBuf {
    host.root.join("runtime/one/work")
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn it_is_closed_to_others_and_goes_with_the_mount() {
    in_namespaces("it_is_closed_to_others_and_goes_with_the_mount", |host| {
        host.stage(&[]);
        let work = path(host);
        // What is made in a directory of a group is that group's, too.
        fs::set_permissions(work.parent().unwrap(), fs::Permissions::from_mode(0o2775)).unwrap();
        for planted in [None, Some(0o777)] {
            if let Some(open) = planted {
                fs::create_dir(&work).unwrap();
                fs::set_permissions(&work, fs::Permissions::from_mode(open)).unwrap();
            }
            ok(&["mount", "one"]);
            assert_eq!(mode(&work) & 0o777, 0o700, "planted: {planted:?}");
            // One that was there is not taken over with what is open in it.
            let before = fs::metadata(&work).unwrap().ino();
            ok(&["mount", "one"]);
            assert_eq!(fs::metadata(&work).unwrap().ino(), before, "a mount that is there keeps its own");
            ok(&["umount", "one"]);
            assert!(!work.exists(), "planted: {planted:?}");
        }
    });
}

/// A directory that the service user holds open is still its own after any change of modes.
#[test]
fn it_is_made_anew_for_each_mount() {
    in_namespaces("it_is_made_anew_for_each_mount", |host| {
        host.stage(&[]);
        let work = path(host);
        fs::create_dir(&work).unwrap();
        let held = fs::File::open(&work).unwrap();
        let planted = held.metadata().unwrap().ino();
        ok(&["mount", "one"]);
        assert_ne!(fs::metadata(&work).unwrap().ino(), planted);
        ok(&["umount", "one"]);
    });
}

/// Puts something at a path.
type Plant = fn(&Path);

/// Each in the place of work, at a mount and after an umount.
#[test]
fn what_stands_in_its_place_is_put_aside_whole() {
    in_namespaces("what_stands_in_its_place_is_put_aside_whole", |host| {
        host.stage(&[]);
        let (work, aside) = (path(host), host.root.join("tmp/one.work"));
        let plants: [(&str, Plant); 6] = [
            ("a file", |work| fs::write(work, "kept").unwrap()),
            ("a link", |work| symlink("/", work).unwrap()),
            ("a link to nothing", |work| symlink("nothing", work).unwrap()),
            ("a fifo", |work| run("mkfifo", &[work.to_str().unwrap()])),
            ("a file in it", |work| {
                fs::create_dir(work).unwrap();
                fs::write(work.join("file"), "kept").unwrap();
            }),
            ("a link in it", |work| {
                fs::create_dir(work).unwrap();
                symlink("/etc", work.join("work")).unwrap();
            }),
        ];
        for (what, plant) in plants {
            plant(&work);
            let ino = fs::symlink_metadata(&work).unwrap().ino();
            ok(&["umount", "one"]);
            assert_eq!(fs::symlink_metadata(&work).unwrap().ino(), ino, "{what}: an umount took it");
            ok(&["mount", "one"]);
            assert_eq!(fs::symlink_metadata(&aside).unwrap().ino(), ino, "{what} was not kept");
            ok(&["umount", "one"]);
            assert!(fs::symlink_metadata(&work).is_err(), "{what}");
            run("rm", &["-r", aside.to_str().unwrap()]);
        }
        for (place, content) in [(&work, "new"), (&aside, "old")] {
            fs::write(place, content).unwrap();
        }
        let error = refused(&["mount", "one"]);
        assert!(error.contains("in the way") && error.contains("l4d2ctl start one"), "{error}");
        assert!(fs::read_to_string(&work).unwrap() == "new" && fs::read_to_string(&aside).unwrap() == "old");
    });
}

/// With what the kernel had in it.
#[test]
fn what_a_crash_left_is_removed() {
    in_namespaces("what_a_crash_left_is_removed", |host| {
        host.stage(&[]);
        let work = path(host);
        for verb in ["mount", "umount"] {
            host.write("runtime/one/work/left4me-one/work/#1f/file", "copied half");
            fs::set_permissions(work.join("left4me-one/work"), fs::Permissions::from_mode(0o000)).unwrap();
            fs::set_permissions(&work, fs::Permissions::from_mode(0o700)).unwrap();
            ok(&[verb, "one"]);
            assert_eq!(fs::read_dir(host.root.join("tmp")).unwrap().count(), 0, "{verb}");
            assert!(!work.join("left4me-one/work/#1f").exists(), "{verb}");
            ok(&["umount", "one"]);
            assert!(!work.exists(), "{verb}");
        }
    });
}

/// Root as it is, and the service user beside it.
#[test]
fn the_service_user_gets_nothing_into_it() {
    if !odd_calls::is_root() {
        // Only root has a second user to be.
        return;
    }
    in_namespaces_of(true, "work::the_service_user_gets_nothing_into_it", |host| {
        const USER: &str = "65534";
        host.stage(&[]);
        run("chown", &["-R", &format!("{USER}:{USER}"), host.root.to_str().unwrap()]);
        let runtime = host.root.join("runtime/one");
        let tried = |script: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "sh", "-c", script]);
            command.current_dir(&runtime).stderr(Stdio::null()).status().unwrap().success()
        };
        assert!(tried("mkdir -m 777 work; mkdir -m 777 work/work; touch work/work/file"));
        ok(&["mount", "one"]);
        let metadata = fs::metadata(runtime.join("work")).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o700));
        assert!(tried("test -e ../../tmp/one.work/work/file"), "what lay there is kept");
        for script in [
            "mkdir work/x",
            "rmdir work/*",
            "mv work/left4me-one work/x",
            "mv work/left4me-one .",
            "ls work",
            "rmdir work",
        ] {
            assert!(!tried(script), "{script}");
        }
        assert!(!tried("mv work ../../tmp"), "root's own is moved elsewhere");
        // Its name is the service user's to change, and what the kernel works in stays what it is.
        assert!(tried("mv work other && mkdir work && touch merged/new"));
        assert!(tried("test -e upper/new"));
        ok(&["umount", "one"]);
        assert!(tried("test ! -e work"));
        // An earlier one of root's in its place again, with what that mount left.
        assert!(tried("mv other work"));
        ok(&["mount", "one"]);
        ok(&["umount", "one"]);
        assert!(tried("test ! -e work"));
    });
}

/// `runtime/NAME` is the service user's to rename: what one mount works in is in the other's place then.
#[test]
fn another_instance_s_is_left_alone() {
    in_namespaces("another_instance_s_is_left_alone", |host| {
        host.stage(&[]);
        host.write("instances/two/staged/layers", "installation\n");
        ok(&["mount", "one"]);
        let (work, stolen) = (path(host), host.root.join("runtime/two/work"));
        let inner = fs::metadata(work.join("left4me-one/work")).unwrap().ino();
        for directory in ["upper", "merged"] {
            fs::create_dir_all(host.root.join("runtime/two").join(directory)).unwrap();
        }
        fs::rename(&work, &stolen).unwrap();
        for verb in ["umount", "mount", "umount"] {
            ok(&[verb, "two"]);
            assert_eq!(fs::metadata(stolen.join("left4me-one/work")).unwrap().ino(), inner, "{verb}");
        }
        host.write("runtime/one/merged/new", "new");
        assert_eq!(host.read("runtime/one/upper/new"), "new", "the mount that was there works on");
        fs::rename(&stolen, &work).unwrap();
        ok(&["umount", "one"]);
        assert!(!work.exists());
    });
}

/// Root's own, which only root can remove: it is neither moved nor emptied.
#[test]
fn a_directory_of_root_s_in_its_place_is_left_whole() {
    if !odd_calls::is_root() {
        // Only root has a second user to own the rest.
        return;
    }
    in_namespaces_of(true, "work::a_directory_of_root_s_in_its_place_is_left_whole", |host| {
        host.stage(&[]);
        run("chown", &["-R", "65534:65534", host.root.to_str().unwrap()]);
        let work = path(host);
        for (open, inner) in [(0o755, "left4me-one"), (0o700, "backup"), (0o755, "work")] {
            let file = work.join(inner).join("deep/file");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "kept").unwrap();
            fs::set_permissions(&work, fs::Permissions::from_mode(open)).unwrap();
            ok(&["umount", "one"]);
            if open == 0o755 {
                assert!(refused(&["mount", "one"]).contains("does not belong to the owner"), "{inner}");
            }
            assert_eq!(fs::read_to_string(&file).unwrap(), "kept", "{inner}");
            fs::remove_dir_all(&work).unwrap();
        }
    });
}
