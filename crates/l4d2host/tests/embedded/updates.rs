//! Updates of the game in namespaces of their own, and without any; killed ones, and ones that leave processes. SteamCMD is
//! a shell script.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use l4d2host::{InstallRequest, InstanceState, Progress};
use rustix::fs::getxattr;

use crate::host::{TestHost, kill, open_process, processes_of, wait_for_process};
use crate::trouble::elsewhere;

pub(crate) const TESTS: &[crate::Test] = &[
    ("an_update_is_a_layer", an_update_is_a_layer),
    ("a_copy_gives_the_same_layer", a_copy_gives_the_same_layer),
    ("nothing_of_steamcmd_outlives_an_update", nothing_of_steamcmd_outlives_an_update),
    ("a_damaged_link_is_repaired", a_damaged_link_is_repaired),
    ("what_can_be_no_layer_is_begun_anew", what_can_be_no_layer_is_begun_anew),
    ("an_update_that_is_killed_takes_steamcmd_with_it", an_update_that_is_killed_takes_steamcmd_with_it),
];

/// What the tests above run of themselves, elsewhere.
pub(crate) const PARTS: &[crate::Test] =
    &[("part_update_of_a_copy", part_update_of_a_copy), ("part_install", part_install)];

/// The game that prints what it sees of itself.
const GAME: &str = "for f in $(find . -type f | sort); do echo \"$f $(stat -c %a $f) $(head -n 1 $f)\"; done; echo seen\nexec sleep 1000\n";

const MANIFEST: &str = "mkdir -p steamapps bin\n\
    echo '\"AppState\" { \"appid\" \"222860\" \"StateFlags\" \"4\" \"buildid\" \"17\" \"SizeOnDisk\" \"1\" }' \
    > steamapps/appmanifest_222860.acf\n";

/// What the script changes, in each way that an update may. `same` is written again as it was.
const CHANGES: &str = "rm changed; echo new > changed\necho more >> appended\nrm gone\nrm -r replaced; mkdir replaced; echo new > replaced/n\n\
    chmod 700 mode\nrm -r directory; echo new > directory\nrm file; mkdir file; echo new > file/n\nln -sf elsewhere link\n\
    echo same > same\nmkdir -p added/deep; echo new > 'added/deep/with space'\n";

fn game_of_build_16(t: &TestHost) {
    t.game(GAME);
    for (path, content) in [
        ("changed", "old"),
        ("appended", "old"),
        ("gone", "old"),
        ("replaced/o", "old"),
        ("mode", "old"),
        ("directory/inner", "old"),
        ("file", "old"),
        ("same", "same"),
    ] {
        t.write(&format!("installation/{path}"), &format!("{content}\n"));
    }
    std::os::unix::fs::symlink("somewhere", t.root.join("installation/link")).unwrap();
}

/// Installs with a SteamCMD that does this.
fn install(t: &TestHost, script: &str) -> Result<(), l4d2host::Error> {
    t.executable("steamcmd.sh", script);
    let request = InstallRequest {
        steamcmd: Some(t.root.join("steamcmd.sh")),
        first_pause: Duration::from_millis(1),
        ..InstallRequest::default()
    };
    t.host.install(&request, &mut |_: &Progress| {}).map(drop)
}

/// Everything in a generation, as the file system has it.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let kind = if metadata.is_dir() {
                dirs.push(path.clone());
                let mut value = [0_u8; 8];
                let opaque = getxattr(&path, "user.overlay.opaque", &mut value[..]).is_ok();
                format!("dir{}", if opaque { " opaque" } else { "" })
            } else if metadata.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if metadata.file_type().is_char_device() {
                format!("whiteout {}", metadata.rdev())
            } else {
                format!(
                    "{:o} {}",
                    metadata.permissions().mode() & 0o7777,
                    fs::read_to_string(&path).unwrap().trim_end()
                )
            };
            found.insert(path.strip_prefix(dir).unwrap().display().to_string(), kind);
        }
    }
    found.retain(|path, _| !path.starts_with("steamapps") && path != "bin");
    found
}

/// The layer that [`CHANGES`] make, and no more.
fn expected() -> BTreeMap<String, String> {
    [
        ("added", "dir"),
        ("added/deep", "dir"),
        ("added/deep/with space", "644 new"),
        ("appended", "644 old\nmore\nmore"),
        ("changed", "644 new"),
        ("directory", "644 new"),
        ("file", "dir opaque"),
        ("file/n", "644 new"),
        ("gone", "whiteout 0"),
        ("link", "link elsewhere"),
        ("mode", "700 old"),
        ("replaced", "dir"),
        ("replaced/n", "644 new"),
        ("replaced/o", "whiteout 0"),
    ]
    .map(|(path, kind)| (path.to_owned(), kind.to_owned()))
    .into()
}

fn an_update_is_a_layer(t: &TestHost) {
    game_of_build_16(t);
    t.start();
    t.wait_for("seen", 1);
    let before: Vec<String> = t.lines();
    install(t, &format!("[ $(id -u) = $(stat -c %u .) ]\n{CHANGES}{MANIFEST}")).unwrap();
    // Twice, as there are two passes: the second one finds what the first one made.
    assert_eq!(tree(&t.root.join("generations/17")), expected());
    assert_eq!(fs::read_to_string(t.root.join("installation/changed")).unwrap(), "old\n");
    t.host.restart(&t.one).unwrap();
    t.wait_for("seen", 2);
    let seen: Vec<String> = t.lines().into_iter().skip(before.len()).filter(|line| line.starts_with("./")).collect();
    for line in [
        "./added/deep/with",
        "./changed 644 new",
        "./file/n 644 new",
        "./mode 700 old",
        "./replaced/n 644 new",
        "./same 644 same",
    ] {
        assert!(seen.iter().any(|seen| seen.starts_with(line)), "{line}: {seen:?}");
    }
    assert!(!seen.iter().any(|seen| seen.contains("gone") || seen.contains("replaced/o") || seen.contains("inner")));
}

fn a_copy_gives_the_same_layer(t: &TestHost) {
    let line = "echo 0 > /proc/sys/user/max_user_namespaces; mkdir there";
    elsewhere(t, &["--user", "--map-current-user", "--keep-caps"], line, "part_update_of_a_copy");
}

fn part_update_of_a_copy(t: &TestHost) {
    game_of_build_16(t);
    let mut warnings = Vec::new();
    t.executable("steamcmd.sh", &format!("echo \"$PWD\" > \"$HOME/pwd\"\n{CHANGES}{MANIFEST}"));
    let request = InstallRequest { steamcmd: Some(t.root.join("steamcmd.sh")), ..InstallRequest::default() };
    let installed = t.host.install(&request, &mut |progress: &Progress| {
        if let Progress::Warning { warning } = progress {
            warnings.push(warning.clone());
        }
    });
    assert_eq!(installed.unwrap().version.build_id, 17);
    assert_eq!(tree(&t.root.join("generations/17")), expected());
    // To root of a container no namespace of users is needed.
    if !rustix::process::geteuid().is_root() {
        assert!(warnings.iter().any(|warning| warning.contains("updating a copy of the whole game")), "{warnings:?}");
        assert!(fs::read_to_string(t.root.join("pwd")).unwrap().contains("tmp/update/copy"));
    }
    t.host.delete(&t.one, None).unwrap();
}

fn nothing_of_steamcmd_outlives_an_update(t: &TestHost) {
    game_of_build_16(t);
    let orphan = "setsid sh -c 'trap \"\" HUP TERM INT; while :; do echo late >> late; sleep 0.05; done' &\n";
    install(t, &format!("{orphan}{CHANGES}{MANIFEST}")).unwrap();
    assert!(processes_of(&t.root).iter().all(|(_, line)| !line.contains("late")), "{:?}", processes_of(&t.root));
    // What it wrote belongs to the layer, or is gone with the rest.
    assert!(!t.root.join("installation/late").exists() && !t.root.join("tmp/update").exists());
    t.host.delete(&t.one, None).unwrap();
}

fn a_damaged_link_is_repaired(t: &TestHost) {
    game_of_build_16(t);
    let script = format!("ln -sfn elsewhere link\n{MANIFEST}");
    install(t, &script).unwrap();
    let link = t.root.join("generations/17/link");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("rotten", &link).unwrap();
    install(t, &script).unwrap();
    let repaired = fs::read_link(t.root.join("generations/17-2/link")).unwrap();
    assert_eq!(repaired, Path::new("elsewhere"));
    assert_eq!(fs::read_dir(t.root.join("generations/17-2")).unwrap().count(), 1);
    t.host.delete(&t.one, None).unwrap();
}

fn what_can_be_no_layer_is_begun_anew(t: &TestHost) {
    game_of_build_16(t);
    for (odd, why) in [
        ("rm -f odd; mkfifo odd", "neither a file"),
        // Deeper than a path may be long.
        ("for i in $(seq 25); do d=$(printf 'd%.0s' $(seq 200)); mkdir -p $d; cd -P $d; done", "File name too long"),
    ] {
        let error = install(t, &format!("{CHANGES}{MANIFEST}{odd}\n")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why) && error.hint_text().is_some_and(|hint| hint.contains("anew")), "{text}");
        assert!(!t.root.join("tmp/update/upper").exists(), "{odd}");
    }
    install(t, &format!("{CHANGES}{MANIFEST}")).unwrap();
    assert_eq!(tree(&t.root.join("generations/17")), expected());
    t.host.delete(&t.one, None).unwrap();
}

/// The part of the next test that is killed.
fn part_install(t: &TestHost) {
    t.game(GAME);
    let hangs = "trap '' HUP TERM INT\n: > begun; echo 'Update state (0x61) downloading, progress: 1.00 (1 / 100)'\nwhile :; do sleep 1; done\n";
    t.executable("steamcmd.sh", hangs);
    let request = InstallRequest { steamcmd: Some(t.root.join("steamcmd.sh")), ..InstallRequest::default() };
    let _ = t.host.install(&request, &mut |progress: &Progress| {
        if let Progress::Update { pass: "windows", .. } = progress {
            println!("at work");
        }
    });
}

fn an_update_that_is_killed_takes_steamcmd_with_it(t: &TestHost) {
    let mut child = Command::new("/proc/self/exe")
        .args(["run-test", "part_install"])
        .arg(&t.root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "at work"));
    let ours: Vec<_> = processes_of(&t.root).into_iter().filter(|(_, line)| line.contains("steamcmd.sh")).collect();
    assert!(ours.len() >= 3, "{ours:?}");
    let ours: Vec<_> = ours.into_iter().map(|(pid, _)| open_process(pid)).collect();
    kill(child.id(), rustix::process::Signal::KILL);
    child.wait().unwrap();
    for process in &ours {
        wait_for_process(process);
    }
    // Nothing of it counts, and the next one goes on with what is there.
    assert!(t.root.join("tmp/update/upper/begun").exists() && !t.root.join("installation/begun").exists());
    install(t, &format!("[ -e begun ] && rm begun\n{MANIFEST}")).unwrap();
    assert_eq!(tree(&t.root.join("generations/17")), BTreeMap::new());
    t.start();
    assert_eq!(t.state(), InstanceState::Running);
}
