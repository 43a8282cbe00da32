//! What the game does wrong on request.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::client::{Rcon, send, socket};
use crate::server::{Place, free_port};

#[test]
fn a_crash_is_a_signal_and_an_exit_a_code() {
    for after in ["0", "1"] {
        let crashed = Place::new().spawn(free_port(), &["+sim_crash_after", after]).end();
        assert_eq!((crashed.code, crashed.signal), (None, Some(6)), "{crashed:?}");
        assert_eq!(crashed.said.contains("Server is hibernating"), after == "1", "{crashed:?}");
        let exited = Place::new().spawn(free_port(), &["+sim_exit_after", after, "+sim_exit_code", "42"]).end();
        assert_eq!(exited.code, Some(42), "{exited:?}");
    }
}

#[test]
fn an_overlay_can_carry_it() {
    let ended = Place::new().with("cfg/sim.cfg", "sim_exit_after 0\nsim_exit_code 3\n").spawn(free_port(), &[]).end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[test]
fn a_shutdown_can_take_its_time() {
    let server = Place::new().serve(&["+sim_shutdown_seconds", "1"]);
    let begin = Instant::now();
    server.signal(Signal::TERM);
    // Another one does not shorten it.
    server.signal(Signal::INT);
    let ended = server.end();
    assert!(ended.code == Some(0) && begin.elapsed() >= Duration::from_secs(1), "{ended:?}");
}

#[test]
fn signals_can_be_ignored() {
    let server = Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&["+sim_ignore_signals", "1"]);
    server.signal(Signal::INT);
    server.signal(Signal::TERM);
    assert_eq!(Rcon::admitted(server.port, "p").run("echo alive").0, "alive \n");
    server.signal(Signal::KILL);
    assert_eq!(server.end().signal, Some(9));
}

#[test]
fn a_server_that_hangs_answers_nothing_and_lives() {
    let server = Place::new().serve(&["+sim_hang", "1"]);
    let socket = socket(server.port);
    // A busy machine can only make this pass; the others show what an answer takes.
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    send(&socket, b"TSource Engine Query\0", b"");
    assert!(socket.recv(&mut [0; 64]).is_err());
    test_kill_process(server.pid()).unwrap();
    assert_eq!(server.interrupt().code, Some(0));
}

#[test]
fn hostile_output_and_floods() {
    let mut server = Place::new().serve(&["+sim_hostile_output", "1", "+sim_flood", "5000"]);
    server.wait_for("flood line 4999");
    let said = server.said();
    assert!(said.contains("\u{1b}]0;title") && said.contains('\u{fffd}') && said.contains('\0'));
    assert!(said.lines().any(|line| line.len() == 100_000));
    assert_eq!(said.matches("flood line").count(), 5000);
}

#[test]
fn children_outlive_it_and_do_not_care_for_sigint() {
    let mut server = Place::new().serve(&["+sim_fork", "1"]);
    let said = server.wait_for("forked ");
    let child = said.trim().strip_prefix("forked ").and_then(|pid| Pid::from_raw(pid.parse().ok()?)).unwrap();
    // Its pipe is the child's, too: read no further than to the server's own last line.
    server.signal(Signal::INT);
    server.wait_for("Server shutdown complete");
    // It may not have got as far as to ignore signals before its program is `sleep`.
    let name = format!("/proc/{}/comm", child.as_raw_nonzero());
    while fs::read_to_string(&name).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    kill_process(child, Signal::INT).unwrap();
    test_kill_process(child).unwrap();
    kill_process(child, Signal::KILL).unwrap();
}

#[test]
fn memory_and_threads_are_really_taken() {
    let server =
        Place::new().with("cfg/server.cfg", "rcon_password p\n").serve(&["+sim_alloc_mb", "32", "+sim_threads", "20"]);
    // Both are there before it answers anything.
    Rcon::admitted(server.port, "p");
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(number("VmRSS:") > 32 * 1024 && number("Threads:") == 21, "{status}");
}

#[test]
fn a_hundred_are_light() {
    let servers: Vec<_> = (0..100).map(|_| Place::new().spawn(0, &[])).collect();
    for mut server in servers {
        server.wait_for("motd: ");
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
        let of = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        assert!(of("VmRSS:") < 3072 && of("Threads:") == 1, "{status}");
        assert_eq!(server.interrupt().code, Some(0));
    }
}
