//! Mistakes of others that gave somebody root, each tried on the helper: the class is the test's name, and above it stands the
//! public identifier of a case. `docs/security.md` has the whole table.

use std::os::unix::fs::MetadataExt;

use super::*;

/// The same as [`super::in_namespaces`], of a test of this module.
fn in_namespaces(test: &str, body: fn(&Host)) {
    super::in_namespaces(&format!("advisories::{test}"), body);
}

/// A tree outside of the root directory, and what is to be the same afterwards: names, modes and content.
fn canary(host: &Host) -> (PathBuf, impl Fn() -> Vec<String>) {
    let path = host.root.with_extension("canary");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(path.join("work/deep")).unwrap();
    fs::write(path.join("work/file"), "kept").unwrap();
    // Without a right of its owner, which a removal would give back to itself.
    fs::set_permissions(path.join("work/deep"), fs::Permissions::from_mode(0o000)).unwrap();
    let of = path.clone();
    let look = move || {
        let paths = [of.clone(), of.join("work"), of.join("work/deep"), of.join("work/file")];
        let mut lines: Vec<String> = paths
            .iter()
            .map(|path| fs::symlink_metadata(path).map_or_else(|e| e.to_string(), |m| format!("{:o}", m.mode())))
            .collect();
        lines.push(fs::read_to_string(of.join("work/file")).unwrap_or_default());
        lines
    };
    (path, look)
}

/// Wings 1.0.0-beta.8, GHSA-rhq6-9rgh-v45c: chmod by path followed a link, and did so again after a rewrite. A lint keeps such
/// calls out (`clippy.toml` of each crate); the one place where a mode is changed is this.
#[test]
fn a_mode_is_not_changed_through_a_planted_link() {
    in_namespaces("a_mode_is_not_changed_through_a_planted_link", |host| {
        let (outside, look) = canary(host);
        let before = look();
        let work = host.root.join("runtime/one/work");
        for place in ["left4me-one", "left4me-one/work", "left4me-one/work/a", "left4me-one/work/a/b"] {
            let link = work.join(place);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            fs::set_permissions(&work, fs::Permissions::from_mode(0o700)).unwrap();
            symlink(outside.join("work/deep"), &link).unwrap();
            // A closed directory beside it is what makes the helper change a mode at all.
            if place != "left4me-one" {
                let closed = link.with_file_name("closed");
                fs::create_dir_all(closed.join("x/y")).unwrap();
                fs::set_permissions(closed.join("x"), fs::Permissions::from_mode(0o000)).unwrap();
                fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
            }
            ok(&["umount", "one"]);
            assert_eq!(fs::symlink_metadata(&work).is_ok(), place == "left4me-one", "{place}");
            assert_eq!(look(), before, "{place}");
            // A link in the place of the mount's own directory is left.
            if place == "left4me-one" {
                fs::remove_file(&link).unwrap();
            }
        }
        fs::remove_dir_all(outside).unwrap();
    });
}

/// CVE-2023-25152: files of the host were written through links.
#[test]
fn links_are_not_followed_wherever_they_are() {
    in_namespaces("links_are_not_followed_wherever_they_are", |host| {
        host.overlay("real/inner");
        for path in [
            "overlays/real/inner",
            "overlays/real",
            "overlays",
            "installation",
            "instances/one/staged/layers",
            "instances/one/staged",
            "instances/one",
            "instances",
            "runtime/one/upper",
            "runtime/one/merged",
            "runtime/one",
            "runtime",
        ] {
            host.stage(&["real/inner"]);
            let (path, aside) = (host.root.join(path), host.root.join("aside"));
            fs::rename(&path, &aside).unwrap();
            symlink(&aside, &path).unwrap();
            let error = refused(&["mount", "one"]);
            assert!(error.contains("symbolic links"), "{}: {error}", path.display());
            assert!(mounts().is_empty());
            fs::remove_file(&path).unwrap();
            fs::rename(&aside, &path).unwrap();
        }
        // What stands in place of work is put aside, and followed as little.
        let elsewhere = host.root.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, host.root.join("runtime/one/work")).unwrap();
        ok(&["mount", "one"]);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert_eq!(fs::read_link(host.root.join("tmp/one.work")).unwrap(), elsewhere);
    });
}

/// CVE-2023-25168: a recursive removal went through a link, and took the host's files. Nor does one cross a mount, or begin
/// before the server's own is gone.
#[test]
fn a_removal_stays_in_its_tree() {
    in_namespaces("a_removal_stays_in_its_tree", |host| {
        let (outside, look) = canary(host);
        let before = look();
        let work = host.root.join("runtime/one/work");
        let (ours, inner) = (work.join("left4me-one"), work.join("left4me-one/work"));
        symlink(&outside, &work).unwrap();
        ok(&["umount", "one"]);
        assert_eq!(look(), before, "through a link in place of work");
        fs::remove_file(&work).unwrap();

        let fill = || {
            fs::create_dir_all(inner.join("deep/er")).unwrap();
            fs::set_permissions(&work, fs::Permissions::from_mode(0o700)).unwrap();
        };
        fill();
        for link in ["link", "deep/link", "deep/er/link"] {
            symlink(&outside, inner.join(link)).unwrap();
        }
        fs::hard_link(outside.join("work/file"), inner.join("deep/hard")).unwrap();
        ok(&["umount", "one"]);
        assert!(!work.exists());
        assert_eq!(look(), before, "through links within");

        for place in ["", "work", "work/deep", "work/deep/er"] {
            fill();
            let at = ours.join(place);
            run("mount", &["--bind", outside.to_str().unwrap(), at.to_str().unwrap()]);
            refused(&["umount", "one"]);
            // What it lies in may have been moved.
            let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let is_it = |line: &&str| line.split(' ').nth(3).unwrap().ends_with(".canary");
            let found = mountinfo.lines().find(is_it).unwrap_or_else(|| panic!("the mount at {place} is gone"));
            run("umount", &[found.split(' ').nth(4).unwrap()]);
            assert_eq!(look(), before, "over a mount at left4me-one/{place}");
        }
        fs::remove_dir_all(&work).unwrap();

        host.stage(&[]);
        ok(&["mount", "one"]);
        let file = fs::File::open(host.root.join("runtime/one/merged/only")).unwrap();
        refused(&["umount", "one"]);
        assert!(inner.exists(), "a server that is still mounted lost its work directory");
        drop(file);
        ok(&["umount", "one"]);
        fs::remove_dir_all(outside).unwrap();
    });
}

/// Wings 1.0.0-rc.7: what widens the rights of others could be set from outside, and a link was looked at instead of for.
#[test]
fn a_setting_that_widens_is_root_s_alone() {
    in_namespaces("a_setting_that_widens_is_root_s_alone", |host| {
        host.stage(&[]);
        let file = Path::new("/etc/left4me/root");
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let expect = |what: &str| {
            for verb in ["mount", "umount"] {
                let error = refused(&[verb, "one"]);
                assert!(error.contains("root's alone"), "{what}: {error}");
            }
        };
        for open in [0o664, 0o646, 0o777] {
            mode(file, open);
            expect("a file that others can write to");
        }
        mode(file, 0o644);
        mode(file.parent().unwrap(), 0o777);
        expect("a directory that others can write to");
        mode(file.parent().unwrap(), 0o755);
        let text = fs::read(file).unwrap();
        fs::rename(file, "/etc/elsewhere").unwrap();
        symlink("/etc/elsewhere", file).unwrap();
        expect("a link");
        fs::remove_file(file).unwrap();
        fs::rename("/etc/left4me", "/etc/real").unwrap();
        fs::write("/etc/real/root", &text).unwrap();
        symlink("/etc/real", "/etc/left4me").unwrap();
        expect("a linked directory");
        fs::remove_file("/etc/left4me").unwrap();
        fs::rename("/etc/real", "/etc/left4me").unwrap();
        for text in ["", "\n", "relative\n", "/\n", "/srv/../etc\n", "/a\n/b\n", "/a\0b\n"] {
            fs::write(file, text).unwrap();
            let error = refused(&["mount", "one"]);
            assert!(error.contains("one absolute path"), "{text:?}: {error}");
        }
        fs::write(file, text).unwrap();
        ok(&["mount", "one"]);
    });
}

/// Wings' mounts.go: an allowed place was compared as a plain string, so that `/allowed-evil` was allowed, too.
#[test]
fn a_place_that_begins_like_another_is_not_that_place() {
    in_namespaces("a_place_that_begins_like_another_is_not_that_place", |host| {
        host.overlay("mods");
        host.overlay("mods-evil");
        host.write("overlays-evil/x/file", "evil");
        host.write("installation-evil/file", "evil");
        let evil = host.root.with_file_name(format!("{}-evil", host.root.file_name().unwrap().display()));
        fs::create_dir_all(evil.join("x")).unwrap();
        let out = format!("../../{}/x", evil.file_name().unwrap().display());
        for overlay in ["../overlays-evil/x", "-evil/x", "./../overlays-evil/x", "mods/../../overlays-evil/x", &out] {
            host.stage(&[overlay]);
            let error = refused(&["mount", "one"]);
            assert!(error.contains("is refused"), "{overlay}: {error}");
        }
        for line in ["installation-evil", "overlays-evil/x", "overlay", "overlays mods"] {
            host.write("instances/one/staged/layers", &format!("{line}\ninstallation\n"));
            assert!(refused(&["mount", "one"]).contains("is refused"), "{line}");
        }
        // The one inside the other are refused in one stack, two that begin alike are not.
        host.overlay("mods/inner");
        host.stage(&["mods", "mods/inner"]);
        assert!(refused(&["mount", "one"]).contains("lies inside"));
        host.stage(&["mods", "mods-evil"]);
        ok(&["mount", "one"]);
        // Nor is a mount of another instance ours for beginning like it.
        for directory in ["upper", "merged"] {
            fs::create_dir_all(host.root.join("runtime/one-evil").join(directory)).unwrap();
        }
        host.write("instances/one-evil/staged/layers", "installation\n");
        ok(&["mount", "one-evil"]);
        ok(&["umount", "one"]);
        assert!(mounts().is_empty() && host.read("runtime/one-evil/merged/only") == "installation");
        ok(&["umount", "one-evil"]);
        fs::remove_dir_all(evil).unwrap();
    });
}

/// A predecessor's helper (l4d2_control_panel) built one string of options, and took `.wh.` names for the kernel's mark of a
/// deletion. Here a name is never part of an option, and the kernel alone knows what its marks are.
#[test]
fn names_full_of_options_are_only_names() {
    in_namespaces("names_full_of_options_are_only_names", |host| {
        let tricky = host.root.join("a,upperdir=b:c\\,lowerdir=::d\\072 e");
        for directory in ["installation", "overlays/mods", "instances", "runtime"] {
            fs::create_dir_all(tricky.join(directory)).unwrap();
            if directory != "overlays/mods" {
                fs::remove_dir_all(tricky.join(directory)).unwrap();
                fs::rename(host.root.join(directory), tricky.join(directory)).unwrap();
            }
        }
        fs::write("/etc/left4me/root", format!("{}\n", tricky.display())).unwrap();
        fs::write(tricky.join("overlays/mods/.wh.only"), "").unwrap();
        fs::write(tricky.join("overlays/mods/.wh..wh..opq"), "").unwrap();
        fs::write(tricky.join("instances/one/staged/layers"), "overlay mods\ninstallation\n").unwrap();
        ok(&["mount", "one"]);
        let merged = tricky.join("runtime/one/merged");
        assert_eq!(fs::read_to_string(merged.join("only")).unwrap(), "installation");
        assert!(merged.join(".wh.only").exists(), "a file of that name is a file");
        fs::write(merged.join("new"), "new").unwrap();
        fs::remove_file(merged.join("file")).unwrap();
        assert!(tricky.join("runtime/one/upper/new").exists() && tricky.join("installation/file").exists());
        ok(&["umount", "one"]);
        assert!(mounts().is_empty());
    });
}

/// CVE-2025-49132: a locale of the caller's became code. FIFOs stand where the C library looks for one: who opens them hangs.
#[test]
fn the_caller_s_locale_reaches_nothing() {
    in_namespaces("the_caller_s_locale_reaches_nothing", |host| {
        host.stage(&[]);
        let locale = host.root.join("locale/evil");
        fs::create_dir_all(&locale).unwrap();
        for category in ["IDENTIFICATION", "CTYPE", "COLLATE", "TIME", "NUMERIC", "MONETARY", "PAPER", "NAME"] {
            run("mkfifo", &[locale.join(format!("LC_{category}")).to_str().unwrap()]);
        }
        // `env` between the two, or `timeout` is the first to hang.
        let code = |program: &str, args: &[&str]| {
            let (path, evil) = (locale.parent().unwrap().display(), locale.display());
            let mut command = Command::new("timeout");
            command.args(["5", "env", "LC_ALL=evil", "LANG=evil", "LANGUAGE=../evil"]).arg(format!("LOCPATH={path}"));
            command.args([format!("NLSPATH={evil}"), format!("GCONV_PATH={evil}")]).arg(program).args(args);
            command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().code()
        };
        assert_eq!(code("sort", &[]), Some(124), "the trap is none: sort does not hang in it");
        let helper = env!("CARGO_BIN_EXE_left4me-overlay");
        for (args, expected) in [(&["mount", "one"][..], 0), (&["umount", "one"], 0), (&["mount", "\u{e4}"], 2)] {
            assert_eq!(code(helper, args), Some(expected), "{args:?}");
        }
    });
}
