//! What must hold of whatever is handed to the parsers of this crate. A function breaks where a law does; `fuzz/` calls
//! them, by chance and by libFuzzer. The laws stand beside the parsers.

use names::fuzzing::Target;

use crate::account::{self, Account};
use crate::closest::closest;
use crate::embedded::fuzzing::{log_lines, proc_stat, supervisor_state};
use crate::generations::fuzzing::{layer_manifest, layers_above, versions};
use crate::spec::fuzzing::{instance_json, spec, spec_from_values};
use crate::steam::fuzzing::{app_info, manifest, steam_end, steam_lines};
use crate::supervisor::systemd::fuzzing::{journal, list_units, show};

/// The parsers of this crate.
pub const TARGETS: &[Target] = &[
    ("spec", spec),
    ("spec_from_values", spec_from_values),
    ("instance_json", instance_json),
    ("steam_lines", steam_lines),
    ("steam_end", steam_end),
    ("manifest", manifest),
    ("app_info", app_info),
    ("layer_manifest", layer_manifest),
    ("versions", versions),
    ("layers_above", layers_above),
    ("list_units", list_units),
    ("show", show),
    ("journal", journal),
    ("supervisor_state", supervisor_state),
    ("proc_stat", proc_stat),
    ("log_lines", log_lines),
    ("passwd", passwd),
    ("closest", closest_name),
];

fn closest_name(input: &[u8]) {
    let typed = String::from_utf8_lossy(input);
    let names = ["friday", "saturday", "league-1"];
    assert!(closest(&typed, names).is_none_or(|name| names.contains(&name)));
    assert!(names.into_iter().all(|name| closest(name, names) == Some(name)));
}

fn passwd(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for account in text.lines().filter_map(account::parse) {
        // To the kernel this number means "as it is": nobody would become such a user.
        assert!(account.uid != u32::MAX && account.gid != u32::MAX);
        assert!(!account.name.is_empty() && !account.name.contains(':'));
        let Account { name, uid, gid, home } = &account;
        assert_eq!(account::parse(&format!("{name}:x:{uid}:{gid}::{}:", home.display())), Some(account));
    }
}
