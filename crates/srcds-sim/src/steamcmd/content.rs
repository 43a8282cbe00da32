//! What an installation holds, as far as anything here looks at it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{APP, size};

/// The script that starts the game: like the real one it goes to its own directory, and with `-norestart` it becomes the
/// game; without, it would start it again for ever.
const SRCDS_RUN: &str = r#"#!/bin/sh
# SIMULATED srcds_run (srcds-sim)
cd "$(dirname "$0")" || exit 1
norestart=no
for arg in "$@"; do [ "$arg" = -norestart ] && norestart=yes; done
[ "$norestart" = yes ] && exec ./srcds_linux "$@"
while :; do
    ./srcds_linux "$@" && break
    echo "Server restart in 10 seconds"
    sleep 10
done
"#;

/// Lays down what one pass brings. What is there already and the same is left alone; the rest is replaced by renames, as
/// a server that runs can't have its program written to.
pub(super) fn lay_down(dir: &Path, platform: &str, build: u64) -> io::Result<()> {
    let steam_inf =
        format!("PatchVersion=2.2.4.3\nProductName=left4dead2\nappID=550\nServerAppID={APP}\nBuild={build}\n");
    for (path, content) in [
        ("left4dead2/steam.inf", steam_inf.as_str()),
        ("left4dead2/gameinfo.txt", "\"GameInfo\"\n{\n\tgame \"Left 4 Dead 2\"\n}\n"),
        ("left4dead2/motd.txt", "the installation's message of the day\n"),
        ("left4dead2/cfg/server.cfg", "// the installation's own server.cfg\nhostname \"stock\"\n"),
        ("left4dead2/cfg/config_default.cfg", "sv_cheats 0\n"),
        ("left4dead2/maps/c1m1_hotel.bsp", "VBSP simulated\n"),
        ("left4dead2/addons/readme.txt", "addons go here\n"),
        ("left4dead2/pak01_dir.vpk", "simulated\n"),
    ] {
        put(&dir.join(path), content.as_bytes(), 0o644)?;
    }
    if platform == "windows" {
        put(&dir.join("srcds.exe"), b"MZ simulated\n", 0o644)?;
    } else {
        put(&dir.join("srcds_run"), SRCDS_RUN.as_bytes(), 0o755)?;
        put(&dir.join("srcds_linux"), &fs::read("/proc/self/exe")?, 0o755)?;
        put(&dir.join("bin/steamclient.so"), b"simulated\n", 0o755)?;
    }
    put(&dir.join(format!("steamapps/appmanifest_{APP}.acf")), manifest(build).as_bytes(), 0o644)
}

fn manifest(build: u64) -> String {
    let size = size("windows") + size("linux");
    format!(
        "\"AppState\"\n{{\n\t\"appid\"\t\t\"{APP}\"\n\t\"Universe\"\t\t\"1\"\n\t\"name\"\t\t\"Left 4 Dead 2 Dedicated Server\"\n\
         \t\"StateFlags\"\t\t\"4\"\n\t\"installdir\"\t\t\"Left 4 Dead 2 Dedicated Server\"\n\t\"LastUpdated\"\t\t\"1765000000\"\n\
         \t\"SizeOnDisk\"\t\t\"{size}\"\n\t\"buildid\"\t\t\"{build}\"\n\t\"BytesToDownload\"\t\t\"{size}\"\n\
         \t\"BytesDownloaded\"\t\t\"{size}\"\n\t\"TargetBuildID\"\t\t\"{build}\"\n\t\"UpdateResult\"\t\t\"0\"\n\
         \t\"InstalledDepots\"\n\t{{\n\t\t\"222861\"\n\t\t{{\n\t\t\t\"manifest\"\t\t\"6107205500151236401\"\n\
         \t\t\t\"size\"\t\t\"{size}\"\n\t\t}}\n\t}}\n}}\n"
    )
}

/// SteamCMD's own libraries, beside itself or where `LEFT4ME_SIM_STEAM_DIR` says, and its metadata in HOME. Without a
/// place to write there are none, as with a SteamCMD that can't update itself.
pub(super) fn bring_steam_client() {
    let own = || Some(fs::canonicalize(std::env::args_os().next()?).ok()?.parent()?.to_owned());
    let dir = std::env::var_os("LEFT4ME_SIM_STEAM_DIR").map(PathBuf::from).or_else(own);
    for (name, bits) in dir.into_iter().flat_map(|dir| [(dir.join("linux32"), "32"), (dir.join("linux64"), "64")]) {
        let _ = put(&name.join("steamclient.so"), format!("simulated {bits} bit\n").as_bytes(), 0o755);
    }
    if let Some(home) = std::env::var_os("HOME") {
        let _ = put(&Path::new(&home).join("Steam/config/config.vdf"), b"simulated\n", 0o644);
    }
}

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
