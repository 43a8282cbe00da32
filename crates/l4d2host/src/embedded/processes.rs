//! What the processes of an instance use. No control group is theirs alone, so `/proc` is read, once for all instances.
//!
//! A supervisor is PID 1 of a namespace, so everything that its game starts stays below it in the tree of processes.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::Dir;

use crate::usage::{open_kernel_dir, read_kernel_file};
use crate::{Error, Result, Usage};

/// Ticks in a second, in which proc(5) counts on every architecture of ours (`USER_HZ`).
const TICKS: u32 = 100;

/// Room for a `stat` file.
const ROOM: usize = 1024;

/// What is used of one process' `stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) parent: u32,
    /// Ticks of processor time: its own, and that of its children which ended.
    own: u64,
    ended: u64,
    pub(super) threads: u64,
    /// Pages.
    resident: u64,
}

/// All processes that can be seen, as they were one after the other.
pub(super) struct Processes {
    proc: OwnedFd,
    found: BTreeMap<u32, Process>,
    children: BTreeMap<u32, Vec<u32>>,
}

impl Processes {
    pub(super) fn read() -> Result<Self> {
        let failed = |errno: rustix::io::Errno| Error::io("can't read /proc", errno.into());
        let proc = open_kernel_dir("/proc").map_err(failed)?;
        let mut found = BTreeMap::new();
        for entry in Dir::read_from(&proc).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A process that ends meanwhile is none.
            if let Some(pid) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok())
                && let Some(process) = read(&proc, pid)
            {
                found.insert(pid, process);
            }
        }
        Ok(Self { proc, children: children(&found), found })
    }

    /// What the tree below, and with, this process uses; none if it is gone.
    pub(super) fn usage(&self, pid: u32) -> Option<Usage> {
        self.found.get(&pid)?;
        let tree = tree(&self.children, pid);
        let processes: Vec<&Process> = tree.iter().filter_map(|pid| self.found.get(pid)).collect();
        let sum =
            |of: fn(&Process) -> u64| processes.iter().fold(0_u64, |sum, process| sum.saturating_add(of(process)));
        let page = u64::try_from(rustix::param::page_size()).unwrap_or_default();
        // One that ended between two looks would be counted twice or not at all, and who computes a rate would take a
        // total that shrinks for one that began anew.
        let none_ended = tree.iter().filter(|pid| self.children.contains_key(pid)).all(|pid| {
            let ended = |process: Option<&Process>| process.map(|process| process.ended);
            ended(read(&self.proc, *pid).as_ref()) == ended(self.found.get(pid))
        });
        let ticks = sum(|process| process.own.saturating_add(process.ended));
        Some(Usage {
            cpu: none_ended.then(|| Duration::from_millis(ticks.saturating_mul(u64::from(1000 / TICKS)))),
            memory: Some(sum(|process| process.resident).saturating_mul(page)),
            tasks: Some(sum(|process| process.threads)),
        })
    }
}

fn read(proc: impl AsFd, pid: u32) -> Option<Process> {
    let mut room = [0; ROOM];
    parse(read_kernel_file(proc, &format!("{pid}/stat"), &mut room).ok()?)
}

/// The second field is the program's name, which may hold anything, so counting begins after its last ")", with field 3.
pub(super) fn parse(stat: &[u8]) -> Option<Process> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(field(4)?).ok()?,
        own: field(14)?.checked_add(field(15)?)?,
        ended: field(16)?.checked_add(field(17)?)?,
        threads: field(20)?,
        resident: field(24)?,
    })
}

fn children(found: &BTreeMap<u32, Process>) -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, process) in found {
        children.entry(process.parent).or_default().push(*pid);
    }
    children
}

/// The process and all below it. Each once: they were not read at one moment, and a number may have changed hands, which
/// could close a circle.
fn tree(children: &BTreeMap<u32, Vec<u32>>, root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut seen = std::collections::BTreeSet::from([root]);
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        let below = children.get(pid).into_iter().flatten().copied();
        let new: Vec<u32> = below.filter(|child| seen.insert(*child)).collect();
        tree.extend(new);
        next += 1;
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &[u8] = b"812 (a) \xff (c) S 7 812 812 0 -1 4194560 100 0 0 0 250 50 30 20 15 -5 6 0 987654 1000 512 0";

    #[test]
    fn a_process_whatever_it_is_called() {
        let process = Process { parent: 7, own: 300, ended: 50, threads: 6, resident: 512 };
        assert_eq!(parse(STAT), Some(process));
        for end in 0..STAT.len() - 6 {
            assert_eq!(parse(&STAT[..end]), None, "{end}");
        }
        assert_eq!(parse(b"1 (a) S 1 1 1 0 -1 0 0 0 0 0 -1 50 30 20 15 -5 6 0 1 1 1 0"), None);
    }

    #[test]
    fn a_tree_has_each_of_its_processes_once() {
        let process = |parent| Process { parent, own: 1, ended: 0, threads: 1, resident: 1 };
        // 5 and 6 are each other's children.
        let found = [(1, 0), (2, 1), (3, 2), (4, 1), (5, 6), (6, 5)].map(|(pid, parent)| (pid, process(parent)));
        let children = children(&BTreeMap::from(found));
        assert_eq!(tree(&children, 2), [2, 3]);
        assert_eq!(tree(&children, 1), [1, 2, 4, 3]);
        assert_eq!(tree(&children, 5), [5, 6]);
        assert_eq!(tree(&children, 9), [9]);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Processes::read().unwrap().usage(std::process::id()).unwrap();
        assert!(usage.memory.unwrap() > 4096 && usage.tasks.unwrap() >= 1, "{usage:?}");
        assert_eq!(Processes::read().unwrap().usage(u32::MAX), None);
    }
}
