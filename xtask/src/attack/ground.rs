//! Where the attack takes place: a file system in memory, with the root directory, what the attacker swaps in, and the
//! canaries around it.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use super::{ATTACKER, ATTIC, INSTANCES, ROOT, canary, in_root};

/// Where what is swapped in lies, one directory for each thread.
pub(super) const POOLS: usize = 8;

/// Links that lead out of the root directory, or to another instance in it.
pub(super) const LINKS: [&str; 14] = [
    "/",
    "/etc",
    "/srv/canary",
    "/etc/canary",
    "../canary",
    "../../canary",
    "../../../canary",
    "/proc/self/root",
    "/proc/self/root/srv/canary",
    "/proc/1/root",
    "/proc/self/cwd",
    "/srv/canary/work",
    "/srv/left4me/runtime/two",
    "/srv/left4me/pool",
];

/// Makes an empty root of the file system at `place` and enters it; the helper and this program go along.
pub(super) fn enter(place: &Path, helper: &Path) -> Result<()> {
    let none = MountFlags::empty();
    mount("attack", place, "tmpfs", none, Some(c"mode=755"))?;
    for directory in ["proc", "dev", "etc/left4me", "run", "srv"] {
        fs::create_dir_all(place.join(directory))?;
    }
    fs::copy(helper, place.join("helper")).with_context(|| format!("can't copy {}", helper.display()))?;
    fs::copy(std::env::current_exe()?, place.join("xtask"))?;
    mount("proc", place.join("proc"), "proc", none, None)?;
    mknodat(CWD, place.join("dev/null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3))?;
    std::env::set_current_dir(place)?;
    rustix::process::pivot_root(".", ".").context("can't change the root")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    // As systemd has it.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    Ok(())
}

/// Fills it.
pub(super) fn fill() -> Result<()> {
    fs::write("/etc/left4me/root", format!("{ROOT}\n"))?;
    for place in ["/", "/etc/canary", "/srv/canary"] {
        canary::plant(Path::new(place))?;
    }
    for layer in ["installation", "overlays/a", "overlays/b/c"] {
        ours(&format!("{layer}/file"), "ours\n")?;
        ours(&format!("{layer}/left4dead2/cfg/server.cfg"), "ours\n")?;
    }
    for name in INSTANCES {
        ours(&format!("instances/{name}/staged/layers"), "overlay a\noverlay b/c\ninstallation\n")?;
        for directory in ["upper", "merged"] {
            fs::create_dir_all(in_root(&format!("runtime/{name}/{directory}")))?;
        }
    }
    for pool in 0..POOLS {
        fill_pool(&format!("pool/{pool}"))?;
    }
    fs::create_dir_all(in_root("tmp"))?;
    fs::create_dir_all(ATTIC)?;
    for tree in [ROOT, ATTIC] {
        give_away(Path::new(tree))?;
    }
    // Root's own files, which the attacker can move but not make: devices, and a hard link to a canary.
    for pool in 0..POOLS {
        let at = |name: &str| in_root(&format!("pool/{pool}/{name}"));
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, at("null"), FileType::CharacterDevice, mode, makedev(1, 3))?;
        mknodat(CWD, at("zero"), FileType::CharacterDevice, mode, makedev(1, 5))?;
        fs::hard_link("/srv/canary/layers", at("hard-link"))?;
    }
    Ok(())
}

fn ours(path: &str, content: &str) -> Result<()> {
    let path = in_root(path);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
}

/// One of everything that can stand in the place of a directory or a file.
fn fill_pool(pool: &str) -> Result<()> {
    let at = |name: &str| in_root(&format!("{pool}/{name}"));
    fs::create_dir_all(at("empty"))?;
    for (number, target) in LINKS.iter().enumerate() {
        symlink(target, at(&format!("link-{number}")))?;
    }
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0)?;
    drop(std::os::unix::net::UnixListener::bind(at("socket"))?);
    fs::write(at("file"), "overlay ../../canary\ninstallation\n")?;
    fs::File::create(at("huge"))?.set_len(1 << 40)?;
    // A directory in which every name that may be looked for leads outside, and one in which all is as it should be.
    for name in canary::NAMES {
        let inside = at("linked").join(name);
        fs::create_dir_all(inside.parent().unwrap_or(&inside))?;
        if fs::symlink_metadata(&inside).is_err() {
            symlink(Path::new("/srv/canary").join(name), &inside)?;
        }
        fs::create_dir_all(at("decoy").join(name))?;
    }
    Ok(())
}

fn give_away(tree: &Path) -> Result<()> {
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_away(&entry.path())?;
        } else {
            std::os::unix::fs::lchown(entry.path(), Some(ATTACKER), Some(ATTACKER))?;
        }
    }
    chown(tree, Some(ATTACKER), Some(ATTACKER)).with_context(|| format!("can't give {} away", tree.display()))
}
