//! What a host holds at one moment, when nothing but the steady instance is left, and what may have grown between two.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::machine::Machine;

/// The instance that runs the whole time.
pub(super) const STEADY: &str = "steady";

/// Numbers by name, and lists of things that are ours.
#[derive(Debug, Default)]
pub(super) struct Measure {
    pub(super) numbers: BTreeMap<String, u64>,
    things: BTreeSet<String>,
}

/// Prints `number NAME VALUE` and `thing NAME`. The processes that measure are not counted: their session began outside of
/// the container. Zombies are: systemd reaps every orphan, so one that stays was left by its own parent.
const SCRIPT: &str = r#"
number() { echo "number $1 $2"; }
fds() { number "descriptors of $1" "$(ls /proc/$2/fd | wc -l)"; }
rss() { number "resident KiB of $1" "$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$2/status)"; }
journald=$(pgrep -xo systemd-journal); dbus=$(pgrep -xo dbus-daemon)
number "mounts" "$(wc -l < /proc/1/mountinfo)"
number "zombies" "$(grep -hs '^State:.Z' /proc/[0-9]*/status | wc -l)"
number "processes" "$(ps -e -o sid= | grep -vcx ' *0')"
number "loaded units" "$(systemctl list-units --all --plain --no-legend | wc -l)"
for who in "PID 1:1" "journald:$journald" "dbus:$dbus"; do fds "${who%:*}" "${who#*:}"; rss "${who%:*}" "${who#*:}"; done
supervisor=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' /var/lib/left4me/runtime/steady/supervisor.json 2>/dev/null)
if [ -n "$supervisor" ]; then fds "a supervisor" "$supervisor"; rss "a supervisor" "$supervisor"; fi
number "cgroups" "$(find /sys/fs/cgroup -type d -path '*left4me*' | wc -l)"
grep ' left4me-' /proc/1/mountinfo | sed 's/.* overlay \(left4me-[^ ]*\) .*/thing mount \1/'
ps -e -o user=,comm= | grep -E '^left4me|left4me-|l4d2ctl|srcds' | sed 's/^/thing process /'
systemctl list-units --all --plain --no-legend 'left4me-server@*' | sed 's/^\([^ ]*\).*/thing unit \1/'
find /run /etc/systemd /tmp /var/tmp /sys/fs/cgroup -name '*left4me-server@*' -not -name 'invocation:*steady*' 2>/dev/null | sed 's/^/thing file /'
find /var/lib/left4me /run/left4me -path '*/steady/upper/*' -prune -o -path '*/steady/merged/*' -prune -o -path '*/steady/log/*' -prune -o -print 2>/dev/null | sed 's/^/thing file /'
"#;

/// Measures a host that is at rest.
pub(super) fn measure(machine: &mut dyn Machine) -> Result<Measure> {
    let mut measure = Measure::default();
    for line in machine.ok(SCRIPT)?.lines() {
        if let Some(thing) = line.strip_prefix("thing ") {
            measure.things.insert(thing.split_whitespace().collect::<Vec<_>>().join(" "));
        } else if let Some((name, value)) = line.strip_prefix("number ").and_then(|line| line.rsplit_once(' ')) {
            let value = value.parse().with_context(|| format!("{name} is {value:?}"))?;
            measure.numbers.insert(name.to_owned(), value);
        }
    }
    Ok(measure)
}

/// How much more of something there may be at the end than at the beginning: nothing, but for what others than left4me
/// come and go with.
fn allowance(name: &str, begin: u64) -> u64 {
    match name {
        // Timers and sessions of the system's own.
        "processes" | "loaded units" => 4,
        _ if name.starts_with("descriptors of a supervisor") => 0,
        // What journald and dbus have open depends on their clients of the moment.
        _ if name.starts_with("descriptors") => 8,
        _ if name.starts_with("resident KiB of a supervisor") => 128,
        // malloc's caches: a leak of 1 KiB a cycle would be 1000 KiB.
        _ if name.starts_with("resident") => 512 + begin / 10,
        _ => 0,
    }
}

/// What leaked between two moments.
pub(super) fn leaks(begin: &Measure, end: &Measure) -> Vec<String> {
    let grown = begin.numbers.iter().filter_map(|(name, &before)| {
        let after = *end.numbers.get(name)?;
        (after > before + allowance(name, before)).then(|| format!("{name}: {before}, then {after}"))
    });
    let missing = begin.numbers.keys().filter(|name| !end.numbers.contains_key(*name));
    // A name that was used keeps its lock file.
    let is_lock = |thing: &&String| thing.contains("/locks/") || thing.contains("/.locks/");
    let left = end.things.difference(&begin.things).filter(|thing| !is_lock(thing));
    let gone = begin.things.difference(&end.things);
    grown
        .chain(missing.map(|name| format!("{name} could not be measured again")))
        .chain(left.map(|thing| format!("left: {thing}")))
        .chain(gone.map(|thing| format!("gone: {thing}")))
        .collect()
}

/// A steady instance, and nothing else of ours.
pub(super) fn is_at_rest(measure: &Measure) -> Vec<String> {
    let of = |kind: &str| measure.things.iter().filter(|thing| thing.starts_with(kind)).collect::<Vec<_>>();
    let strangers = ["mount ", "unit "].into_iter().flat_map(of).filter(|thing| !thing.contains(STEADY));
    strangers.map(|thing| format!("left: {thing}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[(&str, u64)], things: &[&str]) -> Measure {
        Measure {
            numbers: numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            things: things.iter().map(|thing| (*thing).to_owned()).collect(),
        }
    }

    #[test]
    fn one_more_of_ours_is_a_leak() {
        let begin = of(&[("mounts", 30), ("resident KiB of PID 1", 5000)], &["unit left4me-server@steady.service"]);
        assert!(leaks(&begin, &begin).is_empty());
        for (number, value) in [("mounts", 31), ("resident KiB of PID 1", 6100)] {
            let mut end =
                of(&[("mounts", 30), ("resident KiB of PID 1", 5900)], &["unit left4me-server@steady.service"]);
            assert!(leaks(&begin, &end).is_empty());
            end.numbers.insert(number.to_owned(), value);
            assert_eq!(leaks(&begin, &end).len(), 1);
            end.numbers.remove(number);
            assert_eq!(leaks(&begin, &end).len(), 1);
        }
        let mut end = of(&[("mounts", 30), ("resident KiB of PID 1", 5000)], &["file /var/lib/left4me/locks/s1.lock"]);
        assert_eq!(leaks(&begin, &end), ["gone: unit left4me-server@steady.service"]);
        end.things.insert("unit left4me-server@s1.service".to_owned());
        assert_eq!(leaks(&begin, &end).len(), 2);
        assert_eq!(is_at_rest(&end).len(), 1);
    }
}
