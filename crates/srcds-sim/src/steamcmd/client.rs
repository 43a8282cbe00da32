//! What SteamCMD keeps for itself.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Its own libraries, beside itself or where `LEFT4ME_SIM_STEAM_DIR` says, and its metadata in HOME. Without a place to
/// write there are none, as with a SteamCMD that can't update itself.
pub(super) fn bring() {
    let own = || Some(fs::canonicalize(std::env::args_os().next()?).ok()?.parent()?.to_owned());
    let dir = std::env::var_os("LEFT4ME_SIM_STEAM_DIR").map(PathBuf::from).or_else(own);
    for (name, bits) in dir.into_iter().flat_map(|dir| [(dir.join("linux32"), "32"), (dir.join("linux64"), "64")]) {
        let _ = put(&name.join("steamclient.so"), format!("simulated {bits} bit\n").as_bytes(), 0o755);
    }
    if let Some(home) = std::env::var_os("HOME") {
        let _ = put(&Path::new(&home).join("Steam/config/config.vdf"), b"simulated\n", 0o644);
    }
}

/// What is there and the same is left alone; the rest is replaced by a rename.
fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension("sim-new");
    fs::write(&temporary, content)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(mode))?;
    fs::rename(&temporary, path)
}
