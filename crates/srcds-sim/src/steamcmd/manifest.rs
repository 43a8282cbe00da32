//! What Steam writes down of an installation.

use super::{APP, size};

pub(super) const PATH: &str = "steamapps/appmanifest_222860.acf";

pub(super) fn text(build: u64) -> String {
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
