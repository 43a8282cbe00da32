//! `app_info_print`: what Steam knows of the app, or knew when the cache was written.
//!
//! As with the real one the cache has the last word as long as it is there, `app_info_update 1` or not. Where it is not, what
//! is printed at first is that there is nothing, since printing waits for no answer; a login does, so that what was asked
//! for before one is there after it.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::failures::Failure;
use super::output::Output;
use super::{APP, build};

/// When the default build was made public.
const SINCE: u64 = 1_760_000_000;

/// The commands that have to do with it, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Request,
    Login,
    Print,
}

/// Runs the commands; an exit code ends all.
pub(super) fn run(steps: &[Step], failure: Option<&Failure>, out: &mut Output) -> Option<u8> {
    let (mut requested, mut known) = (false, cached());
    for step in steps {
        match step {
            Step::Request => requested = true,
            Step::Login if requested && known.is_none() => known = Some(ask()),
            Step::Login => {}
            Step::Print => {
                if let Some(code) = failure.and_then(|failure| failure.at_app_info(out)) {
                    return Some(code);
                }
                match known {
                    Some(build) if !failure.is_some_and(Failure::hides_app_info) => print(build, failure, out),
                    _ => {
                        out.line(&format!("No app info for AppID {APP} found, requesting..."));
                        out.line(&format!(
                            "AppID : {APP}, change number : 0/0, last change : Thu Jan  1 00:00:00 1970 "
                        ));
                        out.line(&format!("\"{APP}\"\n{{\n}}"));
                        // Its answer comes when nobody looks any more, and is there for the next run.
                        ask();
                    }
                }
            }
        }
    }
    None
}

/// What Steam says now, which is then in the cache.
pub(super) fn ask() -> u64 {
    let build = build();
    // Without a place to write there is no cache.
    let _ = write_cache(build);
    build
}

fn cache() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join("Steam/appcache/appinfo.vdf")
}

/// The real one is binary, and full of other apps.
fn write_cache(build: u64) -> io::Result<()> {
    let path = cache();
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, format!("{build}\n"))
}

fn cached() -> Option<u64> {
    fs::read_to_string(cache()).ok()?.trim().parse().ok()
}

fn print(build: u64, failure: Option<&Failure>, out: &mut Output) {
    out.line(&format!("AppID : {APP}, change number : {build}/0, last change : Wed Nov 26 04:00:00 2025 "));
    let updated = SINCE + build % 1_000_000;
    let depots = if failure.is_some_and(Failure::hides_depots) { String::new() } else { depots(build, updated) };
    out.line(&format!(
        "\"{APP}\"\n{{\n\t\"common\"\n\t{{\n\t\t\"name\"\t\t\"Left 4 Dead 2 Dedicated Server\"\n\t\t\"type\"\t\t\"Tool\"\n\
         \t\t\"oslist\"\t\t\"windows,linux\"\n\t\t\"gameid\"\t\t\"{APP}\"\n\t}}\n\t\"extended\"\n\t{{\n\
         \t\t\"developer\"\t\t\"Valve \\\"{{\\\" Software\"\n\t}}\n{depots}}}"
    ));
}

/// Of several branches, the public one in the middle; and a line of SteamCMD's own among them.
fn depots(build: u64, updated: u64) -> String {
    let mut depots = String::from("\t\"depots\"\n\t{\n");
    for depot in [222_860, 222_861, 222_863] {
        depots.push_str(&format!(
            "\t\t\"{depot}\"\n\t\t{{\n\t\t\t\"manifests\"\n\t\t\t{{\n\t\t\t\t\"public\"\n\t\t\t\t{{\n\
             \t\t\t\t\t\"gid\"\t\t\"6107205500151236401\"\n\t\t\t\t\t\"size\"\t\t\"{depot}\"\n\t\t\t\t}}\n\t\t\t}}\n\t\t}}\n"
        ));
    }
    depots.push_str("\t\t\"branches\"\n\t\t{\n");
    for (branch, build, updated) in [("staging", build + 7, updated + 7), ("public", build, updated), ("old", 1, 2)] {
        depots.push_str(&format!(
            "\t\t\t\"{branch}\"\n\t\t\t{{\n\t\t\t\t\"buildid\"\t\t\"{build}\"\n\
             IPC function call IClientUtils::GetSteamRealm took too long: 52 msec\n\
             \t\t\t\t\"timeupdated\"\t\t\"{updated}\"\n\t\t\t}}\n"
        ));
    }
    depots.push_str("\t\t}\n\t\t\"privatebranches\"\t\t\"1\"\n\t}\n");
    depots
}
