//! What the game sees and may do, and what it can't.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use l4d2host::InstanceState;

use crate::host::TestHost;

pub(crate) const TESTS: &[crate::Test] = &[
    ("the_game_has_no_privilege", the_game_has_no_privilege),
    ("the_game_sees_merged_and_nothing_else_of_the_root", the_game_sees_merged_and_nothing_else_of_the_root),
    ("the_first_overlay_wins_and_changes_go_to_the_upper", the_first_overlay_wins_and_changes_go_to_the_upper),
    ("steam_libraries_are_where_home_is", steam_libraries_are_where_home_is),
];

fn the_game_has_no_privilege(t: &TestHost) {
    t.game(
        "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):' /proc/self/status
echo \"uid $(id -u) files $(ls /proc/$$/fd | tr '\\n' ' ')\"
readlink /proc/$$/fd/0
ulimit -c
kill -0 1 2>/dev/null || echo 'PID 1 is out of reach'
ls /proc/1/root/ >/dev/null 2>&1 || echo 'and its files'
(echo 1 > /proc/sys/kernel/domainname) 2>/dev/null || echo 'and the kernel'
echo over; exec sleep 1000",
    );
    t.start();
    t.wait_for("over", 1);
    let said = t.lines().join("\n").replace('\t', " ");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(said.contains(&format!("{set}: 0000000000000000")), "{said}");
    }
    let uid = rustix::process::geteuid().as_raw();
    for line in [
        "NoNewPrivs: 1",
        // 10 is the shell's own: the script.
        &format!("uid {uid} files 0 1 10 2 "),
        "\n/dev/null\n",
        "\n0\n",
        "\nPID 1 is out of reach\n",
        "\nand its files\n",
        "\nand the kernel\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

fn the_game_sees_merged_and_nothing_else_of_the_root(t: &TestHost) {
    let root = t.root.to_str().unwrap().to_owned();
    t.game(&format!(
        "find {root} -maxdepth 3 -path '*/merged/*' -prune -o -print | sort
touch {root}/x {root}/runtime/one/x {root}/runtime/one/upper 2>/dev/null || echo 'nothing can be made there'
unshare --user --map-root-user --mount umount {root} 2>/dev/null || echo 'nor uncovered'
unshare --user true 2>/dev/null || echo 'nor is root to be had'
set -- /proc/[0-9]*; echo $#
echo over; exec sleep 1000"
    ));
    t.start();
    t.wait_for("over", 1);
    let said = t.lines().join("\n").replace(&root, "ROOT");
    let seen = "ROOT\nROOT/launch\nROOT/runtime\nROOT/runtime/one\nROOT/runtime/one/merged\n\
                nothing can be made there\nnor uncovered\nnor is root to be had\n";
    assert!(said.contains(seen), "{said}");
    // PID 1 and the script.
    assert!(said.ends_with("\n2\nover"), "{said}");
}

fn the_first_overlay_wins_and_changes_go_to_the_upper(t: &TestHost) {
    for (layer, files) in [
        ("overlays/high", &["both"][..]),
        ("overlays/users/42/low", &["both", "low"]),
        ("installation", &["both", "low", "base", "gone", "changed", "directory/inner"]),
    ] {
        for file in files {
            t.write(&format!("{layer}/{file}"), layer);
        }
    }
    t.executable(
        "installation/srcds_run",
        "[ -e base ] && [ ! -e gone ] && echo 'still gone'
cat both low base; echo
rm -f gone && echo removed
chmod 600 changed && chown $(id -u):$(id -g) changed && echo new > changed && mv changed moved && cat moved
rm -rf directory && mkdir directory && ls directory | wc -l
echo over; exec sleep 1000",
    );
    t.initialize("port: 27015\noverlays: [high, users/42/low]\n");
    t.start();
    t.wait_for("over", 1);
    let said = ["overlays/highoverlays/users/42/lowinstallation", "removed", "new", "0", "over"];
    assert_eq!(t.lines()[1..], said.map(str::to_owned));
    t.stop();
    assert!(fs::symlink_metadata(t.upper("gone")).unwrap().file_type().is_char_device());
    assert_eq!(fs::read_to_string(t.upper("moved")).unwrap(), "new\n");
    assert_eq!(fs::metadata(t.upper("moved")).unwrap().uid(), rustix::process::geteuid().as_raw());
    for file in ["gone", "changed", "directory/inner"] {
        assert_eq!(fs::read_to_string(t.root.join("installation").join(file)).unwrap(), "installation");
    }
    // The second mount meets the whiteouts of the first.
    t.start();
    t.wait_for("over", 2);
    assert_eq!(t.lines().iter().filter(|line| *line == "still gone").count(), 1);
    t.stop();
    t.host.reset(&t.one).unwrap();
    t.start();
    t.wait_for("over", 3);
    assert_eq!(t.lines().iter().filter(|line| *line == "still gone").count(), 1);
    assert_eq!(t.state(), InstanceState::Running);
}

fn steam_libraries_are_where_home_is(t: &TestHost) {
    t.write(".steam/sdk32/steamclient.so", "library");
    t.game("cat ~/.steam/sdk32/steamclient.so; echo; exec sleep 1000");
    t.start();
    t.wait_for("library", 1);
}
