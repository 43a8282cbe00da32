//! What a unit uses, from the files of its control group. Everybody may read them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::str::FromStr;
use std::time::Duration;

use names::InstanceName;

use crate::usage::{Waited, open_kernel_dir, read_kernel_file};
use crate::{Pressure, Usage};

/// The control group of the slice that the unit names: `-` in a slice's name means "below". Of a unit that a drop-in has
/// moved to another slice nothing is known here.
const SLICE: &str = "/sys/fs/cgroup/left4me.slice/left4me-game.slice";

/// Room for any of the files; cpu.stat is the longest, with some 400 bytes.
const ROOM: usize = 4096;

/// What `of` says of the control group of each unit that has one, that is of those that run.
pub(super) fn of_each<T>(names: &[InstanceName], of: fn(&Group) -> Option<T>) -> BTreeMap<InstanceName, T> {
    // Not there before the first server runs.
    let Ok(slice) = open_kernel_dir(SLICE) else { return BTreeMap::new() };
    let one = |name: &InstanceName| Some((name.clone(), of(&Group { slice: slice.as_fd(), unit: name.unit() })?));
    names.iter().filter_map(one).collect()
}

/// One unit's control group.
pub(super) struct Group<'a> {
    slice: BorrowedFd<'a>,
    unit: String,
}

impl Group<'_> {
    /// What a file says. One that is missing (its controller is off) or can't be read (the kernel was told not to count
    /// pressure) is a value that is not known.
    fn read<T>(&self, file: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let mut room = [0; ROOM];
        let bytes = read_kernel_file(self.slice, &format!("{}/{file}", self.unit), &mut room).ok()?;
        parse(std::str::from_utf8(bytes).ok()?)
    }
}

pub(super) fn usage(group: &Group) -> Option<Usage> {
    // Every group has this file, whatever is counted.
    let cpu = group.read("cpu.stat", |text| Some(cpu(text)))?;
    Some(Usage { cpu, memory: group.read("memory.current", number), tasks: group.read("pids.current", number) })
}

pub(super) fn pressure(group: &Group) -> Option<Pressure> {
    let waited = |file| group.read(file, waited);
    let pressure =
        Pressure { cpu: waited("cpu.pressure"), memory: waited("memory.pressure"), io: waited("io.pressure") };
    (pressure != Pressure::default()).then_some(pressure)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.trim_end().parse().ok()
}

/// `usage_usec 1234`, in any line.
fn cpu(stat: &str) -> Option<Duration> {
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    number(micros).map(Duration::from_micros)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`, and the same for `full`.
fn waited(text: &str) -> Option<Waited> {
    let total = |kind: &str| {
        let mut words =
            text.lines().map(str::split_ascii_whitespace).find(|words| words.clone().next() == Some(kind))?;
        number(words.find_map(|word| word.strip_prefix("total="))?).map(Duration::from_micros)
    };
    Some(Waited { some: total("some")?, full: total("full") })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const STAT: &str = "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnice_usec 0\n\
        core_sched.force_idle_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n";
    const IO: &str =
        "some avg10=0.00 avg60=0.12 avg300=0.05 total=5250\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=42\n";

    #[test]
    fn the_files_of_a_control_group() {
        assert_eq!(cpu(STAT), Some(Duration::from_micros(1_234_567)));
        let micros = Duration::from_micros;
        assert_eq!(waited(IO), Some(Waited { some: micros(5250), full: Some(micros(42)) }));
        // Before Linux 5.13 cpu.pressure had no second line.
        let (some, _) = IO.split_once('\n').unwrap();
        assert_eq!(waited(some), Some(Waited { some: micros(5250), full: None }));
        for odd in
            ["", "\n", "usage_usec", "usage_usec -1", "usage_usec 99999999999999999999", "some total=", "full total=1"]
        {
            assert_eq!((cpu(odd), waited(odd), number::<u64>(odd)), (None, None, None), "{odd}");
        }
    }

    #[test]
    fn what_is_not_counted_is_not_known_and_a_unit_without_a_group_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let slice = open_kernel_dir(dir.path()).unwrap();
        let group = Group { slice: slice.as_fd(), unit: "left4me-server@a.service".to_owned() };
        assert_eq!((usage(&group), pressure(&group)), (None, None));
        let put = |file: &str, text: &str| fs::write(dir.path().join(&group.unit).join(file), text).unwrap();
        fs::create_dir(dir.path().join(&group.unit)).unwrap();
        put("cpu.stat", STAT);
        let cpu = Some(Duration::from_micros(1_234_567));
        assert_eq!((usage(&group), pressure(&group)), (Some(Usage { cpu, memory: None, tasks: None }), None));
        put("memory.current", "4096\n");
        put("pids.current", "7\n");
        put("io.pressure", IO);
        assert_eq!(usage(&group), Some(Usage { cpu, memory: Some(4096), tasks: Some(7) }));
        assert_eq!(pressure(&group), Some(Pressure { io: waited(IO), ..Pressure::default() }));
    }

    #[test]
    fn the_unit_is_where_it_is_looked_for() {
        let unit = include_str!("../../../../../dist/systemd/system/left4me-server@.service");
        let slice = unit.lines().find_map(|line| line.strip_prefix("Slice=")).unwrap();
        // systemd.slice(5): `a-b.slice` lies in `a.slice`.
        assert_eq!((slice, SLICE), ("left4me-game.slice", "/sys/fs/cgroup/left4me.slice/left4me-game.slice"));
    }
}
