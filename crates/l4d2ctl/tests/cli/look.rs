//! How it looks: tables at 80 and 200 columns, colours, what was probably meant, and what to do next.

use std::collections::BTreeSet;
use std::fs;

use crate::console::Seat;
use crate::updates::install;
use crate::{Sandbox, port};

/// What a command prints on a terminal, in lines.
fn on_terminal(sandbox: &Sandbox, args: &[&str], columns: u16, environment: &[(&str, &str)]) -> String {
    let mut command = sandbox.command(args);
    command.envs(environment.iter().copied());
    Seat::printed(command, columns).replace("\r\n", "\n")
}

const PLAIN: &[(&str, &str)] = &[("NO_COLOR", "1")];

const LONG: &str = "a-rather-long-name-that-somebody-gave-to-one-of-the-servers";

#[test]
fn the_table_of_instances_fits_the_terminal() {
    let sandbox = Sandbox::new();
    let port = port();
    for name in ["friday", LONG] {
        let own = if name == LONG { port } else { crate::port() };
        sandbox.make(name, &format!("port: {own}\n"));
    }
    fs::write(sandbox.root().join("instances/friday/instance.json"), "{").unwrap();
    let problem = "\nfriday: instance friday: instance.json can't be read: EOF while parsing an object at line 1 column 1\n  \
                   hint: `l4d2ctl initialize friday -f SPEC.yaml` writes its files anew\n";
    let wide = format!(
        "NAME                                                         STATE     PORT  PLAYERS  MAP  ENABLED  SINCE  NOTE\n\
         {LONG}  stopped  {port}  -        -    no           -\n\
         friday                                                       stopped      -  -        -    no           -  damaged\n\
         {problem}"
    );
    let narrow = format!(
        "NAME                    STATE     PORT  PLAYERS  MAP  ENABLED  SINCE  NOTE\n\
         a-rather-long-name-th…  stopped  {port}  -        -    no           -\n\
         friday                  stopped      -  -        -    no           -  damaged\n\
         {problem}"
    );
    assert_eq!(on_terminal(&sandbox, &["status"], 200, PLAIN), wide);
    assert_eq!(on_terminal(&sandbox, &["status"], 77, PLAIN), narrow);
    let ascii = narrow.replace("name-th…", "name-...");
    assert_eq!(on_terminal(&sandbox, &["status"], 77, &[("NO_COLOR", "1"), ("LC_ALL", "C")]), ascii);
    // Whoever reads a pipe gets all of it.
    assert_eq!(sandbox.ok(&["status"]), wide);
    for columns in [80, 200] {
        let table = on_terminal(&sandbox, &["status"], columns, PLAIN);
        let rows = table.lines().take(3);
        assert!(rows.into_iter().all(|row| row.chars().count() <= columns.into()), "{table}");
        assert!(table.lines().all(|line| line.trim_end() == line), "{table}");
    }
}

#[test]
fn the_table_of_builds_fits_the_terminal() {
    let sandbox = Sandbox::with_game();
    let names: Vec<String> = (0..9).map(|number| format!("{}-{number}", &LONG[..20])).collect();
    for name in &names {
        sandbox.make(name, &format!("port: {}\n", port()));
    }
    let versions = sandbox.root().join("versions.json");
    let mut written: serde_json::Value = serde_json::from_slice(&fs::read(&versions).unwrap()).unwrap();
    written["versions"][0]["installed_at"] = serde_json::Value::Null;
    fs::write(&versions, written.to_string()).unwrap();
    let size = sandbox.json(&["versions"])["versions"][0]["own_size"].as_u64().unwrap() >> 20;
    let head =
        format!("BUILD      INSTALLED    SIZE  RUNNING  AT NEXT START\n9450001 *          -  {size} MiB  -        ");
    let [first, second, third] = [&names[0], &names[1], &names[2]];
    let at = |columns| on_terminal(&sandbox, &["versions"], columns, PLAIN);
    assert_eq!(at(80), format!("{head}{first} +8\n"));
    assert_eq!(at(120), format!("{head}{first}, {second}, {third} +6\n"));
    assert_eq!(sandbox.ok(&["versions"]), format!("{head}{}\n", names.join(", ")));
}

#[test]
fn players_and_checks_are_tables_too() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["sim_players 1"]);
    let players = on_terminal(&sandbox, &["players", "a"], 80, PLAIN);
    let mut lines = players.lines();
    assert_eq!(lines.next(), Some("ID  NAME   STEAMID         CONNECTED  PING  LOSS  ADDRESS"), "{players}");
    assert!(lines.next().unwrap().contains("  Coach  STEAM_1:0:1002    "), "{players}");
    let doctor = on_terminal(&sandbox, &["doctor"], 80, PLAIN);
    assert!(doctor.starts_with("STATE     CHECK             FOUND\nok        kernel overlayfs  "), "{doctor}");
    fs::remove_file(sandbox.root().join("installation/srcds_run")).unwrap();
    let doctor = sandbox.run(&["doctor"]).stdout;
    let (_, game) = doctor.split_once("missing   the game          ").unwrap();
    assert_eq!(game.lines().nth(1), Some("  hint: l4d2ctl install"), "{doctor}");
}

#[test]
fn colours_are_where_they_are_wanted_and_say_nothing_alone() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &[]);
    let green = "\u{1b}[38;5;28mrunning\u{1b}[0m";
    let shown = |environment: &[(&str, &str)]| on_terminal(&sandbox, &["status"], 80, environment);
    let coloured = shown(&[]);
    assert!(coloured.starts_with("\u{1b}[1mNAME\u{1b}[0m  \u{1b}[1mSTATE\u{1b}[0m") && coloured.contains(green));
    assert!(shown(&[("NO_COLOR", "")]).contains(green));
    assert!(on_terminal(&sandbox, &["status", "a"], 80, &[]).contains(green));
    // SINCE may have become one more meanwhile.
    let columns = |text: &str| {
        text.lines().map(|line| line.split_whitespace().take(6).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let plain = sandbox.ok(&["status"]);
    for environment in [&[("NO_COLOR", "1")], &[("TERM", "dumb")]] {
        let shown = shown(environment);
        assert!(!shown.contains('\u{1b}'), "{environment:?}: {shown}");
        assert_eq!(columns(&shown), columns(&plain));
    }
    let mut told = coloured.replace("\u{1b}[0m", "");
    for code in ["\u{1b}[1m", "\u{1b}[38;5;28m"] {
        told = told.replace(code, "");
    }
    assert_eq!(columns(&told), columns(&plain), "a colour is all that differs");
    let error = on_terminal(&sandbox, &["start", "b"], 80, &[]);
    assert!(
        error.starts_with("\u{1b}[38;5;160merror:\u{1b}[0m there is no instance b\n\u{1b}[38;5;30mhint:\u{1b}[0m "),
        "{error}"
    );
    assert!(sandbox.refused(&["start", "b"]).starts_with("error: there is no instance b\nhint: "));
    let usage = on_terminal(&sandbox, &["statsu"], 80, &[]);
    assert!(
        usage.starts_with("\u{1b}[38;5;160merror:\u{1b}[0m ") && usage.contains("\n\u{1b}[38;5;30mhint:\u{1b}[0m "),
        "{usage}"
    );
    assert!(!on_terminal(&sandbox, &["statsu"], 80, PLAIN).contains('\u{1b}'));
}

#[test]
fn every_command_that_takes_a_name_says_which_was_meant() {
    let sandbox = Sandbox::with_game();
    for name in ["friday", "league"] {
        sandbox.make(name, &format!("port: {}\n", port()));
    }
    let help = sandbox.ok(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).map_while(|line| line.strip_prefix("  "));
    for command in listed.filter_map(|line| line.split_whitespace().next()) {
        let args: &[&str] = match command {
            "start" | "restart" | "stop" | "reset" | "status" | "players" | "logs" | "console" => &["firday"],
            "rcon" | "say" | "kick" | "ban" => &["firday", "x"],
            "rollout" => &["--canary", "firday"],
            // That is no error.
            "delete" => {
                let ran = sandbox.run(&["delete", "firday"]);
                assert_eq!(ran.stderr, "hint: did you mean friday? `l4d2ctl status` lists all\n");
                continue;
            }
            // This one makes what is not there; the others take no instance's name.
            "initialize" | "install" | "versions" | "overlays" | "rollback" | "verify" | "prune" | "metrics"
            | "doctor" | "demo" | "top" | "help" => continue,
            other => panic!("does {other} take a name?"),
        };
        if command == "rollout" {
            assert_eq!(install(&sandbox, 9_450_002, &[]).code, 0);
            sandbox.ok(&["rollback"]);
            sandbox.ok(&["start", "friday"]);
            sandbox.ok(&["rollback", "9450002"]);
        }
        let error = sandbox.refused(&[&[command], args].concat());
        assert_eq!(
            error,
            "error: there is no instance firday\nhint: did you mean friday? `l4d2ctl status` lists all\n"
        );
    }
    assert!(sandbox.refused(&["start", "x"]).contains("hint: `l4d2ctl status` lists them"));
}

#[test]
fn overlays_builds_keys_and_commands_that_were_meant() {
    let sandbox = Sandbox::with_game();
    for overlay in ["competitive/base", "standard"] {
        fs::create_dir_all(sandbox.root().join("overlays").join(overlay)).unwrap();
    }
    for (typed, meant) in [("standart", "standard"), ("competetive/bsae", "competitive/base")] {
        let ran = sandbox.initialize("a", &format!("port: 27015\noverlays: [{typed}]\n"));
        assert!(
            ran.stderr.contains(&format!("hint: did you mean {meant}? Otherwise put the overlay's files into ")),
            "{ran:?}"
        );
    }
    for other in ["x", "standard/base", "competitive/x"] {
        let ran = sandbox.initialize("a", &format!("port: 27015\noverlays: [{other}]\n"));
        assert!(ran.stderr.contains("hint: put the overlay's files into "), "{ran:?}");
    }
    let refused = sandbox.refused(&["rollback", "945001"]);
    assert!(refused.contains("hint: did you mean 9450001? there are: 9450001"), "{refused}");
    assert!(sandbox.refused(&["rollback", "1"]).contains("hint: there are: 9450001"));
    assert!(sandbox.initialize("a", "port: 27015\nargument: []\n").stderr.contains("did you mean arguments?"));
    let ran = sandbox.run(&["stauts"]);
    assert!(
        ran.code == 2
            && ran.stderr.contains("\nhint: ")
            && ran.stderr.contains("'status'")
            && ran.stderr.contains("Usage: "),
        "{ran:?}"
    );
}

#[test]
fn without_a_command_the_next_one_is_named() {
    let sandbox = Sandbox::new();
    let said = || {
        let ran = sandbox.run(&[]);
        let json = sandbox.run(&["--json"]);
        assert!(ran.code == 2 && ran.stdout.is_empty() && ran.stderr.contains("Usage: l4d2ctl"), "{ran:?}");
        let (_, hint) = ran.stderr.rsplit_once("\n\nhint: ").unwrap();
        let error: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let error = &error["error"];
        assert_eq!((&error["kind"], json.code), (&"usage".into(), 2));
        assert_eq!(error["hint"].as_str().unwrap(), hint.trim_end());
        hint.to_owned()
    };
    fs::remove_dir(sandbox.root()).unwrap();
    assert!(said().starts_with("this host is not set up yet: the root directory ") && !sandbox.root().exists());
    fs::create_dir(sandbox.root()).unwrap();
    assert!(said().contains("`l4d2ctl doctor` says what this host lacks, and `l4d2ctl install` brings"));
    assert_eq!(sandbox.tree().len(), 1, "something was made");
    assert_eq!(install(&sandbox, 9_450_001, &[]).code, 0);
    assert!(said().contains("`l4d2ctl initialize NAME -f SPEC.yaml` makes one"));
    sandbox.make("a", &format!("port: {}\n", port()));
    assert!(said().starts_with("`l4d2ctl status` shows the instances"));
}

#[test]
fn builds_that_can_t_be_read_are_told_of_once() {
    let sandbox = Sandbox::with_game();
    for name in ["a", "b"] {
        sandbox.make(name, &format!("port: {}\n", port()));
    }
    fs::write(sandbox.root().join("versions.json"), "{").unwrap();
    let words = "which build the next starts bring is not known: ";
    for args in [&["status"][..], &["status", "a", "b"]] {
        let shown = sandbox.ok(args);
        assert_eq!(shown.matches(words).count(), 1, "{shown}");
        assert!(shown.contains("\n\nwhich build") && shown.contains("\n  hint: put it back from a backup"), "{shown}");
        assert_eq!(sandbox.json(args)["problems"][0]["kind"], "builds-unknown");
    }
    for name in ["a", "b"] {
        sandbox.ok(&["delete", name]);
    }
    assert!(sandbox.ok(&["status"]).starts_with(words));
}

#[test]
fn what_is_repaired_above_is_said_to_be() {
    let sandbox = Sandbox::with_game();
    fs::write(sandbox.root().join("installation/left4dead2/gameinfo.txt"), "rotten").unwrap();
    let damaged = sandbox.run(&["verify"]);
    assert!(damaged.stdout.starts_with("installation: left4dead2/gameinfo.txt has other content\n"), "{damaged:?}");
    assert!(damaged.stderr.contains("hint: `l4d2ctl install` has SteamCMD bring"), "{damaged:?}");
    assert_eq!(install(&sandbox, 9_450_001, &[]).code, 0);
    let repaired = sandbox.run(&["verify"]);
    let line = "gameinfo.txt has other content; the current build has it anew, from a layer above\n";
    assert!(repaired.code == 1 && repaired.stdout.contains(line), "{repaired:?}");
    assert!(repaired.stderr.contains("nothing is left to repair") && repaired.stderr.contains("prune"), "{repaired:?}");
    // What is said to help does.
    sandbox.ok(&["prune", "--keep", "0"]);
    assert!(sandbox.ok(&["verify"]).starts_with("everything is as it was installed"));
    // A repair that is damaged itself is none.
    fs::write(sandbox.root().join("installation/left4dead2/gameinfo.txt"), "rotten").unwrap();
    assert_eq!(install(&sandbox, 9_450_001, &[]).code, 0);
    let generation = fs::read_dir(sandbox.root().join("generations")).unwrap().next().unwrap().unwrap().path();
    fs::write(generation.join("left4dead2/gameinfo.txt"), "rotten, too").unwrap();
    assert!(!sandbox.run(&["verify"]).stdout.contains("from a layer above"));
}

#[test]
fn a_full_disk_in_an_update_is_not_that_of_a_fresh_install() {
    let fresh = Sandbox::new();
    let ran = install(&fresh, 9_450_001, &[("LEFT4ME_SIM_STEAM_FAIL", "disk-full")]);
    assert!(
        ran.stderr.contains("hint: make room") && ran.stderr.contains("a fresh installation takes 12 GiB"),
        "{ran:?}"
    );
    let sandbox = Sandbox::with_game();
    let ran = install(&sandbox, 9_450_002, &[("LEFT4ME_SIM_STEAM_FAIL", "disk-full")]);
    assert!(ran.stderr.contains("hint: make room") && !ran.stderr.contains("GiB"), "{ran:?}");
}

#[test]
fn progress_is_told_once_in_a_pipe_and_drawn_on_a_terminal() {
    let sandbox = Sandbox::new();
    let ran = install(&sandbox, 9_450_001, &[]);
    // Each pass has a SteamCMD of its own, which says the same at its begin.
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| !line.starts_with("Step: SteamCMD: ")).collect();
    assert!(lines.iter().any(|line| line.starts_with("Step: linux: ")), "{ran:?}");
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{ran:?}");
    let steamcmd = sandbox.steamcmd();
    let environment =
        |term| [("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap()), ("TERM", term), ("LEFT4ME_SIM_STEAM_SLOW", "2")];
    let drawn = on_terminal(&sandbox, &["install"], 80, &environment("xterm"));
    assert!(drawn.contains("% █") && drawn.contains("B/s") && drawn.contains("Step: installing app"), "{drawn}");
    let ascii = [&environment("xterm")[..], &[("LANG", "C")]].concat();
    let drawn = on_terminal(&Sandbox::new(), &["install"], 80, &ascii);
    assert!(drawn.is_ascii() && drawn.contains("% =") && drawn.contains("> "), "{drawn}");
    // Where it would take two lines, only half of it would be drawn again.
    let drawn = on_terminal(&Sandbox::new(), &["install"], 50, &environment("xterm"));
    let drawings: Vec<&str> = drawn.split(['\r', '\n']).filter(|part| part.starts_with("\u{1b}[2Kwindows: ")).collect();
    let columns = |drawing: &&str| drawing.trim_start_matches("\u{1b}[2K").chars().count();
    assert!(drawings.iter().any(|drawing| drawing.ends_with('%')), "{drawn}");
    assert!(drawings.iter().all(|drawing| columns(drawing) <= 50), "{drawings:?}");
    let dumb = on_terminal(&sandbox, &["install"], 80, &environment("dumb"));
    assert!(!dumb.contains(['\u{1b}', '\r', '%']) && dumb.contains("Step: linux: "), "{dumb}");
}

/// What is drawn again and again takes one line, says what counts on it, and leaves none behind.
#[test]
fn who_is_waited_for_is_drawn_on_one_line() {
    let sandbox = Sandbox::with_game();
    sandbox.up("a", &["sim_players 4"]);
    let drawn = on_terminal(&sandbox, &["restart", "a", "--when-empty=2s"], 60, PLAIN);
    let frames: Vec<&str> = drawn.split(['\r', '\n']).map(|frame| frame.trim_start_matches("\u{1b}[2K")).collect();
    let waiting = frames.iter().filter(|frame| frame.starts_with("waiting for a, "));
    let waiting: Vec<usize> = waiting
        .map(|frame| {
            assert!(frame.contains(" s left: 4 players on it (Coach, ") && frame.ends_with('…'), "{frame:?}");
            frame.chars().count()
        })
        .collect();
    assert!(!waiting.is_empty() && waiting.iter().all(|width| *width <= 60), "{waiting:?}: {drawn:?}");
    let lines: Vec<&str> = drawn.lines().map(|line| line.rsplit("\u{1b}[2K").next().unwrap()).collect();
    let ended = ["a: the deadline has come, with 4 players on it", "instance a restarted"];
    assert!(lines.ends_with(&ended) && lines.iter().all(|line| !line.is_empty()), "{drawn:?}");
}
