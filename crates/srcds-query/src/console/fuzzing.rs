//! What must hold of whatever is read as a reply of the console.

pub(crate) use super::status::fuzzing::status;
use super::{Stats, command_names};

pub(crate) fn stats(input: &[u8]) {
    let Some(stats) = Stats::parse(input) else { return };
    let decimals = [stats.cpu, stats.in_kb, stats.out_kb, stats.fps];
    assert!(decimals.into_iter().flatten().all(f64::is_finite), "{stats:?}");
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
    let whole = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
    let minutes = stats.uptime.map_or("-".to_owned(), |uptime| (uptime.as_secs() / 60).to_string());
    let again = format!(
        "CPU In_(KB/s) Out_(KB/s) Uptime Map_changes FPS Players Connects\n{} {} {} {minutes} {} {} {} {}\n",
        shown(stats.cpu),
        shown(stats.in_kb),
        shown(stats.out_kb),
        whole(stats.map_changes),
        shown(stats.fps),
        whole(stats.players),
        whole(stats.connects),
    );
    assert_eq!(Stats::parse(again), Some(stats));
}

pub(crate) fn cvarlist(input: &[u8]) {
    let names = command_names(input);
    assert!(names.is_sorted() && names.iter().all(|name| !name.is_empty() && name.len() <= 64));
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"';\\".contains(&byte))));
    let again: String = names.iter().map(|name| format!("{name:40} : cmd      : : what it is for\n")).collect();
    assert_eq!(command_names(again), names);
}
