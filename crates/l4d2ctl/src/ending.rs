//! Giving the terminal back before a signal ends this program, or when the terminal has gone.

use std::io::Result;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Runs `put_back` when a signal is to end this program, which then ends by it as it would have; and when the terminal has
/// gone, which ends it, too. In a thread of its own, whatever the others do: a line editor waits for a key, and crossterm
/// reads a terminal that has gone again and again, and returns to nobody.
pub(crate) fn before_the_end(put_back: impl FnOnce() + Send + 'static) -> Result<()> {
    let (read, write) = UnixStream::pair()?;
    let which = Arc::new(AtomicUsize::new(0));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        // Handlers run in this order: whoever is woken finds the number.
        signal_hook::flag::register_usize(signal, Arc::clone(&which), usize::try_from(signal).unwrap_or_default())?;
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    let wait = move || {
        let stdin = rustix::stdio::stdin();
        // Of stdin nothing is asked: that it has gone is always told.
        let mut fds = [PollFd::new(&read, PollFlags::IN), PollFd::new(&stdin, PollFlags::empty())];
        while let Ok(0) | Err(Errno::INTR) = poll(&mut fds, None) {}
        put_back();
        match i32::try_from(which.load(Ordering::SeqCst)) {
            Ok(signal) if signal != 0 => drop(signal_hook::low_level::emulate_default_handler(signal)),
            _ => std::process::exit(1),
        }
    };
    std::thread::Builder::new().name("end".to_owned()).spawn(wait).map(drop)
}
