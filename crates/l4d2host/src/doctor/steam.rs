//! What SteamCMD and the game need of the host, and what they have made of it.

use std::fs;
use std::path::{Path, PathBuf};

use overlay::beneath::Dir;

use super::{Finding, lack};
use crate::generations::versions::Versions;
use crate::steam;

const INSTALL: &str = "l4d2ctl install";

pub(super) fn installation(root: &Dir) -> Finding {
    let versions = match Versions::read(root) {
        Ok(versions) => versions,
        Err(error) => return lack(error.to_string(), error.hint_text().unwrap_or(INSTALL)),
    };
    let Ok(dir) = root.open_dir("installation") else { return lack("there is no installation", INSTALL) };
    let Some(version) = versions.current() else {
        return match dir.open_file("srcds_run") {
            Ok(_) => lack("the first install was not brought to its end", INSTALL),
            Err(_) => lack(format!("{} is not there", dir.label_of("srcds_run")), INSTALL),
        };
    };
    let mut layers = Vec::new();
    for layer in version.layers() {
        match root.open_dir(layer.relative_path()) {
            Ok(layer) => layers.push(layer),
            Err(error) => return lack(error.to_string(), "l4d2ctl rollback"),
        }
    }
    match steam::installed_build(&layers) {
        None if layers.iter().all(|layer| layer.open_file("srcds_run").is_err()) => {
            lack(format!("{} is not there", dir.label_of("srcds_run")), INSTALL)
        }
        // One that was copied from elsewhere has no manifest, and runs.
        None => Ok(format!("{} (of a build that is not known)", dir.label())),
        Some(Ok(build)) => Ok(format!("{} (build {build})", dir.label())),
        Some(Err(why)) => lack(why, INSTALL),
    }
}

pub(super) fn disk(root: &Dir, game_is_there: bool) -> Finding {
    let Some(free) = steam::free_space(root) else { return Ok("not known".to_owned()) };
    let free = free >> 20;
    // With the game in place a server needs next to nothing.
    let wanted = if game_is_there { 256 } else { steam::FRESH_SIZE >> 20 };
    if free >= wanted {
        return Ok(format!("{free} MiB free"));
    }
    lack(
        format!("{free} MiB free"),
        format!("make room for {} MiB more on the disk of {}", wanted - free, root.label()),
    )
}

pub(super) fn steamcmd() -> Finding {
    match steam::find_steamcmd(None) {
        Ok(path) => Ok(path.display().to_string()),
        Err(error) => lack(error.to_string(), "sudo apt install steamcmd (non-free, i386)"),
    }
}

/// SteamCMD and the game are 32-bit programs: their loader, and a library that neither brings.
pub(super) fn lib32() -> Finding {
    let dirs = ["/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu", "/lib32", "/usr/lib32", "/lib", "/usr/lib"];
    let find = |name: &str| dirs.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    let fix = "sudo dpkg --add-architecture i386 && sudo apt update && sudo apt install libc6:i386 libgcc-s1:i386 \
               (SteamCMD and the game are 32-bit programs; where i386 packages are not wanted, lib32gcc-s1 does for them)";
    let Some(loader) = find("ld-linux.so.2") else { return lack("no 32-bit loader (ld-linux.so.2)", fix) };
    // In the last two lie 64-bit ones where the distribution has no multiarch.
    match dirs[..4].iter().map(|dir| Path::new(dir).join("libgcc_s.so.1")).find(|path| path.exists()) {
        Some(_) => Ok(loader.display().to_string()),
        None => lack("no 32-bit libgcc_s.so.1", fix),
    }
}

/// Real copies: a server's sandbox does not see where links lead.
pub(super) fn client(home: Option<PathBuf>) -> Finding {
    let Some(home) = home else { return lack("there is no home directory", "set HOME") };
    for sdk in ["sdk32", "sdk64"] {
        let dir = home.join(".steam").join(sdk);
        for path in [dir.clone(), dir.join("steamclient.so")] {
            match fs::symlink_metadata(&path) {
                Err(_) => return lack(format!("{} is not there", path.display()), INSTALL),
                Ok(metadata) if metadata.is_symlink() => {
                    return lack(format!("{} is a link, which a server can't follow", path.display()), INSTALL);
                }
                Ok(_) => {}
            }
        }
    }
    Ok(home.join(".steam").display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_no_copy() {
        let home = tempfile::tempdir().unwrap();
        let look = || client(Some(home.path().to_owned())).map_err(|lack| lack.found);
        assert!(look().unwrap_err().ends_with("sdk32 is not there"));
        for sdk in ["sdk32", "sdk64"] {
            let dir = home.path().join(".steam").join(sdk);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("steamclient.so"), "").unwrap();
        }
        assert!(look().is_ok());
        let library = home.path().join(".steam/sdk64/steamclient.so");
        fs::remove_file(&library).unwrap();
        symlink("/bin/true", &library).unwrap();
        assert!(look().unwrap_err().contains("steamclient.so is a link"));
    }

    #[test]
    fn an_update_that_did_not_finish() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open_root(&place.path().canonicalize().unwrap()).unwrap();
        let path = |name: &str| place.path().join("installation").join(name);
        let look = || installation(&root).map_err(|lack| lack.found);
        assert!(look().unwrap_err().contains("no installation"));
        fs::create_dir_all(path("steamapps")).unwrap();
        assert!(look().unwrap_err().ends_with("srcds_run is not there"));
        fs::create_dir(path("bin")).unwrap();
        fs::write(path("srcds_run"), "").unwrap();
        assert!(look().unwrap().contains("not known"));
        let manifest = |flags: u32| {
            let text = format!("\"AppState\"{{\"appid\" \"222860\" \"StateFlags\" \"{flags}\" \"buildid\" \"17\"}}");
            fs::write(path("steamapps/appmanifest_222860.acf"), text).unwrap();
        };
        manifest(4);
        assert!(look().unwrap().contains("build 17"));
        manifest(1026);
        assert!(look().unwrap_err().contains("StateFlags 1026"));
    }
}
