//! Whether what lies on the disk is a whole game: success is not what SteamCMD says, but what is there.

use overlay::beneath::Dir;

use super::{APP, manifest};
use crate::{Error, ErrorKind};

/// What SteamCMD's own manifest says of a whole game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) build_id: u64,
    pub(super) size_on_disk: u64,
}

pub(super) fn not_whole(why: &str) -> Error {
    Error::new(ErrorKind::SteamcmdFailed, format!("SteamCMD said success, but {why}"))
        .hint("`l4d2ctl install` tries again")
}

/// The build of a game in these layers, highest precedence first, or why it is not whole; none where SteamCMD has left no
/// manifest.
pub(crate) fn installed_build(layers: &[Dir]) -> Option<std::result::Result<u64, String>> {
    let is_there = layers.iter().any(|layer| layer.exists(manifest::PATH).unwrap_or(false));
    is_there.then(|| check(layers).map(|installed| installed.build_id))
}

/// Whether what lies in these layers is a whole game, or why not. SteamCMD has said so of things that were none.
pub(super) fn check(layers: &[Dir]) -> std::result::Result<Build, String> {
    let in_layers = |path: &str| layers.iter().find(|layer| layer.exists(path).unwrap_or(false));
    let missing = || format!("{} is missing", manifest::PATH);
    let layer = in_layers(manifest::PATH).ok_or_else(missing)?;
    let bytes = layer.read(manifest::PATH, manifest::MAX_SIZE).map_err(|error| error.to_string())?;
    let build = check_manifest(&bytes, &layer.label_of(manifest::PATH))?;
    let label = |path: &str| layers.last().map_or_else(|| path.to_owned(), |lowest| lowest.label_of(path));
    let is_there = [
        ("srcds_run", in_layers("srcds_run").is_some_and(|layer| layer.open_file("srcds_run").is_ok())),
        ("bin", in_layers("bin").is_some_and(|layer| layer.open_dir("bin").is_ok())),
    ];
    check_programs(is_there, label)?;
    Ok(build)
}

pub(super) fn check_programs(
    is_there: [(&str, bool); 2],
    label: impl Fn(&str) -> String,
) -> std::result::Result<(), String> {
    match is_there.into_iter().find(|(_, is_there)| !is_there) {
        Some((path, _)) => Err(format!("{} is missing: are only the Windows files there?", label(path))),
        None => Ok(()),
    }
}

pub(super) fn check_manifest(bytes: &[u8], label: &str) -> std::result::Result<Build, String> {
    let manifest = manifest::parse(&String::from_utf8_lossy(bytes)).ok_or_else(|| format!("{label} can't be read"))?;
    let value = |key: &str| manifest.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    if manifest.get("appid").map(String::as_str) != Some(APP) {
        return Err(format!("the manifest is not of app {APP}"));
    }
    // StateFlags is a set of bits; 4 alone means installed and nothing left to do.
    if value("stateflags") != 4 || value("buildid") == 0 {
        return Err(format!("the manifest says StateFlags {}, build {}", value("stateflags"), value("buildid")));
    }
    Ok(Build { build_id: value("buildid"), size_on_disk: value("sizeondisk") })
}
