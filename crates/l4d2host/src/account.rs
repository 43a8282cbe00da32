//! Users of this host, from `/etc/passwd`: our programs are static, and static glibc has no NSS.

use std::path::PathBuf;

use rustix::fs::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::{Error, ErrorKind, Result};

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// The user's id.
    pub uid: u32,
    /// The id of the user's group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

impl Account {
    /// The user with this id.
    pub fn by_uid(uid: u32) -> Result<Self> {
        let text = std::fs::read_to_string("/etc/passwd").map_err(|e| Error::io("can't read /etc/passwd", e))?;
        text.lines().filter_map(parse).find(|account| account.uid == uid).ok_or_else(|| {
            Error::new(ErrorKind::PermissionDenied, format!("/etc/passwd has no user with the id {uid}"))
        })
    }

    /// Becomes this user, without a way back: no other groups, real, effective and saved ids, and no capability. The kernel
    /// takes those away with the ids, but not from who was started with the securebit `no_setuid_fixup`. One thread only:
    /// the kernel changes the calling thread's.
    pub fn become_it(&self) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let none = CapabilitySet::empty();
        set_thread_groups(&[gid])
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            // Without permitted and inheritable ones there are no ambient ones either.
            .and_then(|()| {
                set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            })
            .map_err(|errno| Error::io(format!("can't become user {}", self.name), errno.into()))
    }
}

/// The home directory of whoever runs this: `HOME`, or the account's where that is not set.
pub(crate) fn home() -> Option<PathBuf> {
    let set = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    set.or_else(|| Account::by_uid(rustix::process::geteuid().as_raw()).ok().map(|account| account.home))
}

pub(crate) fn parse(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, _] = fields[..] else { return None };
    // To the kernel the highest number means "leave it as it is": root would stay root.
    let id = |text: &str| text.parse().ok().filter(|&id| id != u32::MAX);
    if name.is_empty() {
        return None;
    }
    Some(Account { name: name.to_owned(), uid: id(uid)?, gid: id(gid)?, home: home.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_passwd() {
        let account = parse("left4me:x:997:996:left4me:/var/lib/left4me:/usr/sbin/nologin").unwrap();
        assert_eq!((account.uid, account.gid, account.home), (997, 996, PathBuf::from("/var/lib/left4me")));
        for line in [
            "",
            "# comment",
            "a:b",
            "x:x:-1:0::/:",
            "x:x:0:0:::extra:",
            ":x:1:1::/:",
            "x:x:4294967295:1::/:",
            "x:x:1:4294967295::/:",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
