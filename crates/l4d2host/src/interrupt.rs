//! Ctrl-C, SIGTERM and a terminal that went away, while something is waited for that none of them reaches, or that has to
//! be put in order before the end.

use std::fs;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{Error, ErrorKind, Result};

/// What was waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// There is something to be read.
    pub(crate) readable: bool,
    /// There is nothing to be read, and nobody who could write. Of a pty the kernel says this for good and at once, so who
    /// goes on asking spins.
    pub(crate) hung_up: bool,
    /// The process has ended.
    pub(crate) ended: bool,
}

/// Nobody watches any more: signals do again what they did before.
static UNWATCHED: AtomicBool = AtomicBool::new(false);

/// How many watch; none before the first has begun.
static WATCHERS: Mutex<Option<usize>> = Mutex::new(None);

fn watchers() -> MutexGuard<'static, Option<usize>> {
    WATCHERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something to wait for together with everything else.
#[derive(Debug)]
pub(crate) struct Interrupted {
    flag: Arc<AtomicBool>,
    wake: UnixStream,
    handlers: Vec<signal_hook::SigId>,
    /// What to tell whoever interrupts: what came of it, and what to do next.
    told: (String, String),
}

impl Interrupted {
    /// Handles the signals until the value is dropped. An interruption is then an error with this message and hint.
    pub(crate) fn watch(message: impl Into<String>, hint: impl Into<String>) -> Result<Self> {
        let failed = |e| Error::io("can't handle signals", e);
        let (wake, write) = UnixStream::pair().map_err(failed)?;
        let told = (message.into(), hint.into());
        // nohup(1) asks not to be hung up on.
        let hangup = (!is_in_mask("SigIgn:", SIGHUP)).then_some(SIGHUP);
        let signals = [SIGINT, SIGTERM].into_iter().chain(hangup);
        let mut count = watchers();
        if count.is_none() {
            // signal-hook's own handler stays with nothing to do, and who takes a signal and does nothing ignores it. A signal
            // that somebody else handles is left to him.
            for signal in signals.clone().filter(|&signal| !is_in_mask("SigCgt:", signal)) {
                signal_hook::flag::register_conditional_default(signal, &UNWATCHED).map_err(failed)?;
            }
        }
        *count = Some(count.unwrap_or(0) + 1);
        UNWATCHED.store(false, Ordering::SeqCst);
        drop(count);
        // From here on it is dropped, and counted down, whatever fails.
        let mut this = Self { flag: Arc::new(AtomicBool::new(false)), wake, handlers: Vec::new(), told };
        for signal in signals {
            // Handlers run in this order: whoever is woken finds the flag set.
            let flag = Arc::clone(&this.flag);
            this.handlers.push(signal_hook::flag::register(signal, flag).map_err(failed)?);
            let write = write.try_clone().map_err(failed)?;
            this.handlers.push(signal_hook::low_level::pipe::register(signal, write).map_err(failed)?);
        }
        Ok(this)
    }

    /// Waits until something is there to be read, or nobody has the other end of it any more, or a process has ended, or
    /// the time is over; an interruption is an error.
    pub(crate) fn wait_for(
        &self,
        input: Option<&impl rustix::fd::AsFd>,
        process: Option<&OwnedFd>,
        time: Duration,
    ) -> Result<Event> {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(input.map(|input| PollFd::new(input, PollFlags::IN)));
        fds.extend(process.map(|process| PollFd::new(process, PollFlags::IN)));
        self.poll(&mut fds, time)?;
        let found = |index: usize| fds.get(index).map_or(PollFlags::empty(), PollFd::revents);
        let heard = if input.is_some() { found(1) } else { PollFlags::empty() };
        let readable = heard.contains(PollFlags::IN);
        let ended = process.is_some() && !found(fds.len() - 1).is_empty();
        Ok(Event { readable, hung_up: !readable && !heard.is_empty(), ended })
    }

    /// Whether it was interrupted, which is an error.
    pub(crate) fn check(&self) -> Result<()> {
        self.poll(&mut [], Duration::ZERO)
    }

    /// Waits so long, unless interrupted.
    pub(crate) fn pause(&self, pause: Duration) -> Result<()> {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.poll(&mut [PollFd::new(&self.wake, PollFlags::IN)], left)?;
        }
    }

    fn poll(&self, fds: &mut [PollFd<'_>], time: Duration) -> Result<()> {
        let answer = poll(fds, Some(&timespec(time)));
        if self.flag.load(Ordering::Relaxed) {
            let (message, hint) = &self.told;
            return Err(Error::new(ErrorKind::Interrupted, message).with_exit_code(130).hint(hint));
        }
        match answer {
            Ok(_) => Ok(()),
            Err(Errno::INTR) => {
                // What was asked for is not known, and is asked again.
                fds.iter_mut().for_each(PollFd::clear_revents);
                Ok(())
            }
            Err(errno) => Err(Error::io("can't wait", errno.into())),
        }
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        let mut count = watchers();
        *count = count.map(|count| count.saturating_sub(1));
        // Before the handlers go: no signal is to come to nobody.
        UNWATCHED.store(*count == Some(0), Ordering::SeqCst);
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
    }
}

/// Whether a signal is in a mask of proc_pid_status(5), a bit a signal: ignored (by the wish of whoever started this process),
/// or handled.
fn is_in_mask(mask: &str, signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(mask));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
