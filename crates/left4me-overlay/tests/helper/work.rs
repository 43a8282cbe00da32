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

/// One that a crash left, with what the kernel had in it; and one of before work was root's, in a directory of the service
/// user's.
#[test]
fn what_a_crash_left_is_removed() {
    in_namespaces("what_a_crash_left_is_removed", |host| {
        host.stage(&[]);
        let work = path(host);
        for (verb, open) in [("mount", 0o700), ("mount", 0o755), ("umount", 0o700), ("umount", 0o755)] {
            host.write("runtime/one/work/work/#1f/file", "copied half");
            fs::set_permissions(work.join("work"), fs::Permissions::from_mode(0o000)).unwrap();
            fs::set_permissions(&work, fs::Permissions::from_mode(open)).unwrap();
            ok(&[verb, "one"]);
            assert_eq!(fs::read_dir(host.root.join("tmp")).unwrap().count(), 0, "{verb} {open:o}");
            ok(&["umount", "one"]);
            assert!(!work.exists(), "{verb} {open:o}");
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
        for script in
            ["mkdir work/x", "rmdir work/work", "mv work/work work/x", "mv work/work .", "ls work", "rmdir work"]
        {
            assert!(!tried(script), "{script}");
        }
        assert!(!tried("mv work ../../tmp"), "root's own is moved elsewhere");
        // Its name is the service user's to change, and what the kernel works in stays what it is.
        assert!(tried("mv work other && mkdir work && touch merged/new"));
        assert!(tried("test -e upper/new"));
        ok(&["umount", "one"]);
        assert!(tried("test ! -e work"));
        // An earlier one of root's in its place again is no fresh one.
        assert!(tried("mv other work"));
        ok(&["mount", "one"]);
        ok(&["umount", "one"]);
        assert!(tried("test ! -e work"));
    });
}
