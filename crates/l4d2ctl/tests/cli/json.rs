//! What programs read.

use serde_json::{Value, json};

use crate::{Sandbox, port};

/// The one document of a command, and its exit code.
fn document(sandbox: &Sandbox, args: &[&str]) -> (Value, i32) {
    let ran = sandbox.run(&[args, &["--json"]].concat());
    assert!(ran.stderr.is_empty(), "{args:?}: chatter on stderr: {ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "{args:?}: {ran:?}");
    (serde_json::from_str(&ran.stdout).unwrap(), ran.code)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn each_command_prints_one_document() {
    let sandbox = Sandbox::with_game();
    sandbox.write("spec.yaml", &format!("port: {}\n", port()));
    let (made, _) = document(&sandbox, &["initialize", "a", "-f", "spec.yaml"]);
    assert_eq!((&made["name"], &made["initialized"]["created"]), (&json!("a"), &json!(true)));
    assert_eq!(document(&sandbox, &["start", "a"]).0["started"]["already_running"], json!(false));
    let (status, _) = document(&sandbox, &["status"]);
    let fields = [
        "active_state",
        "build_id",
        "enabled",
        "live",
        "main_pid",
        "name",
        "pending",
        "pending_build_id",
        "port",
        "problems",
        "restarts",
        "result",
        "revision",
        "since",
        "staged_revision",
        "state",
        "sub_state",
        "supervisor",
    ];
    assert_eq!(keys(&status["instances"][0]), fields);
    assert_eq!(status["instances"][0]["main_pid"], Value::Null, "details are not asked of all");
    assert!(document(&sandbox, &["status", "a"]).0["instances"][0]["main_pid"].is_u64());
    assert_eq!(document(&sandbox, &["stop", "a"]).0, json!({ "name": "a", "stopped": true }));
    assert_eq!(document(&sandbox, &["reset", "a"]).0, json!({ "name": "a", "reset": true }));
    assert_eq!(document(&sandbox, &["delete", "a"]).0, json!({ "name": "a", "deleted": true, "existed": true }));
    assert_eq!(document(&sandbox, &["status"]).0, json!({ "instances": [], "problems": [] }));
    let (doctor, code) = document(&sandbox, &["doctor"]);
    assert_eq!(doctor["healthy"] == true, code == 0);
    assert_eq!(keys(&doctor["checks"][0]), ["fix", "found", "id", "state", "what"]);
}

#[test]
fn errors_are_documents_with_a_kind() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", "prot: 1\n");
    sandbox.write("gone.yaml", "port: 27015\noverlays: [gone]\n");
    for (args, kind, code) in [
        (&["start", "nobody"][..], "not-found", 1),
        (&["start", "Nobody"], "usage", 2),
        (&["start"], "usage", 2),
        (&["statsu"], "usage", 2),
        (&["initialize", "a", "-f", "bad.yaml"], "invalid-spec", 1),
        (&["initialize", "a", "-f", "gone.yaml"], "overlay-missing", 1),
        (&["install"], "steamcmd-missing", 1),
    ] {
        let (error, exit) = document(&sandbox, args);
        assert_eq!((error["error"]["kind"].as_str(), exit), (Some(kind), code), "{args:?}: {error}");
        assert_eq!(keys(&error), ["error"]);
        assert_eq!(keys(&error["error"]), ["hint", "kind", "message"]);
    }
}

#[test]
fn usage_errors_name_what_is_wrong() {
    let sandbox = Sandbox::new();
    let error = |args: &[&str]| document(&sandbox, args).0["error"].clone();
    let missing = error(&["start"]);
    assert_eq!(missing["message"], "the following required arguments were not provided: <NAME>");
    assert_eq!(missing["hint"], "usage: l4d2ctl start --json <NAME>");
    assert_eq!(error(&["demo", "--kepe"])["hint"], "a similar argument exists: '--keep'");
}

#[test]
fn log_lines_say_what_was_lost() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_hostile_output 1]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it printed", |s| s.run(&["logs", "a", "--no-follow"]).stdout.contains("reversed"));
    let log = sandbox.ok(&["logs", "a", "--no-follow", "--json"]);
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(keys(&entries[0]), ["cursor", "lossy", "message", "priority", "time"]);
    for entry in &entries {
        let replaced = entry["message"].as_str().unwrap().contains('\u{fffd}');
        assert_eq!(entry["lossy"], json!(replaced), "{entry}");
    }
    assert!(entries.iter().any(|entry| entry["lossy"] == true));
}

#[test]
fn install_streams_events() {
    let sandbox = Sandbox::new();
    let steamcmd = sandbox.steamcmd();
    let ran = sandbox.run_with(&["install", "--json"], &[("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap())]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        events.iter().any(|event| event["event"] == "update" && event["pass"] == "linux" && event["total"].is_u64())
    );
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["build_id"]), (&json!("installed"), &json!(9_450_001)));
}

#[test]
fn the_documented_kinds_are_the_kinds() {
    let guide = include_str!("../../../../docs/operating.md");
    let (_, kinds) = guide.split_once("| kind | meaning |\n| --- | --- |\n").unwrap();
    let rows = kinds.lines().map_while(|line| line.strip_prefix("| `")?.split_once("` |").map(|(kind, _)| kind));
    assert_eq!(rows.collect::<Vec<_>>(), l4d2host::ErrorKind::ALL.map(l4d2host::ErrorKind::as_str));
}
