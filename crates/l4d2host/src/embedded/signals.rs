//! Signals as something to wait for together with everything else.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

use crate::{Error, Result};

pub(super) struct Signals {
    /// A byte for every signal.
    wake: UnixStream,
    /// One of them asked for the end.
    stop: Arc<AtomicBool>,
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Signals {
    /// Handles the signals from now on. To PID 1 of a namespace, one without a handler does nothing at all.
    pub(super) fn new() -> Result<Self> {
        let failed = |e| Error::io("can't handle signals", e);
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, write) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGTERM, SIGINT] {
            // Handlers run in this order: whoever is woken finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
        }
        for signal in [SIGTERM, SIGINT, SIGCHLD] {
            let write = write.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, write).map_err(failed)?;
        }
        Ok(Self { wake, stop })
    }

    /// Takes the bytes that have come; says whether the end was asked for since the last time.
    pub(super) fn drain(&mut self) -> Result<bool> {
        self.wake.read(&mut [0_u8; 64]).map_err(|e| Error::io("can't read signals", e))?;
        Ok(self.stop.swap(false, Ordering::Relaxed))
    }
}
