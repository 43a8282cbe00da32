//! The locks that commands exclude each other with: one file a lock below `locks/`, and one way of taking it.
//!
//! **What each guarantees.** Whoever has an *instance* is alone in changing its files and in telling the supervisor to
//! start or stop it. Whoever has the *rollout* is alone in moving instances from one build of the game to another, for as
//! long as players take to leave. Whoever has the *ports* is alone in deciding which instance gets which. Whoever has the
//! *generations* is alone in bringing and removing builds of the game, for as long as SteamCMD takes. The *installation* is
//! shared by starts, from before they ask which version is the current one until the server runs; whoever changes what that
//! is, or decides what is no longer needed, has it alone: it asks what runs only when it has it, so no start can come in
//! between. Stop, reset and delete need it not: they read no layer, and can only make less run than was seen. Nobody who
//! only looks takes any.
//!
//! **Order.** Rollout, then an instance, then ports (`initialize`), or generations and then installation; nobody takes an
//! instance while holding ports, generations or the installation, and nobody holds two instances. So each waits only for
//! what comes later, and no circle can close. ([`Lock`] is in that order.)
//!
//! **They die with their holder.** They are `flock`s, which the kernel drops with the last descriptor of the opened file.
//! Ours are close-on-exec. One is handed on on purpose: the helper that starts or stops an instance has the instance's lock
//! as its stdin ([`Held::for_child`]), so that one whose l4d2ctl was killed still keeps others out until it is done.
//!
//! **The files stay**, empty, one for each name that ever was. Who removed one would let the next in beside somebody that
//! waits for, or holds, the file without a name. The service user owns them and could remove them by hand, as it could
//! everything else that they guard; root's helpers do not count on them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use names::InstanceName;
use overlay::beneath::Dir;
use overlay::mountinfo;
use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::embedded::start_time;
use crate::{Error, ErrorKind, Result};

/// What there is to lock, in the order of taking.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lock<'a> {
    /// Moving instances to another version.
    Rollout,
    /// All changes of one instance.
    Instance(&'a InstanceName),
    /// Which ports are taken.
    Ports,
    /// Bringing and removing builds of the game.
    Generations,
    /// Which version is current, by one who changes it.
    Installation,
    /// The same, by one of many who count on its staying as it is.
    InstallationShared,
}

impl Lock<'_> {
    /// Names begin with no dot, so no instance has another's file.
    fn file(self) -> String {
        match self {
            Self::Instance(name) => format!("{name}.lock"),
            Self::Rollout => ".rollout".to_owned(),
            Self::Ports => ".host".to_owned(),
            Self::Generations => ".generations".to_owned(),
            Self::Installation | Self::InstallationShared => ".installation".to_owned(),
        }
    }

    fn what(self) -> String {
        match self {
            Self::Instance(name) => format!("instance {name}"),
            Self::Rollout => "the rollout".to_owned(),
            Self::Ports => "the list of ports".to_owned(),
            Self::Generations => "the list of builds".to_owned(),
            Self::Installation | Self::InstallationShared => "the installation".to_owned(),
        }
    }

    fn is_shared(self) -> bool {
        matches!(self, Self::InstallationShared)
    }
}

/// A lock that is held, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Held(File);

impl Held {
    /// The lock as a child's stdin: it is then held until the child has ended, too. It must be the stdin since sudo closes
    /// all but the standard streams; there is nothing to read in it.
    pub(crate) fn for_child(&self) -> Result<Stdio> {
        self.0.try_clone().map(Stdio::from).map_err(|e| Error::io("can't hand on a lock", e))
    }
}

/// Takes a lock, waiting for it as long as `limit`; whom it waits for is told to `tell` first.
pub(crate) fn take(root: &Dir, lock: Lock<'_>, limit: Duration, tell: &mut dyn FnMut(&str)) -> Result<Held> {
    let locks = root.open_dir("locks")?;
    let file = locks.open_or_create(lock.file(), 0o600)?;
    let failed = |e| Error::io(format!("can't lock {}", locks.label_of(lock.file())), e);
    let tried = if lock.is_shared() { file.try_lock_shared() } else { file.try_lock() };
    match tried {
        Ok(()) => return Ok(Held(file)),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    if !limit.is_zero() {
        tell(&format!("waiting for {}, held by {}", lock.what(), holders(&file)));
        if let Some(held) = wait(&file, lock.is_shared(), limit).map_err(failed)? {
            return Ok(held);
        }
    }
    let still = if limit.is_zero() { String::new() } else { format!(" after {} s", limit.as_secs()) };
    let message = format!("{} is held{still} by {}", lock.what(), holders(&file));
    Err(Error::new(ErrorKind::Timeout, message)
        .hint("nothing was changed: try again, or wait longer with `--lock-timeout SECONDS`"))
}

/// Who has a lock, for people; none where nobody has it that can be seen from here. Asks only: who is about to take it finds
/// it free.
pub(crate) fn holder(root: &Dir, lock: Lock<'_>) -> Result<Option<String>> {
    let file = match root.open_file(format!("locks/{}", lock.file())) {
        Ok(file) => file,
        // Nobody ever had it.
        Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(if pids(&file).is_empty() { None } else { Some(holders(&file)) })
}

/// Whether anybody has a lock, seen from here or not: a helper whose l4d2ctl was killed is in no list. It is taken for a
/// moment to find out, and who comes in just that moment waits for it.
pub(crate) fn is_held(root: &Dir, lock: Lock<'_>) -> Result<bool> {
    let file = match root.open_file(format!("locks/{}", lock.file())) {
        Ok(file) => file,
        Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io(format!("can't look at the lock of {}", lock.what()), error)),
    }
}

/// Waits in the kernel's queue; none when the time is over.
///
/// The call that waits there has no time limit, so a thread makes it. Alternatives, and why not: a timer's signal is the
/// whole process' and can come just before the call; the holder's end (a pidfd) is not the end of its holding; a closed
/// file is told by inotify before the lock is dropped; trying again and again is late or busy. A thread that is given up on
/// ends when it gets the lock, and lets go of it at once.
///
/// Signals are left as they are: Ctrl-C and SIGTERM end a command that waits at once, as the signal that they are, and it
/// has changed nothing.
fn wait(file: &File, shared: bool, limit: Duration) -> io::Result<Option<Held>> {
    let file = file.try_clone()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("lock".to_owned()).spawn(move || {
        let answer = loop {
            match if shared { file.lock_shared() } else { file.lock() } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => break answer.map(|()| Held(file)),
            }
        };
        // Where nobody waits any more, this drops it.
        let _ = sender.send(answer);
    })?;
    match receiver.recv_timeout(limit) {
        Ok(answer) => answer.map(Some),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that waited is gone")),
    }
}

/// Who holds the lock of a file, for people. The kernel is asked: what a holder wrote down could be another's.
fn holders(file: &File) -> String {
    match pids(file).as_slice() {
        // Already gone, in another container, or a helper whose l4d2ctl was killed.
        [] => "a process that can't be seen from here".to_owned(),
        [pid] => process(*pid),
        [pid, more @ ..] => format!("{} and {} more", process(*pid), more.len()),
    }
}

fn pids(file: &File) -> Vec<u32> {
    let pids = device_and_inode(file).map(|(device, inode)| {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        parse_locks(&locks, device, inode)
    });
    pids.unwrap_or_default()
}

/// As /proc/locks has them: it names the file system's own device, which fstat does not on overlayfs and btrfs.
fn device_and_inode(file: &File) -> Option<((u32, u32), u64)> {
    let mount = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?.stx_mnt_id;
    let text = fs::read("/proc/self/mountinfo").ok()?;
    let device = mountinfo::parse(&text).find(|entry| entry.id == mount)?.device;
    Some((device, file.metadata().ok()?.ino()))
}

/// The processes that hold an flock on an inode (proc_locks(5)). Those that wait have an arrow before the kind.
fn parse_locks(text: &str, (major, minor): (u32, u32), inode: u64) -> Vec<u32> {
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    let holder = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, of, ..] = fields[..] else { return None };
        (of == file).then(|| pid.parse().ok())?
    };
    text.lines().filter_map(holder).collect()
}

/// A process, by what it was called with and for how long it has run.
fn process(pid: u32) -> String {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = command(&arguments);
    let command = if command.is_empty() { String::new() } else { format!("`{command}` ") };
    /// In which proc(5) counts, on every architecture of ours (`USER_HZ`).
    const TICKS: u64 = 100;
    let now = u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or_default();
    let age = start_time(pid).map(|ticks| format!(", running for {} s", now.saturating_sub(ticks / TICKS)));
    format!("{command}(process {pid}{})", age.unwrap_or_default())
}

/// A command line as somebody would have typed it, or its beginning.
fn command(arguments: &[u8]) -> String {
    const LENGTH: usize = 80;
    let text = String::from_utf8_lossy(arguments);
    let mut words = text.trim_end_matches('\0').split('\0');
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or(program);
    let line = std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(LENGTH).collect();
    if cut.len() < line.len() { cut + "..." } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_told_from_those_who_wait_and_from_other_locks() {
        let text = "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF\n\
            2: FLOCK  ADVISORY  READ 12 fe:00:77 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF\n\
            3: FLOCK  ADVISORY  READ 14 fe:00:77 0 EOF\n\
            4: FLOCK  ADVISORY  WRITE 15 fe:01:77 0 EOF\n\
            5: FLOCK  ADVISORY  WRITE 16 fe:00:7 0 EOF\nhalf a line\n";
        assert_eq!(parse_locks(text, (0xfe, 0), 77), [12, 14]);
        assert_eq!(parse_locks("", (0, 0), 1), [0_u32; 0]);
    }

    #[test]
    fn a_command_line_as_it_was_typed() {
        assert_eq!(command(b"/usr/local/bin/l4d2ctl\0reset\0friday\0"), "l4d2ctl reset friday");
        assert_eq!(command(b""), "");
        assert_eq!(command("x".repeat(100).as_bytes()), format!("{}...", "x".repeat(80)));
    }

    #[test]
    fn who_waits_too_long_is_told_who_holds_it_and_never_holds_it_later() {
        let dir = tempfile::tempdir().unwrap();
        let root = Dir::open_root(&dir.path().canonicalize().unwrap()).unwrap();
        root.make_dir("locks", 0o755).unwrap();
        let name: InstanceName = "a".parse().unwrap();
        let mut told = Vec::new();
        let mut take = |limit| take(&root, Lock::Instance(&name), limit, &mut |text| told.push(text.to_owned()));
        let held = take(Duration::ZERO).unwrap();
        let at_once = take(Duration::ZERO).unwrap_err();
        let late = take(Duration::from_millis(20)).unwrap_err();
        drop(held);
        // The thread that was given up on is in the queue, too: it lets go at once.
        let _held = take(Duration::from_secs(30)).unwrap();
        let own = format!("(process {}, running for ", std::process::id());
        for (error, words) in [(&at_once, "instance a is held by `"), (&late, "instance a is held after 0 s by `")] {
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.to_string().starts_with(words) && error.to_string().contains(&own), "{error}");
        }
        assert!(told[0].starts_with("waiting for instance a, held by `") && told[0].contains(&own), "{told:?}");
    }

    #[test]
    fn starts_share_the_installation_and_an_install_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = Dir::open_root(&dir.path().canonicalize().unwrap()).unwrap();
        root.make_dir("locks", 0o755).unwrap();
        let take = |lock| take(&root, lock, Duration::ZERO, &mut |_| {});
        let starts = [take(Lock::InstallationShared).unwrap(), take(Lock::InstallationShared).unwrap()];
        let refused = take(Lock::Installation).unwrap_err();
        assert!(refused.to_string().ends_with(" and 1 more"), "{refused}");
        drop(starts);
        let _install = take(Lock::Installation).unwrap();
        take(Lock::InstallationShared).unwrap_err();
    }
}
