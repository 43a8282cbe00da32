//! What `--json` prints, held against docs/schema: every line of every run of every test.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use crate::{Sandbox, demo, metrics, port};

/// Where a reference from one file to another begins.
const BASE: &str = "json-schema:///";

/// The schemas by their command, as they are on disk.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let schema = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let schema = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().unwrap().to_string_lossy().into_owned(), schema)
    };
    files.map(schema).collect()
});

static VALIDATORS: LazyLock<BTreeMap<&'static str, Validator>> = LazyLock::new(|| {
    let mut registry = Registry::new();
    for (name, schema) in &*SCHEMAS {
        registry = registry.add(format!("{BASE}{name}.json"), schema).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let of = |name: &'static String| {
        let whole =
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": format!("{BASE}{name}.json") });
        (name.as_str(), jsonschema::options().with_registry(&registry).build(&whole).unwrap())
    };
    SCHEMAS.keys().map(of).collect()
});

thread_local! {
    /// Each schema, and each event of one that streams, that this test's documents have met.
    static MET: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Holds what a command printed against its schema, where it was to print JSON.
pub(crate) fn check(args: &[&str], stdout: &str) {
    let mut own = args.iter().take_while(|arg| **arg != "--");
    if !own.any(|arg| *arg == "--json") {
        return;
    }
    // A value of --lock-timeout is no command.
    let command = args.iter().find(|arg| SCHEMAS.contains_key(**arg) && **arg != "error").copied();
    for line in stdout.lines() {
        let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{args:?}: {error}: {line}"));
        let is_error = document.get("error").is_some() && document.get("event").is_none();
        let name = if is_error { "error" } else { command.unwrap_or_else(|| panic!("{args:?} has no schema")) };
        let errors: Vec<String> = VALIDATORS[name].iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{args:?}: {errors:#?}\nis what docs/schema/{name}.json says of {line}");
        MET.with_borrow_mut(|met| met.insert(met_as(name, document["event"].as_str())));
    }
}

fn met_as(name: &str, event: Option<&str>) -> String {
    event.map_or_else(|| name.to_owned(), |event| format!("{name}: {event}"))
}

/// All objects that a schema describes.
fn objects<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    match schema {
        Value::Object(members) => {
            found.extend(members.contains_key("properties").then_some(schema));
            members.values().for_each(|member| objects(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        _ => {}
    }
}

#[test]
fn schemas_are_whole_and_described() {
    for (name, schema) in &*SCHEMAS {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(schema["title"].is_string(), "{name}");
        let mut found = Vec::new();
        objects(schema, &mut found);
        for object in found {
            let properties = object["properties"].as_object().unwrap();
            assert_eq!(object["additionalProperties"], json!(false), "{name}: {object}");
            let required: BTreeSet<&str> =
                object["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
            assert_eq!(required, properties.keys().map(String::as_str).collect(), "{name}: each is always there");
            for (key, property) in properties {
                assert!(property["description"].is_string() || property["$ref"].is_string(), "{name}: {key}");
            }
        }
    }
    let kinds = l4d2host::ErrorKind::ALL.map(l4d2host::ErrorKind::as_str);
    assert_eq!(SCHEMAS["error"]["$defs"]["error"]["properties"]["kind"]["enum"], json!(kinds));
}

/// The documents' table says the same: each word of it is in the schema, and each first word of the schema is in it.
#[test]
fn the_guide_says_what_the_schemas_say() {
    let guide = include_str!("../../../../docs/operating.md");
    let rows = |heading: &str| -> Vec<(String, String)> {
        let (_, table) = guide.split_once(&format!("{heading}\n| --- | --- |\n")).unwrap();
        let rows = table.lines().map_while(|line| line.strip_prefix("| ")?.split_once(" | "));
        rows.map(|(first, rest)| (first.to_owned(), rest.to_owned())).collect()
    };
    let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (commands, document) in rows("| command | document |") {
        for command in commands.split('`').skip(1).step_by(2).map(|text| text.split(' ').next().unwrap()) {
            if !command.starts_with('-') {
                told.entry(command.to_owned()).or_default().extend(quoted(&document));
            }
        }
    }
    for (event, _) in rows("| event | is |") {
        told.entry("rollout".to_owned()).or_default().extend(quoted(&event));
    }
    let schemas: BTreeSet<&str> = SCHEMAS.keys().map(String::as_str).filter(|name| *name != "error").collect();
    assert_eq!(told.keys().map(String::as_str).collect::<BTreeSet<_>>(), schemas);
    for (command, told) in told {
        let mut all = BTreeSet::new();
        let mut found = Vec::new();
        SCHEMAS.values().for_each(|schema| objects(schema, &mut found));
        for object in found {
            let properties = object["properties"].as_object().unwrap();
            all.extend(properties.keys().cloned());
            all.extend(properties.values().filter_map(|property| property["const"].as_str().map(str::to_owned)));
        }
        let mut own = Vec::new();
        objects(&SCHEMAS[&command], &mut own);
        let of = |object: &&Value| object["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        // What is told of by itself below the table.
        let elsewhere = ["live", "problem"].map(|name| &SCHEMAS["status"]["$defs"][name]);
        let own: BTreeSet<String> = own.iter().filter(|object| !elsewhere.contains(object)).flat_map(of).collect();
        let missing: Vec<_> = own.difference(&told).collect();
        assert!(missing.is_empty(), "{command}: {missing:?} is not in the table");
        let unknown: Vec<_> = told.difference(&all).collect();
        assert!(unknown.is_empty(), "{command}: no schema has {unknown:?}");
    }
}

#[test]
fn every_schema_and_every_event_is_met() {
    let sandbox = Sandbox::new();
    let steamcmd = sandbox.steamcmd();
    let run = |args: &[&str], environment: &[(&str, &str)], code: i32| {
        let environment = [&[("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap())], environment].concat();
        let ran = sandbox.run_with(&[args, &["--json"]].concat(), &environment);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
    };
    run(&["start"], &[], 2);
    run(&["install"], &[("LEFT4ME_SIM_STEAM_FAIL", "network:1")], 0);
    run(&["install", "--check"], &[], 0);
    let spec = |players: u32| format!("port: {}\nconfig: [sim_players {players}, exec trouble.cfg]\n", port());
    for (name, players) in [("a", 0), ("b", 2)] {
        sandbox.write("spec.yaml", &spec(players));
        run(&["initialize", name, "-f", "spec.yaml"], &[], 0);
        run(&["start", name, "--wait"], &[], 0);
    }
    sandbox.make("crashing", &format!("port: {}\nconfig: [sim_exit_after 0]\n", port()));
    run(&["start", "crashing"], &[], 0);
    run(&["restart", "a", "--wait"], &[], 0);
    for args in [
        &["status"][..],
        &["status", "b"],
        &["players", "b"],
        &["logs", "b", "--no-follow"],
        &["rcon", "b", "status"],
        &["say", "b", "x"],
        &["kick", "b", "1001"],
        &["ban", "b", "STEAM_1:0:7"],
        &["metrics"],
        &["metrics", "--output", "file"],
        &["doctor"],
    ] {
        if args[0] == "kick" {
            let players = sandbox.json(&["players", "b"]);
            let id = players["players"][0]["user_id"].to_string();
            run(&["kick", "b", &id], &[], 0);
            continue;
        }
        run(args, &[], 0);
    }
    run(&["install"], &[("LEFT4ME_SIM_BUILD", "9450002")], 0);
    sandbox.wait("it crashes", |s| s.state("crashing") == "crash-looping");
    run(&["rollout", "--soak", "1", "--when-empty=1s"], &[], 0);
    run(&["install"], &[("LEFT4ME_SIM_BUILD", "9450003")], 0);
    sandbox.write("root/generations/9450003/left4dead2/cfg/trouble.cfg", "sim_hang 1");
    run(&["rollout", "--wait", "1", "--canary", "a"], &[], 1);
    // What was put there to be in its way is what no install brought.
    run(&["verify"], &[], 1);
    for args in
        [&["versions"][..], &["overlays"], &["rollback"], &["prune"], &["stop", "a"], &["reset", "a"], &["delete", "a"]]
    {
        run(args, &[], 0);
    }
    demo::keep_for_programs(&sandbox);
    metrics::listen_for_programs(&sandbox);
    let mut all = BTreeSet::new();
    for (name, schema) in &*SCHEMAS {
        let mut found = Vec::new();
        objects(schema, &mut found);
        // Where the documents of one command have no common shape, some say which they are.
        all.extend(found.iter().map(|object| met_as(name, object["properties"]["event"]["const"].as_str())));
    }
    // A console's lines come from stdin, which a test of its own gives.
    all.remove("console");
    // They have no document without an event; those of the first are the demo's, too.
    for name in ["install", "rollout"] {
        all.remove(name);
    }
    all.extend(["demo: step", "demo: update"].map(str::to_owned));
    MET.with_borrow(|met| assert_eq!(*met, all));
}
