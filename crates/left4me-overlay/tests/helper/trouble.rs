//! What is in the way: moved and damaged directories, files that are no such thing, full disks, and who holds a mount.

use super::*;

/// The same as [`super::in_namespaces`], of a test of this module.
fn in_namespaces(test: &str, body: fn(&Host)) {
    super::in_namespaces(&format!("trouble::{test}"), body);
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
fn a_full_disk_is_an_error_and_not_a_read_only_server() {
    in_namespaces("a_full_disk_is_an_error_and_not_a_read_only_server", |host| {
        let runtime = host.root.join("runtime/one");
        host.stage(&[]);
        // No room for work, for the mount's own directory in it, and for what the kernel makes there.
        let full = [
            ("nr_inodes=3", "runtime/one/work: No space left"),
            ("nr_inodes=4", "runtime/one/work/left4me-one: No space left"),
            ("nr_inodes=5", "would be read-only: is the disk of"),
        ];
        for (inodes, says) in full {
            run("mount", &["-t", "tmpfs", "-o", inodes, "none", runtime.to_str().unwrap()]);
            for name in ["upper", "merged"] {
                fs::create_dir(runtime.join(name)).unwrap();
            }
            let error = refused(&["mount", "one"]);
            assert!(error.contains(says), "{error}");
            assert!(mounts().is_empty());
            run("umount", &[runtime.to_str().unwrap()]);
        }
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
