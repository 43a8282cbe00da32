//! The simulated game: one thread that waits for packets, RCON clients, signals and the time.

mod a2s;
mod console;
mod cvars;
mod files;
mod log;
pub(crate) mod many;
mod misbehave;
mod players;
mod rcon;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use console::Console;
use cvars::Cvars;
use rcon::Rcon;

/// Prints a line of the console. A closed stdout ends nothing: the real one does not notice either.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The first line of the message of the day: it shows which overlay won.
fn motd() -> String {
    let motd = fs::read("left4dead2/motd.txt").unwrap_or_default();
    String::from_utf8_lossy(&motd).lines().next().unwrap_or_default().to_owned()
}

/// The version that the installation says it is, read once; without one, what the game is known to be.
fn version() -> String {
    let inf = fs::read("left4dead2/steam.inf").unwrap_or_default();
    let version =
        String::from_utf8_lossy(&inf).lines().find_map(|line| Some(line.strip_prefix("PatchVersion=")?.to_owned()));
    version.unwrap_or_else(|| "2.2.4.3".to_owned())
}

/// A server that has its ports.
struct Server {
    console: Console,
    udp: UdpSocket,
    tcp: TcpListener,
    rcon: Rcon,
    started: Instant,
    /// Makes the number that a client must repeat, so that answers go only where questions came from.
    challenges: RandomState,
}

pub(crate) fn run(args: &[String]) -> ExitCode {
    say("SIMULATED Left 4 Dead 2 server (srcds-sim): no game runs here.");
    let mut console = Console::new();
    console.start(args);
    if let Some(code) = misbehave::before_start(&console.cvars) {
        return code;
    }
    let (address, wanted) = wanted(args, &console.cvars);
    let strict = args.iter().any(|arg| arg == "-strictportbind");
    let (udp, tcp, port) = match bind(address, wanted, strict) {
        Ok(bound) => bound,
        Err(error) => {
            say(&format!("Couldn't bind port {wanted} of {address}: {error}. Exiting."));
            return ExitCode::FAILURE;
        }
    };
    console.port = port;
    let wake = match handle_signals(&console.cvars) {
        Ok(wake) => wake,
        Err(error) => {
            say(&format!("can't handle signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    announce(&console.cvars, address, port);
    misbehave::after_start(&console.cvars);
    console.watch_files();
    let (started, challenges) = (Instant::now(), RandomState::new());
    Server { console, udp, tcp, rcon: Rcon::new(), started, challenges }.serve(wake)
}

/// The address and the port that are asked for: `+ip` and `+hostport`, or in the older way `-ip` and `-port`.
fn wanted(args: &[String], cvars: &Cvars) -> (IpAddr, u16) {
    let option = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let address = cvars.number("ip").or_else(|| option("-ip")?.parse().ok());
    let port = cvars.number("sim_port").or_else(|| cvars.number("hostport")).or_else(|| option("-port")?.parse().ok());
    (address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port.unwrap_or(27015))
}

/// Both ports of one number: the wanted one or, unless it must be that, one of the next.
fn bind(address: IpAddr, wanted: u16, strict: bool) -> std::io::Result<(UdpSocket, TcpListener, u16)> {
    let both = |port| {
        let (udp, tcp) = (UdpSocket::bind((address, port))?, TcpListener::bind((address, port))?);
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok((udp, tcp, port))
    };
    let others = if strict { 0 } else { 10 };
    (1..=others).map(|n| wanted.saturating_add(n)).fold(both(wanted), |bound, port| bound.or_else(|_| both(port)))
}

struct Wake {
    stream: UnixStream,
    stop: Arc<AtomicBool>,
}

fn handle_signals(cvars: &Cvars) -> std::io::Result<Wake> {
    let stop = Arc::new(AtomicBool::new(false));
    let (stream, write) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        if cvars.is_on("sim_ignore_signals") {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        } else {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
    }
    Ok(Wake { stream, stop })
}

/// The lines that a real server prints when it starts, and what tests look for.
fn announce(cvars: &Cvars, address: IpAddr, port: u16) {
    say(&format!("Server is hibernating\nmap: {}\nhostname: {}", cvars.get("map"), cvars.get("hostname")));
    say(&format!("Network: IP {address}, mode MP, dedicated Yes, ports {port} SV"));
    say(&format!("motd: {}", if motd().is_empty() { "(none)".to_owned() } else { motd() }));
    let steam = std::env::var("HOME").map(|home| format!("{home}/.steam/sdk32/steamclient.so")).unwrap_or_default();
    match fs::File::open(&steam) {
        Ok(_) => say("Connection to Steam servers successful.\n   VAC secure mode is activated."),
        Err(error) => say(&format!(
            "dlopen failed trying to load:\n{steam}\nwith error:\n{steam}: cannot open shared object file: {error}\n\
             LAN servers are restricted to local clients (class C)."
        )),
    }
}

impl Server {
    fn serve(&mut self, mut wake: Wake) -> ExitCode {
        while !self.console.quit {
            let timeout = misbehave::next_event(&self.console.cvars, self.started);
            let mut fds = vec![PollFd::new(&wake.stream, PollFlags::IN)];
            if !self.console.cvars.is_on("sim_hang") {
                fds.extend([PollFd::new(&self.udp, PollFlags::IN), PollFd::new(&self.tcp, PollFlags::IN)]);
                fds.extend(self.rcon.poll_fds());
            }
            let waited = poll(&mut fds, timeout.map(timespec).as_ref());
            let woken = fds[0].revents().contains(PollFlags::IN);
            drop(fds);
            if waited.is_err() && !woken {
                continue;
            }
            if woken && wake.stream.read(&mut [0; 16]).is_ok() && wake.stop.load(Ordering::Relaxed) {
                break;
            }
            if let Some(code) = misbehave::due(&self.console.cvars, self.started) {
                return code;
            }
            if !self.console.cvars.is_on("sim_hang") {
                self.answer_queries();
                self.answer_rcon();
            }
        }
        self.shut_down()
    }

    fn shut_down(&mut self) -> ExitCode {
        say("Server shutting down");
        if let Some(seconds) = self.console.cvars.number("sim_shutdown_seconds") {
            // What is simulated is a shutdown that takes its time: there is nothing to wait for.
            std::thread::sleep(Duration::from_secs(seconds));
        }
        self.console.close();
        say("Server shutdown complete");
        ExitCode::SUCCESS
    }

    fn answer_queries(&mut self) {
        let mut packet = [0_u8; 1400];
        while let Ok((length, from)) = self.udp.recv_from(&mut packet) {
            let challenge = challenge(&self.challenges, from.ip());
            for reply in a2s::answer(&packet[..length], &self.console.cvars, self.console.port, challenge) {
                let _ = self.udp.send_to(&reply, from);
            }
        }
    }

    fn answer_rcon(&mut self) {
        while let Ok((client, from)) = self.tcp.accept() {
            self.rcon.accept(client, from);
        }
        let password = self.console.cvars.get("rcon_password").to_owned();
        self.rcon.serve(&password, &mut |command, from| self.console.run(command, from));
    }
}

/// The number that a client must repeat. Of the address alone, as in the real one: a client may ask from another port.
fn challenge(challenges: &RandomState, from: IpAddr) -> u32 {
    let [a, b, c, d, ..] = challenges.hash_one(from).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
