//! Somebody who swaps what lies in the upper while commands stage into it, empty it and take it away.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, mknodat, openat2, renameat_with, symlinkat};

use crate::{Sandbox, port};

/// How often each command is run.
const ROUNDS: usize = 8;

/// Places below the upper that commands go through, and what each is swapped with, in a directory beside it.
const SWAPS: [(&str, &str); 6] = [
    ("left4dead2", "link"),
    ("left4dead2/cfg", "link-deeper"),
    ("left4dead2", "directory"),
    ("left4dead2/cfg/server.cfg", "link-to-file"),
    ("left4dead2/cfg/.left4me-server.cfg", "link-to-file"),
    ("left4dead2/cfg/server.cfg", "fifo"),
];

/// From the upper to what lies outside of the root directory. Relative, as an absolute one is refused for other reasons, too.
const LINK: &str = "../../../../canary";

/// Swaps one after the other until it is told to end: each place is now what it should be, now a link out of the root
/// directory, now something else. Where nothing is there is a link.
fn swap(upper: &Path, plants: &Path, done: &AtomicBool, swaps: &AtomicU64) {
    for turn in 0_usize.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        // Each for a while, as a link that is gone again at once is seldom seen.
        let (place, plant) = SWAPS[turn / 8 % SWAPS.len()];
        let (place, plant) = (upper.join(place), plants.join(plant));
        // Through no link of our own, or it would be us who change what lies outside.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat2(CWD, place.parent().unwrap(), flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
        let Ok(parent) = parent else { continue };
        let name = place.file_name().unwrap();
        if renameat_with(CWD, &plant, &parent, name, RenameFlags::EXCHANGE).is_ok() {
            swaps.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        plant_again(plants);
        if name == "left4dead2" {
            let _ = symlinkat(LINK, &parent, name);
        }
    }
}

/// Whatever a command took away with the place.
fn plant_again(plants: &Path) {
    let _ = symlink(LINK, plants.join("link"));
    let _ = symlink(format!("../{LINK}"), plants.join("link-deeper"));
    let _ = symlink(format!("../../{LINK}/server.cfg"), plants.join("link-to-file"));
    let _ = mknodat(CWD, plants.join("fifo"), FileType::Fifo, Mode::RWXU, 0);
    let _ = fs::create_dir_all(plants.join("directory/cfg"));
}

/// Ends the attack, also where an assertion ends the test.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All of a tree: names, kinds, modes, times of change, contents.
fn picture(tree: &Path) -> String {
    let listed = std::process::Command::new("find").arg(tree).args(["-printf", "%P %y %m %U %T@ %C@ %s\n"]).output();
    let contents: String = ["server.cfg", "cfg/server.cfg", "left4dead2/cfg/server.cfg"]
        .map(|file| fs::read_to_string(tree.join(file)).unwrap_or_else(|error| error.to_string()))
        .concat();
    String::from_utf8(listed.unwrap().stdout).unwrap() + &contents
}

/// CVE-2024-27102: what was checked was not what was used, as it was swapped in between.
#[test]
fn what_is_swapped_in_the_upper_leads_no_command_out_of_it() {
    let sandbox = Sandbox::with_game();
    let port = port();
    sandbox.make("a", &format!("port: {port}\n"));
    for dir in ["canary/cfg", "canary/left4dead2/cfg", "plants"] {
        fs::create_dir_all(sandbox.dir.path().join(dir)).unwrap();
    }
    for file in ["canary/server.cfg", "canary/cfg/server.cfg", "canary/left4dead2/cfg/server.cfg"] {
        sandbox.write(file, "canary\n");
    }
    let (canary, plants) = (sandbox.dir.path().join("canary"), sandbox.dir.path().join("plants"));
    plant_again(&plants);
    let before = picture(&canary);
    let (done, swaps, mut succeeded) = (AtomicBool::new(false), AtomicU64::new(0), 0);
    let upper = sandbox.root().join("runtime/a/upper");
    std::thread::scope(|scope| {
        scope.spawn(|| swap(&upper, &plants, &done, &swaps));
        scope.spawn(|| swap(&upper, &plants, &done, &swaps));
        let _end = End(&done);
        for round in 0..ROUNDS {
            // Another spec each time, so that there is something to stage.
            sandbox.make("a", &format!("port: {port}\nconfig: ['hostname \"{round}\"']\n"));
            for command in ["start", "stop", "start", "stop", "reset"] {
                let ran = sandbox.run(&["--lock-timeout", "5", command, "a"]);
                assert!([0, 1].contains(&ran.code) && !ran.stderr.contains("panicked"), "{command}: {ran:?}");
                assert!(ran.code == 0 || ran.stderr.starts_with("error: "), "{command}: {ran:?}");
                succeeded += usize::from(ran.code == 0);
            }
        }
    });
    assert_eq!(picture(&canary), before, "what lies outside has changed");
    assert!(swaps.load(Ordering::Relaxed) > 1000, "hardly anything was swapped: {swaps:?}");
    assert!(succeeded > ROUNDS, "{succeeded} of {} commands succeeded: nothing was raced", 5 * ROUNDS);
    // Nobody disturbs any more.
    sandbox.ok(&["reset", "a"]);
    sandbox.ok(&["start", "a"]);
    assert_eq!(sandbox.state("a"), "running");
}
