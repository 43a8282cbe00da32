//! What a mount shows: the first of its layers, whichever there are; and that it can be done and undone twice.

use super::*;

/// The same as [`super::in_namespaces`], of a test of this module.
fn in_namespaces(test: &str, body: fn(&Host)) {
    super::in_namespaces(&format!("stacks::{test}"), body);
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
        assert!(!host.root.join("runtime/one/work").exists(), "work would be root's for ever");
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
