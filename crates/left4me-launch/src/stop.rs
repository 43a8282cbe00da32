//! Asking a game to end, and waiting until it has.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::{Error, Result};

/// How long a game may take to end: it tells its players, and lets plugins save.
pub const GRACE: Duration = Duration::from_secs(15);

/// How [`stop`] found the process when it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It has ended, now or before.
    Ended,
    /// It still runs, the grace being over.
    StillRuns,
}

/// Sends SIGINT to the process `pid`, on which the game shuts down in order, and waits for its end for at most `grace`.
///
/// By pidfd, so that neither the signal nor the wait can meet another process that got the number meanwhile.
pub fn stop(pid: Pid, grace: Duration) -> Result<Stopped> {
    let failed = |what: &str, errno: Errno| {
        Error::new(format!("can't {what} process {}: {}", pid.as_raw_nonzero(), std::io::Error::from(errno)))
    };
    let process = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(Stopped::Ended),
        Err(errno) => return Err(failed("open", errno)),
    };
    match rustix::process::pidfd_send_signal(&process, Signal::INT) {
        Ok(()) => (),
        Err(Errno::SRCH) => return Ok(Stopped::Ended),
        Err(errno) => return Err(failed("signal", errno)),
    }
    let deadline = Instant::now() + grace;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| Error::new("the grace is too long"))?;
        // A pidfd is readable once its process has ended, also before anybody has waited for it.
        match rustix::event::poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(Stopped::StillRuns),
            Ok(_) => return Ok(Stopped::Ended),
            Err(Errno::INTR) => (),
            Err(errno) => return Err(failed("wait for", errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    /// A shell that runs `script`, once it has said that it is there.
    fn shell(script: &str) -> (Child, Pid) {
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("sh is there");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    #[test]
    fn a_process_that_ends_on_sigint() {
        let (mut child, pid) = shell("trap 'exit 7' INT; echo ready; while :; do sleep 0.01; done");
        assert_eq!(stop(pid, GRACE).unwrap(), Stopped::Ended);
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(stop(pid, GRACE).unwrap(), Stopped::Ended, "gone is ended, too");
    }

    #[test]
    fn a_process_that_ignores_sigint() {
        let (mut child, pid) = shell("trap '' INT; echo ready; exec cat /dev/zero > /dev/null");
        assert_eq!(stop(pid, Duration::from_millis(50)).unwrap(), Stopped::StillRuns);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it was not killed by us");
    }
}
