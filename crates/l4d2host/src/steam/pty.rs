//! The terminal that SteamCMD is given: on a pipe it prints in blocks, minutes apart, and asks its questions unseen.

use std::fs::File;

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::{Error, Result};

/// Wide, so that no line of SteamCMD's is broken in two.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 500, ws_xpixel: 0, ws_ypixel: 0 };

/// Our end and SteamCMD's.
pub(super) fn open() -> Result<(File, File)> {
    let failed = |errno: Errno| Error::io("can't open a pty", errno.into());
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(failed)?;
    grantpt(&master).and_then(|()| unlockpt(&master)).map_err(failed)?;
    tcsetwinsize(&master, SIZE).map_err(failed)?;
    // Not ours to be controlled by: to a session leader without a terminal (a service) the first one opened becomes that,
    // SteamCMD could not have it, and its end would be a hang-up for us.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).map_err(failed)?;
    // A password that is typed for SteamCMD must not come back as something that it printed.
    let mut modes = tcgetattr(&slave).map_err(failed)?;
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&slave, OptionalActions::Now, &modes).map_err(failed)?;
    Ok((File::from(master), File::from(slave)))
}
