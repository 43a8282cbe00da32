//! What servers say of themselves: `status`, and `--wait`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Sandbox, port};

impl Sandbox {
    /// A server that runs and answers.
    pub(crate) fn up(&self, name: &str, config: &[&str]) -> u16 {
        let port = port();
        self.make(name, &spec(port, config));
        self.ok(&["start", name, "--wait=20"]);
        port
    }

    pub(crate) fn status(&self, name: &str) -> Value {
        self.json(&["status", name])["instances"][0].clone()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        self.ok(&["logs", name, "--no-follow"])
    }
}

pub(crate) fn spec(port: u16, config: &[&str]) -> String {
    let lines: String = config.iter().map(|line| format!("  - '{line}'\n")).collect();
    format!("port: {port}\nconfig:\n  - mp_gamemode coop\n{lines}")
}

fn kinds(status: &Value) -> Vec<&str> {
    status["problems"].as_array().unwrap().iter().map(|problem| problem["kind"].as_str().unwrap()).collect()
}

#[test]
fn status_says_who_plays_and_where() {
    let sandbox = Sandbox::with_game();
    sandbox.up("full", &["hostname Friday night", "sim_players 3", "sim_bots 1", "map c2m1_highway"]);
    sandbox.up("idle", &[]);
    sandbox.make("off", &spec(port(), &[]));
    let all = sandbox.json(&["status"]);
    let live = |n: usize| all["instances"][n]["live"].clone();
    let full = live(0);
    assert_eq!(full["hostname"], "Friday night");
    assert_eq!(full["map"], "c2m1_highway");
    assert_eq!([&full["humans"], &full["bots"], &full["max_players"]], [&json!(3), &json!(1), &json!(4)]);
    assert_eq!(
        [&full["answering"], &full["hibernating"], &full["unanswered"]],
        [&json!(true), &json!(false), &Value::Null]
    );
    assert!(full["version"].is_string() && full["latency_ms"].as_f64().unwrap() < 1000.0, "{full}");
    assert_eq!([&live(1)["humans"], &live(1)["hibernating"]], [&json!(0), &json!(true)]);
    assert_eq!(live(2), Value::Null, "one that is stopped is not asked");
    let table = sandbox.ok(&["status"]);
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("full").contains("3/4 +1 bots  c2m1_highway"), "{table}");
    assert!(row("idle").contains("0/4") && row("off").contains("stopped"), "{table}");
    let details = sandbox.ok(&["status", "full"]);
    assert!(details.contains("  hostname  Friday night\n") && details.contains("   answers  yes, after "), "{details}");
    let two = sandbox.json(&["status", "idle", "full", "idle"])["instances"].clone();
    let names: Vec<_> = two.as_array().unwrap().iter().map(|instance| instance["name"].clone()).collect();
    assert_eq!(names, ["idle", "full"], "each once, as they were named");
    assert!(sandbox.refused(&["status", "full", "ilde"]).contains("no instance ilde\nhint: did you mean idle?"));
    let quiet = sandbox.json(&["status", "--no-query"]);
    assert!(quiet["instances"].as_array().unwrap().iter().all(|instance| instance["live"].is_null()), "{quiet}");
}

#[test]
fn a_server_that_does_not_answer_costs_no_more_than_a_second() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b", "c"] {
        sandbox.make(name, &spec(port(), &["sim_hang 1"]));
        sandbox.ok(&["start", name]);
        sandbox.wait("it is up", |s| s.log(name).contains("Server is hibernating"));
    }
    sandbox.up("good", &[]);
    let before = Instant::now();
    sandbox.ok(&["status", "--no-query"]);
    let without = before.elapsed();
    let before = Instant::now();
    let all = sandbox.json(&["status"]);
    let took = before.elapsed();
    assert!(took < without + Duration::from_secs(1), "{took:?}, and {without:?} without asking");
    let live = |n: usize| all["instances"][n]["live"].clone();
    assert_eq!(live(0)["answering"], false);
    assert!(live(0)["unanswered"].as_str().unwrap().len() > 5 && live(0)["humans"].is_null(), "{all}");
    assert_eq!(all["instances"][0]["state"], "running", "what the supervisor knows comes all the same");
    assert_eq!(live(3)["answering"], true);
    assert!(sandbox.ok(&["status"]).contains("no answer"));
}

#[test]
fn hostile_names_reach_no_terminal() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["hostname x\u{202e}y", "map \u{200b}z"]);
    let text = sandbox.ok(&["status", "a"]) + &sandbox.ok(&["status"]);
    assert!(text.contains("x\\u{202e}y") && text.contains("\\u{200b}z"), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains('\u{200b}'), "{text}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let sandbox = Sandbox::with_game();
    let moved = "sim_print Network: IP 0.0.0.0, mode MP, dedicated Yes, ports 9999 SV";
    sandbox
        .up("a", &[moved, "sim_print MasterRequestRestart", "sim_print LAN servers are restricted to local clients"]);
    // The whole game has its library: "Connection to Steam servers successful" comes later, and has the last word.
    let status = sandbox.status("a");
    assert_eq!(kinds(&status), ["update-wanted"], "{status}: its own line about the port came last, too");
    let text = sandbox.ok(&["status"]);
    assert!(text.contains("update-wanted") && text.contains("a: it asks for an update"), "{text}");
    assert!(text.contains("  hint: `l4d2ctl install`, then `l4d2ctl rollout --canary a --when-empty`"), "{text}");
    // It is remembered, though the line is read once; and a new run begins anew.
    assert_eq!(kinds(&sandbox.status("a")), ["update-wanted"]);
    sandbox.make("a", &spec(port(), &[]));
    // When a run began is known to the second: what the one before said in that same second is taken for the new one's.
    let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let said = second();
    sandbox.wait("another second begins", |_| second() > said);
    sandbox.ok(&["restart", "a", "--wait"]);
    assert_eq!(kinds(&sandbox.status("a")), Vec::<&str>::new());
}

#[test]
fn a_server_that_is_not_known_to_steam_or_left_its_port() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &[]);
    let mut rcon = sandbox.rcon("a", port);
    rcon.run("sim_print LAN servers are restricted to local clients (class C).");
    rcon.run("sim_print Network: IP 0.0.0.0, mode MP, dedicated Yes, ports 9999 SV");
    sandbox.wait("it is seen", |s| kinds(&s.status("a")) == ["port-taken", "steam-lost"]);
    rcon.run("sim_print Connection to Steam servers successful.");
    sandbox.wait("it is seen", |s| kinds(&s.status("a")) == ["port-taken"]);
    let message = sandbox.status("a")["problems"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, format!("port {port} was taken: it listens on 9999"));
}

#[test]
fn a_log_that_can_t_be_read_hides_nothing_else() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b"] {
        sandbox.up(name, &["hostname Friday night"]);
    }
    let log = sandbox.root().join("runtime/a/log");
    std::fs::rename(&log, log.with_extension("aside")).unwrap();
    std::fs::write(&log, "").unwrap();
    let all = sandbox.json(&["status"]);
    let [a, b] = [0, 1].map(|n| all["instances"][n].clone());
    assert_eq!((kinds(&a), kinds(&b)), (["log-unread"].to_vec(), Vec::new()), "{all}");
    assert_eq!([&a["live"]["hostname"], &b["live"]["hostname"]], ["Friday night"; 2]);
    assert!(a["problems"][0]["message"].as_str().unwrap().contains("Not a directory"), "{a}");
}

#[test]
fn crashes_that_repeat_are_a_problem() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &spec(port(), &["sim_exit_after 0"]));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it crashes", |s| kinds(&s.status("a")).contains(&"crashing"));
    sandbox.ok(&["stop", "a"]);
    assert_eq!(kinds(&sandbox.status("a")), Vec::<&str>::new());
}

#[test]
fn how_often_it_crashed_is_asked_once_in_a_run() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &[]);
    let all = |option: &[&str]| sandbox.json(&[&["status"], option].concat())["instances"][0].clone();
    assert_eq!((&all(&["--no-query"])["restarts"], &all(&[])["restarts"]), (&Value::Null, &0.into()));
    for crashes in 1..=2 {
        let pid = sandbox.status("a")["main_pid"].to_string();
        assert!(std::process::Command::new("kill").args(["-ABRT", &pid]).status().unwrap().success());
        sandbox.wait("it runs again", |_| all(&[])["restarts"] == crashes);
    }
    assert_eq!(kinds(&all(&[])), ["crashing"]);
    assert_eq!(kinds(&all(&["--no-query"])), Vec::<&str>::new());
    // What is remembered is not asked again, from the second after the run's first on.
    let file = sandbox.root().join("heard.json");
    sandbox.wait("it is remembered", |_| {
        all(&[]);
        std::fs::read_to_string(&file).unwrap().contains("\"restarts\":2")
    });
    let heard = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, heard.replace("\"restarts\":2", "\"restarts\":7")).unwrap();
    assert_eq!((&all(&[])["restarts"], &sandbox.status("a")["restarts"]), (&7.into(), &2.into()));
    sandbox.ok(&["restart", "a", "--wait"]);
    assert_eq!(all(&[])["restarts"], 0);
}

#[test]
fn start_waits_for_the_first_answer() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &spec(port(), &[]));
    let started = sandbox.json(&["start", "a", "--wait"]);
    assert!(started["answered_ms"].is_u64(), "{started}");
    assert_eq!(sandbox.status("a")["live"]["answering"], true);
    let again = sandbox.ok(&["start", "a", "--wait=5"]);
    assert!(again.starts_with("instance a runs already: nothing was staged, and answers after"), "{again}");
}

#[test]
fn start_says_why_no_answer_comes() {
    let sandbox = Sandbox::with_game();
    sandbox.make("hangs", &spec(port(), &["sim_hang 1"]));
    let error = sandbox.run(&["start", "hangs", "--wait=1"]);
    assert_eq!((error.code, error.stdout.as_str()), (1, ""), "{error:?}");
    assert!(error.stderr.starts_with("error: instance hangs runs, but did not answer within 1 s: "), "{error:?}");
    assert!(
        error.stderr.contains("Server is hibernating") && error.stderr.contains("hint: `l4d2ctl logs hangs`"),
        "{error:?}"
    );
    assert_eq!(sandbox.state("hangs"), "running", "it is left as it is");
    sandbox.make("dies", &spec(port(), &["sim_exit_after 0"]));
    let error = sandbox.run(&["start", "dies", "--wait"]);
    assert!(error.stderr.starts_with("error: instance dies did not come up: it crashed"), "{error:?}");
    assert!(error.stderr.contains("Exiting with code 1") && error.code == 1, "{error:?}");
    for wrong in ["--wait=x", "--wait=", "--wait=1.5"] {
        assert_eq!(sandbox.run(&["start", "hangs", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn restart_stages_anew_and_refuses_before_it_stops() {
    let sandbox = Sandbox::with_game();
    let port = sandbox.up("a", &[]);
    let pid = |s: &Sandbox| s.status("a")["main_pid"].as_u64().unwrap();
    let before = pid(&sandbox);
    for overlay in ["mod", "{path: mod, alias: m}"] {
        sandbox.write("root/overlays/mod/left4dead2/motd.txt", "mod\n");
        sandbox.make("a", &format!("port: {port}\noverlays: [{overlay}]\n"));
        std::fs::remove_dir_all(sandbox.root().join("overlays/mod")).unwrap();
        let refused = sandbox.refused(&["restart", "a"]);
        assert!(refused.contains("error: overlay mod is not there") && refused.contains("hint: put"), "{refused}");
        assert_eq!((pid(&sandbox), sandbox.state("a").as_str()), (before, "running"), "it was stopped for nothing");
    }
    sandbox.write("root/overlays/mod/left4dead2/motd.txt", "mod\n");
    let said = sandbox.ok(&["restart", "a", "--wait"]);
    assert!(said.starts_with("instance a restarted, and answers after"), "{said}");
    assert!(pid(&sandbox) != before && sandbox.status("a")["pending"] == false);
    assert!(sandbox.log("a").contains("motd: mod"));
}

#[test]
fn restart_takes_several_and_the_first_failure_ends_it() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b", "c"] {
        sandbox.up(name, &[]);
    }
    let pids = |s: &Sandbox| ["a", "b", "c"].map(|name| s.status(name)["main_pid"].as_u64());
    let before = pids(&sandbox);
    let mistyped = sandbox.refused(&["restart", "a", "bb"]);
    assert!(mistyped.contains("there is no instance bb") && pids(&sandbox) == before, "{mistyped}");
    sandbox.make("b", &spec(port(), &["sim_exit_after 0"]));
    let ran = sandbox.run(&["restart", "a", "b", "c", "a", "--wait"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("instance b did not come up"), "{ran:?}");
    let after = pids(&sandbox);
    assert!(after[0] != before[0] && after[2] == before[2], "{before:?} {after:?}");
    let done = sandbox.json(&["restart", "a", "c"]);
    assert_eq!(done["restarted"][1]["name"], "c");
    // One that does not run is started, as `systemctl restart` does.
    sandbox.ok(&["stop", "c"]);
    sandbox.ok(&["restart", "c"]);
    assert_eq!(sandbox.state("c"), "running");
}

#[test]
fn players_are_those_that_the_console_names() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["sim_players 6", "sim_bots 1"]);
    let document = sandbox.json(&["players", "a"]);
    let players = document["players"].as_array().unwrap();
    let names: Vec<&str> = players.iter().map(|player| player["name"].as_str().unwrap()).collect();
    let hostile = "\u{1b}[31mred\u{1b}[0m";
    assert_eq!(names[..5], ["Coach", "a \"quoted\" | name", hostile, "名前 # 3", "#end"]);
    let (coach, bot) = (&players[0], &players[6]);
    assert_eq!(
        [&coach["steam_id"], &coach["bot"], &coach["ping"]],
        [&json!("STEAM_1:0:1002"), &json!(false), &json!(66)]
    );
    assert!(coach["address"].as_str().unwrap().starts_with("192.0.2.") && coach["connected"] == 0, "{coach}");
    assert_eq!([&bot["name"], &bot["bot"], &bot["steam_id"]], [&json!("Bot 0"), &json!(true), &Value::Null]);
    let table = sandbox.ok(&["players", "a"]);
    assert!(table.starts_with("ID  NAME") && table.lines().count() == 8, "{table}");
    assert!(table.contains("\\u{1b}[31mred") && !table.contains('\u{1b}'), "{table}");
    assert!(sandbox.refused(&["players", "b"]).contains("there is no instance b"));
    sandbox.ok(&["stop", "a"]);
    let error = sandbox.refused(&["players", "a"]);
    assert!(error.starts_with("error: instance a does not run: it is stopped\nhint: `l4d2ctl start a`"), "{error}");
}
