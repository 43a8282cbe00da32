//! Asking a server over its game port (A2S), as far as the demo needs it.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use l4d2host::{Error, ErrorKind};

use crate::problem::Problem;

/// What a server says of itself.
pub(super) struct Answer {
    pub(super) hostname: String,
    pub(super) map: String,
    /// The first line of its motd.txt, as the simulated game tells it in its rules: which overlay won.
    pub(super) motd: String,
}

/// How long a server may take to bind its port and answer.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn ask(port: u16) -> Result<Answer, Problem> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| Error::io("can't make a socket", e))?;
    let failed = |e| Error::io(format!("can't ask port {port}"), e);
    // Connected: an answer counts only from there.
    socket.connect(("127.0.0.1", port)).map_err(failed)?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(failed)?;
    let info = exchange(&socket, b"TSource Engine Query\0")?;
    let rules = exchange(&socket, b"V")?;
    let mut strings =
        info.get(2..).unwrap_or_default().split(|&b| b == 0).map(|s| String::from_utf8_lossy(s).into_owned());
    let (hostname, map) = (strings.next().unwrap_or_default(), strings.next().unwrap_or_default());
    let mut rules = rules.get(3..).unwrap_or_default().split(|&b| b == 0);
    let motd = rules.find(|name| *name == b"sim_motd").and_then(|_| rules.next()).unwrap_or_default();
    Ok(Answer { hostname, map, motd: String::from_utf8_lossy(motd).into_owned() })
}

/// Sends a question until it is answered, with the challenge that the server asks to be repeated.
fn exchange(socket: &UdpSocket, question: &[u8]) -> Result<Vec<u8>, Problem> {
    let until = Instant::now() + LIMIT;
    let mut challenge = [0xff; 4];
    let mut buffer = [0_u8; 1400];
    while Instant::now() < until {
        let packet = [&[0xff; 4][..], question, &challenge].concat();
        // A port that nobody has bound yet refuses; the read below then fails at once or waits its time.
        let _ = socket.send(&packet);
        match socket.recv(&mut buffer) {
            Ok(length @ 9..) if buffer[4] == b'A' => challenge.copy_from_slice(&buffer[length - 4..length]),
            Ok(length @ 6..) => return Ok(buffer[4..length].to_vec()),
            // Nobody there yet: once more, after the time that a read would have waited.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Err(Problem::new(ErrorKind::Timeout, format!("the server did not answer within {} s", LIMIT.as_secs())))
}
