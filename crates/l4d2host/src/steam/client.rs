//! `~/.steam/sdk32` and `sdk64`: where the game looks for Steam's client library.
//!
//! Without it a server runs, and nobody from outside can join. Real copies and no links into SteamCMD's directory, as
//! the usual advice has it: a server's sandbox sees `~/.steam` and not that directory, and a dangling link is silent.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use overlay::beneath::Dir;

use super::Progress;
use crate::{Error, Result};

const LIBRARY: &str = "steamclient.so";

/// A client library has some 40 MiB.
const MAX_SIZE: usize = 256 * 1024 * 1024;

pub(super) fn repair(home: &Path, steamcmd: &Path, game: &[Dir], on_progress: &mut dyn FnMut(&Progress)) -> Result<()> {
    fs::create_dir_all(home).map_err(|e| Error::io(format!("can't make {}", home.display()), e))?;
    // Links on the way to a home directory are the administrator's.
    let real = home.canonicalize().map_err(|e| Error::io(format!("can't resolve {}", home.display()), e))?;
    let real = Dir::open_root(&real)?;
    let steam = real.replace_with_dir(".steam", 0o755)?;
    for (sdk, dir) in [("sdk32", "linux32"), ("sdk64", "linux64")] {
        let Some(library) = find(home, steamcmd, game, dir) else {
            let warning = format!("no {LIBRARY} was found for ~/.steam/{sdk}");
            on_progress(&Progress::Warning { warning });
            continue;
        };
        let sdk = steam.replace_with_dir(sdk, 0o755)?;
        if sdk.read(LIBRARY, MAX_SIZE).ok().as_ref() != Some(&library) {
            sdk.put_file(OsStr::new(LIBRARY), &library, 0o755)?;
        }
        // Also what needed no write: an install that was killed may have left it without.
        sdk.sync()?;
    }
    steam.sync()?;
    Ok(real.sync()?)
}

/// The library's bytes: beside SteamCMD, where Debian's SteamCMD keeps itself, or (32 bit) in the game, whose layers are
/// given.
fn find(home: &Path, steamcmd: &Path, game: &[Dir], dir: &str) -> Option<Vec<u8>> {
    let beside = steamcmd.parent().map(Path::to_owned);
    let homes = [".local/share/Steam/steamcmd", ".steam/steamcmd", "Steam"].map(|place| home.join(place));
    let mut places = beside.into_iter().chain(homes).map(|place: PathBuf| place.join(dir).join(LIBRARY));
    let layers = if dir == "linux32" { game } else { &[] };
    let in_game = || layers.iter().find_map(|layer| layer.read(Path::new("bin").join(LIBRARY), MAX_SIZE).ok());
    places.find_map(|place| fs::read(place).ok()).or_else(in_game)
}
