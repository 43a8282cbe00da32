//! Whose program listens on a port. While an instance's server is not up yet, or has lost its port, any user of the host may
//! listen there: the RCON password is not for that one.

use crate::{Error, Result};

/// The kernel's tables of sockets, as they were when they were read. A socket of IPv6 that listens on every address takes
/// connections of IPv4, too.
#[derive(Debug)]
pub(crate) struct Listeners(String);

impl Listeners {
    pub(crate) fn read() -> Result<Self> {
        let read = |file: &str| match std::fs::read_to_string(file) {
            // No IPv6 in this kernel.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.ends_with('6') => Ok(String::new()),
            table => table.map_err(|error| Error::io(format!("can't read {file}"), error)),
        };
        Ok(Self(read("/proc/net/tcp")? + &read("/proc/net/tcp6")?))
    }

    /// Who else than this user listens on the port; none where nobody does.
    pub(crate) fn stranger(&self, port: u16) -> Option<u32> {
        let own = rustix::process::geteuid().as_raw();
        listeners(&self.0, port).find(|&uid| uid != own)
    }
}

/// The users of the sockets that listen on the port, on any address: `sl local_address rem_address st … uid …`, in hex.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = u32> + '_ {
    let port = format!("{port:04X}");
    table.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, "0A", _, _, _, uid, ..] = fields[..] else { return None };
        let (_, found) = local.split_once(':')?;
        (found == port).then(|| uid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:6987 00000000:0000 0A 00000000:00000000 00:00000000 00000000   996        0 12345 1 ffff8 100 0 0 10 0
   1: 0100007F:6988 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12346 1 ffff8 100 0 0 10 0
   2: 0100007F:6987 0100007F:D2F4 01 00000000:00000000 00:00000000 00000000  1001        0 12347 1 ffff8 20 4 30 10 -1
   3: 0100007F:0016 00000000:0000 0A
";

    #[test]
    fn who_listens() {
        let all = |port| listeners(TABLE, port).collect::<Vec<_>>();
        assert_eq!((all(27015), all(27016), all(27017), all(22)), (vec![996], vec![1000], vec![], vec![]));
    }

    #[test]
    fn the_kernel_s_own_table_is_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tables = Listeners::read().unwrap();
        assert_eq!(listeners(&tables.0, port).collect::<Vec<_>>(), [rustix::process::geteuid().as_raw()]);
        assert_eq!(tables.stranger(port), None);
        let both = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        assert_eq!(listeners(&Listeners::read().unwrap().0, port).count(), 1, "one that takes IPv4, too");
    }
}
