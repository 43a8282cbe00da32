//! Whose program listens on a port. While an instance's server is not up yet, or has lost its port, any user of the host may
//! listen there: the RCON password is not for that one.

use crate::{Error, Result};

/// The sockets that listen, as they were when the kernel's tables were read: port and user. A socket of IPv6 that listens on
/// every address takes connections of IPv4, too.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<(u16, u32)>);

impl Listeners {
    pub(crate) fn read() -> Result<Self> {
        let read = |file: &str| match std::fs::read_to_string(file) {
            // No IPv6 in this kernel.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.ends_with('6') => Ok(String::new()),
            table => table.map_err(|error| Error::io(format!("can't read {file}"), error)),
        };
        Ok(Self::parse(&(read("/proc/net/tcp")? + &read("/proc/net/tcp6")?)))
    }

    /// Once for all ports: of connections that have just ended, such as RCON's, the kernel lists far more than of listeners.
    fn parse(tables: &str) -> Self {
        Self(tables.lines().filter_map(listener).collect())
    }

    /// Who else than this user listens on the port; none where nobody does.
    pub(crate) fn stranger(&self, port: u16) -> Option<u32> {
        let own = rustix::process::geteuid().as_raw();
        self.of(port).find(|&uid| uid != own)
    }

    /// The users of the sockets that listen on the port, on any address.
    fn of(&self, port: u16) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().filter(move |(listens, _)| *listens == port).map(|(_, uid)| *uid)
    }
}

/// Of a line `sl local_address rem_address st tx:rx tr:when retrnsmt uid …`, with addresses, ports and state in hex, that
/// of a listener.
fn listener(line: &str) -> Option<(u16, u32)> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    Some((u16::from_str_radix(port, 16).ok()?, fields.nth(3)?.parse().ok()?))
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
        let table = Listeners::parse(TABLE);
        let all = |port| table.of(port).collect::<Vec<_>>();
        assert_eq!((all(27015), all(27016), all(27017), all(22)), (vec![996], vec![1000], vec![], vec![]));
    }

    #[test]
    fn the_kernel_s_own_table_is_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tables = Listeners::read().unwrap();
        assert_eq!(tables.of(port).collect::<Vec<_>>(), [rustix::process::geteuid().as_raw()]);
        assert_eq!(tables.stranger(port), None);
        let both = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        assert_eq!(Listeners::read().unwrap().of(port).count(), 1, "one that takes IPv4, too");
    }
}
