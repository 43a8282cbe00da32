//! Metrics: what is printed, what is in the file, and what is served, also to those who mean no good.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use crate::{Sandbox, port};

/// The value of a sample, which is found by the beginning of its line.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample))?;
    Some(line.trim().parse().unwrap())
}

#[test]
fn what_runs_and_what_does_not_has_its_metrics() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b"] {
        sandbox.make(name, &format!("port: {}\n", port()));
    }
    sandbox.ok(&["start", "a"]);
    fs::write(sandbox.root().join("instances/b/instance.json"), "damaged").unwrap();
    fs::write(sandbox.root().join("runtime/a/upper/large"), vec![1; 1 << 20]).unwrap();
    let text = sandbox.ok(&["metrics"]);
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    for (sample, expected) in [
        ("left4me_instance_state{name=\"a\",state=\"running\"}", 1.0),
        ("left4me_instance_state{name=\"a\",state=\"failed\"}", 0.0),
        ("left4me_instance_state{name=\"b\",state=\"stopped\"}", 1.0),
        ("left4me_instance_problems{name=\"a\"}", 0.0),
        ("left4me_instance_problems{name=\"b\"}", 1.0),
        ("left4me_instance_restarts_total{name=\"a\"}", 0.0),
        ("left4me_instance_disk_partial{name=\"a\"}", 0.0),
        (concat!("left4me_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(value(&text, sample), Some(expected), "{sample}:\n{text}");
    }
    for (sample, least) in [
        ("left4me_instance_cpu_seconds_total{name=\"a\"}", 0.0),
        ("left4me_instance_memory_bytes{name=\"a\"}", 65_536.0),
        ("left4me_instance_tasks{name=\"a\"}", 2.0),
        ("left4me_instance_disk_bytes{name=\"a\"}", 1_048_576.0),
        ("left4me_shared_disk_bytes{layer=\"installation\"}", 4096.0),
        ("left4me_instance_start_time_seconds{name=\"a\"}", 1_700_000_000.0),
    ] {
        assert!(value(&text, sample).is_some_and(|value| value >= least), "{sample}:\n{text}");
    }
    // What is not known has none: nothing of b runs, and nobody counts for what a waits.
    for sample in ["left4me_instance_cpu_seconds_total{name=\"b\"}", "left4me_instance_restarts_total{name=\"b\"}"] {
        assert_eq!(value(&text, sample), None, "{sample}:\n{text}");
    }
    assert!(!text.contains("pressure"), "{text}");
    assert!(!sandbox.ok(&["metrics", "--no-disk"]).contains("disk"));

    let json = sandbox.json(&["metrics"]);
    let state = json["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == "left4me_instance_state");
    let sample = &state.unwrap()["samples"][0];
    assert_eq!(sample["labels"], serde_json::json!({ "name": "a", "state": "running" }));
    assert_eq!((&state.unwrap()["kind"], &sample["value"]), (&"gauge".into(), &1.0.into()));
}

#[test]
fn what_servers_say_of_themselves_whatever_it_is() {
    let sandbox = Sandbox::with_game();
    let hostile = format!("hostname \x1b[31m\\a b}} 1\u{202e}{}\nsim_players 3\nsim_bots 2\n", "x".repeat(200));
    sandbox.write("root/overlays/hostile/left4dead2/cfg/server.cfg", &hostile);
    sandbox.make("a", &format!("port: {}\noverlays: [{{path: hostile, alias: hostile}}]\n", port()));
    sandbox.make("mute", &format!("port: {}\nconfig: [sim_hang 1]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.ok(&["start", "mute"]);
    let answers = |s: &Sandbox| s.ok(&["metrics", "--no-disk"]).contains("left4me_instance_answering{name=\"a\"} 1\n");
    sandbox.wait("it answers", answers);
    let text = sandbox.ok(&["metrics", "--no-disk"]);
    for (sample, expected) in [
        ("left4me_instance_players{kind=\"human\",name=\"a\"}", 3.0),
        ("left4me_instance_players{kind=\"bot\",name=\"a\"}", 2.0),
        ("left4me_instance_answering{name=\"mute\"}", 0.0),
    ] {
        assert_eq!(value(&text, sample), Some(expected), "{sample}:\n{text}");
    }
    for (sample, most) in [
        ("left4me_instance_max_players{name=\"a\"}", 32.0),
        ("left4me_instance_query_duration_seconds{name=\"a\"}", 1.0),
        ("left4me_instance_frame_rate_hertz{name=\"a\"}", 1000.0),
        ("left4me_instance_receive_bytes_per_second{name=\"a\"}", 1e9),
        ("left4me_instance_transmit_bytes_per_second{name=\"a\"}", 1e9),
    ] {
        assert!(value(&text, sample).is_some_and(|value| (0.0..=most).contains(&value)), "{sample}:\n{text}");
    }
    for metric in ["players", "query_duration_seconds", "frame_rate_hertz"] {
        assert!(!text.contains(&format!("left4me_instance_{metric}{{name=\"mute\"}}")), "not known: {text}");
    }
    let info =
        text.lines().find(|line| line.starts_with("left4me_instance_info{") && line.contains("name=\"a\"")).unwrap();
    assert!(info.contains(r#"hostname="\\u{1b}[31m\\a b} 1\\u{202e}xxx"#) && info.len() < 400, "{info}");
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
    assert!(!sandbox.ok(&["metrics", "--no-disk", "--no-query"]).contains("left4me_instance_answering"));
}

#[test]
fn a_file_is_there_whole_whenever_it_is_read() {
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    let file = sandbox.dir.path().join("left4me.prom");
    let file_name = file.to_str().unwrap();
    assert_eq!(sandbox.ok(&["metrics", "--output", file_name]), "");
    let text = fs::read_to_string(&file).unwrap();
    // In the format that the textfile collector reads.
    assert!(text.contains("# TYPE left4me_build_info gauge\n") && !text.contains("# EOF"), "{text}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let shell =
        format!("umask 077; exec '{}' metrics --format openmetrics -o '{file_name}'", env!("CARGO_BIN_EXE_l4d2ctl"));
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for _ in 0..10 {
                let mut sh = std::process::Command::new("sh");
                sh.args(["-c", &shell]).env_clear().env("LEFT4ME_ROOT", sandbox.root());
                let output = sh.env("LEFT4ME_SUPERVISOR", "embedded").output().unwrap();
                assert!(output.status.success(), "{output:?}");
            }
        });
        while !writing.is_finished() {
            let seen = fs::read_to_string(&file).unwrap();
            assert!(seen == text || seen.ends_with("# EOF\n"), "half a file: {seen}");
        }
    });
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let left = fs::read_dir(sandbox.dir.path()).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains(".prom")).collect();
    assert_eq!(left, ["left4me.prom"]);
    let refused = sandbox.refused(&["metrics", "-o", "gone/left4me.prom"]);
    assert!(refused.contains("can't write gone/left4me.prom"), "{refused}");
}

#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.dir.path().join(name);
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(path("file"), "before").unwrap();
    std::os::unix::fs::symlink("file", path("link")).unwrap();
    fs::create_dir(path("dir")).unwrap();
    for (name, what) in [("fifo", "a FIFO"), ("link", "a symbolic link"), ("dir", "a directory")] {
        let kind = fs::symlink_metadata(path(name)).unwrap().file_type();
        let ran = sandbox.run(&["metrics", "--output", name]);
        assert!(ran.code == 2 && ran.stderr.contains(&format!("{name} is {what}, and would be replaced")), "{ran:?}");
        assert_eq!(fs::symlink_metadata(path(name)).unwrap().file_type(), kind, "{name}");
    }
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "before");
    let written = sandbox.json(&["metrics", "--output", "file"]);
    assert_eq!(written, serde_json::json!({ "written": "file" }));
}

/// A server of metrics, and what it says on stderr.
struct Served {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Served {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command(&["metrics", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|url| url.strip_suffix("/metrics"));
        Self { child, stderr, address: address.unwrap_or_else(|| panic!("{line}")).to_owned() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends this, and reads to the end.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it by a signal; how it ended, and what else it said.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Ended already, where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For a program, which reads one line of where it listens, and no other.
pub(crate) fn listen_for_programs(sandbox: &Sandbox) {
    let args = ["metrics", "--listen", "127.0.0.1:0", "--json"];
    let mut child = sandbox.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    stdout.read_line(&mut said).unwrap();
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    let address = line["address"].as_str().unwrap().to_owned();
    let served = Served { stderr: BufReader::new(child.stderr.take().unwrap()), child, address };
    assert!(served.ask(SCRAPE).starts_with("HTTP/1.1 200 "));
    assert_eq!(served.end("-TERM"), (Some(0), String::new()));
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    crate::schema::check(&args, &said);
}

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n";

#[test]
fn metrics_are_served_as_they_are_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    let served = Served::start(&sandbox);
    let answer = served.ask(SCRAPE);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(body.ends_with("\n# EOF\n") && body.contains("left4me_instance_state{name=\"a\""), "{body}");
    let answer = served.ask("GET /metrics HTTP/1.0\n\n");
    assert!(answer.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(!answer.contains("# EOF"), "{answer}");
    let answer = served.ask(&SCRAPE.replace("GET", "HEAD"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed\r\n"),
        ("hello\r\n\r\n", "400 Bad Request"),
        (&format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000)), "431 Request Header Fields Too Large"),
    ] {
        let answer = served.ask(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
    let taken = sandbox.refused(&["metrics", "--listen", &served.address]);
    assert!(taken.contains("can't listen on") && taken.contains("hint: another program has the port"), "{taken}");
    // What can't be found out is an error of this one scrape.
    fs::rename(sandbox.root(), sandbox.dir.path().join("away")).unwrap();
    // The last answer is given to others for a second.
    std::thread::sleep(Duration::from_millis(1100));
    let answer = served.ask(SCRAPE);
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("does not exist"), "{answer}");
    fs::rename(sandbox.dir.path().join("away"), sandbox.root()).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert!(served.ask(SCRAPE).starts_with("HTTP/1.1 200 "), "it does not recover");
    let (code, said) = served.end("-TERM");
    assert!(code == Some(0) && said.contains("does not exist") && !said.contains("panicked"), "{code:?} {said}");
    assert_eq!(Served::start(&sandbox).end("-INT").0, Some(0));
}

#[test]
fn nobody_keeps_others_from_the_metrics() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox);
    // A request that never ends in size, and one that never ends in time.
    let mut giant = served.connect();
    let _ = giant.write_all(&b"GET /metrics HTTP/1.1\r\n"[..]);
    // It stops reading after a while, and then closes.
    while giant.write_all(&[b'x'; 1024]).is_ok() {}
    let slow = served.connect();
    let begun = Instant::now();
    let mut dripping = slow.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        while begun.elapsed() < Duration::from_secs(20) && dripping.write_all(b"G").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    // Those who connect and say nothing, far more than there is room for.
    let mut silent: Vec<TcpStream> = (0..300).map(|_| served.connect()).collect();
    let asked = Instant::now();
    assert!(served.ask(SCRAPE).starts_with("HTTP/1.1 200 "));
    assert!(asked.elapsed() < Duration::from_secs(4), "they kept it waiting: {:?}", asked.elapsed());
    // Threads for connections, and the five others.
    let threads = fs::read_dir(format!("/proc/{}/task", served.child.id())).unwrap().count();
    assert!(threads <= 64 + 5, "{threads} threads");
    // Everybody is let go of in the end.
    let mut bytes = Vec::new();
    for stream in &mut silent {
        let _ = stream.read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 408 ") || text.is_empty(), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    drip.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(19), "who drips is never cut off");
    assert!(served.ask(SCRAPE).starts_with("HTTP/1.1 200 "));
    let (code, said) = served.end("-TERM");
    assert!(code == Some(0) && !said.contains("panicked"), "{code:?} {said}");
}

#[test]
fn what_is_no_address_is_a_usage_error_that_says_what_is() {
    let sandbox = Sandbox::new();
    for address in ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", ""] {
        let ran = sandbox.run(&["metrics", "--listen", address]);
        assert!(ran.code == 2 && ran.stderr.contains("127.0.0.1:9550"), "{address}: {ran:?}");
    }
    let foreign = sandbox.refused(&["metrics", "--listen", "192.0.2.1:9550"]);
    assert!(foreign.contains("none of this machine's addresses"), "{foreign}");
}
