//! The simulated game: one thread that waits for packets, RCON clients, signals and the time.

mod a2s;
mod cvars;
mod misbehave;
mod rcon;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use cvars::Cvars;
use rcon::Rcon;

/// Prints a line of the console. A closed stdout ends nothing: the real one does not notice either.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A server that has its ports.
struct Server {
    cvars: Cvars,
    udp: UdpSocket,
    tcp: TcpListener,
    rcon: Rcon,
    port: u16,
    started: Instant,
    /// The number that a client must repeat, so that answers go only where questions came from.
    challenge: u32,
    quit: bool,
}

pub(crate) fn run(args: &[String]) -> ExitCode {
    say("SIMULATED Left 4 Dead 2 server (srcds-sim): no game runs here.");
    let (strict, arguments) = (args.iter().any(|arg| arg == "-strictportbind"), Cvars::from_arguments(args));
    let mut cvars = arguments;
    for file in ["sim.cfg", "server.cfg"] {
        cvars.exec(file, &mut |line| say(&line));
    }
    if let Some(code) = misbehave::before_start(&cvars) {
        return code;
    }
    let wanted = cvars.number("hostport").unwrap_or(27015);
    let Some((udp, tcp, port)) = bind(wanted, strict) else {
        say(&format!("Couldn't bind port {wanted}: in use. Exiting (-strictportbind)."));
        return ExitCode::FAILURE;
    };
    let (Ok(wake), Ok(())) = (handle_signals(&cvars), announce(&cvars, port)) else { return ExitCode::FAILURE };
    misbehave::after_start(&cvars);
    let rcon = Rcon::new();
    let challenge = std::process::id().wrapping_mul(2_654_435_761) | 1;
    let mut server = Server { cvars, udp, tcp, rcon, port, started: Instant::now(), challenge, quit: false };
    server.serve(wake)
}

/// Both ports of one number: the wanted one or, unless it must be that, one of the next.
fn bind(wanted: u16, strict: bool) -> Option<(UdpSocket, TcpListener, u16)> {
    let last = if strict { wanted } else { wanted.saturating_add(10) };
    (wanted..=last).find_map(|port| {
        let udp = UdpSocket::bind(("0.0.0.0", port)).ok()?;
        let tcp = TcpListener::bind(("0.0.0.0", port)).ok()?;
        udp.set_nonblocking(true).ok()?;
        tcp.set_nonblocking(true).ok()?;
        Some((udp, tcp, port))
    })
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
fn announce(cvars: &Cvars, port: u16) -> std::io::Result<()> {
    say(&format!("Server is hibernating\nmap: {}\nhostname: {}", cvars.map(), cvars.get("hostname")));
    say(&format!("Network: IP 0.0.0.0, mode MP, dedicated Yes, ports {port} SV"));
    let motd = fs::read_to_string("left4dead2/motd.txt").unwrap_or_default();
    say(&format!("motd: {}", motd.lines().next().unwrap_or("(none)")));
    let steam = std::env::var("HOME").map(|home| format!("{home}/.steam/sdk32/steamclient.so")).unwrap_or_default();
    match fs::File::open(&steam) {
        Ok(_) => say("Connection to Steam servers successful.\n   VAC secure mode is activated."),
        Err(error) => say(&format!(
            "dlopen failed trying to load:\n{steam}\nwith error:\n{steam}: cannot open shared object file: {error}\n\
             LAN servers are restricted to local clients (class C)."
        )),
    }
    if cvars.get("log") == "on" || cvars.is_on("log") {
        fs::create_dir_all("left4dead2/logs")?;
        let mut log = fs::OpenOptions::new().create(true).append(true).open("left4dead2/logs/L0101000.log")?;
        writeln!(log, "L 01/01/2026 - 00:00:00: Log file started (SIMULATED)")?;
    }
    Ok(())
}

impl Server {
    fn serve(&mut self, mut wake: Wake) -> ExitCode {
        while !self.quit {
            let timeout = misbehave::next_event(&self.cvars, self.started);
            let mut fds = vec![PollFd::new(&wake.stream, PollFlags::IN)];
            if !self.cvars.is_on("sim_hang") {
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
            if let Some(code) = misbehave::due(&self.cvars, self.started) {
                return code;
            }
            if !self.cvars.is_on("sim_hang") {
                self.answer_queries();
                self.answer_rcon();
            }
        }
        self.shut_down()
    }

    fn shut_down(&self) -> ExitCode {
        say("Server shutting down");
        if let Some(seconds) = self.cvars.number("sim_shutdown_seconds") {
            // What is simulated is a shutdown that takes its time: there is nothing to wait for.
            std::thread::sleep(Duration::from_secs(seconds));
        }
        say("Server shutdown complete");
        ExitCode::SUCCESS
    }

    fn answer_queries(&mut self) {
        let mut packet = [0_u8; 1400];
        while let Ok((length, from)) = self.udp.recv_from(&mut packet) {
            for reply in a2s::answer(&packet[..length], &self.cvars, self.port, self.challenge) {
                let _ = self.udp.send_to(&reply, from);
            }
        }
    }

    fn answer_rcon(&mut self) {
        while let Ok((client, from)) = self.tcp.accept() {
            self.rcon.accept(client, from.ip());
        }
        let password = self.cvars.get("rcon_password").to_owned();
        let (cvars, port, quit, started) = (&mut self.cvars, self.port, &mut self.quit, self.started);
        self.rcon.serve(&password, &mut |command| run_command(command, cvars, port, quit, started));
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// A line of the console, as RCON runs it; what it prints.
fn run_command(line: &str, cvars: &mut Cvars, port: u16, quit: &mut bool, started: Instant) -> String {
    let words = cvars::words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => String::new(),
        ["status"] => rcon::status(cvars, port),
        ["stats"] => format!(
            "CPU    In (KB/s)  Out (KB/s)  Uptime  Map changes  FPS      Players  Connects\n\
             0.00   0.00       0.00        {}       0            30.00    {}        0\n",
            started.elapsed().as_secs() / 60,
            cvars.number::<u32>("sim_players").unwrap_or(0)
        ),
        ["quit" | "exit"] => {
            *quit = true;
            String::new()
        }
        ["say", ..] => {
            say(&format!("Console: {}", line.split_once(' ').map_or("", |(_, text)| text)));
            String::new()
        }
        ["echo", ..] => format!("{} \n", words[1..].join(" ")),
        ["changelevel", map] => {
            cvars.set("map", map);
            say(&format!("-------- Mapchange to {map} --------"));
            cvars.exec("server.cfg", &mut |line| say(&line));
            String::new()
        }
        ["exec", file] => {
            let mut printed = String::new();
            cvars.exec(file, &mut |line| printed.push_str(&format!("{line}\n")));
            printed
        }
        ["cvarlist"] => cvars.list(),
        [name] => cvars.show(name),
        [name, value, ..] => {
            cvars.set(name, value);
            String::new()
        }
    }
}
