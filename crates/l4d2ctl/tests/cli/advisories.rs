//! Mistakes of others, each tried on the command line: the class is the test's name, and above it stands the public identifier
//! of a case. `docs/security.md` has the whole table.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::files::{NOBODY, is_root};
use crate::{Ran, Sandbox, port};

/// Puts something where a file of ours should be.
type Plant = fn(&Path);

/// A run that ends, or has failed: `timeout` gives it 30 s.
fn bounded(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let run = sandbox.command(args);
    let mut command = Command::new("timeout");
    command.arg("30").arg(run.get_program()).args(run.get_args()).env_clear();
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&command.current_dir(sandbox.dir.path()).stdin(std::process::Stdio::null()).output().unwrap())
}

/// CVE-2025-69198: a limit was checked without a lock, so that two at once both passed. A port is one instance's.
#[test]
fn a_limit_holds_for_many_at_once() {
    let sandbox = Sandbox::new();
    for round in 0..5 {
        sandbox.write("spec.yaml", &format!("port: {}\n", port()));
        let names: Vec<String> = (0..8).map(|n| format!("r{round}n{n}")).collect();
        let running: Vec<_> = names
            .iter()
            .map(|name| {
                let mut command = sandbox.command(&["initialize", name, "-f", "spec.yaml"]);
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ran: Vec<Ran> = running.into_iter().map(|child| Ran::of(&child.wait_with_output().unwrap())).collect();
        assert_eq!(ran.iter().filter(|ran| ran.code == 0).count(), 1, "{ran:?}");
        for loser in ran.iter().filter(|ran| ran.code != 0) {
            assert!(loser.code == 1 && loser.stderr.contains("is instance r"), "{loser:?}");
        }
    }
    assert_eq!(sandbox.json(&["status"])["instances"].as_array().unwrap().len(), 5);
}

/// CVE-2023-32080: what a user typed was run by a shell, as root.
#[test]
fn what_is_typed_is_text_to_every_shell() {
    let sandbox = Sandbox::with_game();
    let ran = sandbox.dir.path().join("ran");
    let touch = format!("touch {}", ran.display());
    for typed in [
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("x;{touch};x"),
        format!("x|{touch}&{touch}&&{touch}"),
        format!("'{touch}'"),
        format!("x'; {touch} #"),
        format!("\\'; {touch} #\\"),
        "$HOME ${IFS} ~ * ?".to_owned(),
        "%i %n %H %% @ROOT@ {name}".to_owned(),
        "<(id) >/tmp/x $'\\x41'".to_owned(),
    ] {
        let quoted = typed.replace('\'', "''");
        let spec = format!("port: {}\narguments: [\"+hostname\", '{quoted}']\nconfig: ['{quoted}']\n", port());
        sandbox.make("a", &spec);
        sandbox.ok(&["start", "a"]);
        let pid = sandbox.json(&["status", "a"])["instances"][0]["main_pid"].as_u64().unwrap();
        sandbox.wait("the script has become the game", |_| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "srcds_linux\n")
        });
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let given = arguments.split(|&b| b == 0).any(|argument| argument == typed.as_bytes());
        assert!(given, "{typed:?} is not in {}", String::from_utf8_lossy(&arguments));
        let cfg = fs::read_to_string(sandbox.root().join("runtime/a/upper/left4dead2/cfg/server.cfg")).unwrap();
        assert!(cfg.lines().any(|line| line == typed), "{cfg}");
        sandbox.ok(&["stop", "a"]);
        assert!(!ran.exists(), "{typed:?} ran");
    }
    for text in ["a\\nb", "a\\rb", "a\\0b", "a\\eb"] {
        let spec = format!("port: {}\narguments: [\"{text}\"]\n", port());
        let refused = sandbox.initialize("a", &spec);
        assert!(refused.code == 1 && refused.stderr.contains("control character"), "{text}: {refused:?}");
    }
}

/// GHSA-ghrq-5wpp-hxx5: one crafted input, and the daemon was down with all that it ran. There is no daemon here, and what
/// lies in one instance's directory is nothing to another's.
#[test]
fn one_instance_s_hostile_files_stop_no_other() {
    let sandbox = Sandbox::with_game();
    sandbox.make("good", &format!("port: {}\n", port()));
    sandbox.ok(&["start", "good"]);
    let bad = format!("port: {}\n", port());
    let plant: [(&str, Plant); 6] = [
        ("a FIFO", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
        ("a directory", |path| fs::create_dir_all(path.join("x/y")).unwrap()),
        ("a link to an endless file", |path| symlink("/dev/zero", path).unwrap()),
        ("64 MiB", |path| fs::File::create(path).unwrap().set_len(64 << 20).unwrap()),
        ("bytes", |path| fs::write(path, [0, 255, 27, 93, 10]).unwrap()),
        ("nested brackets", |path| fs::write(path, "[".repeat(200_000)).unwrap()),
    ];
    for file in [
        "instances/bad/instance.json",
        "instances/bad/rcon_password",
        "instances/bad/staged",
        "instances/bad/staged/layers",
        "instances/bad/staged/launch",
        "instances/bad",
        "runtime/bad/supervisor.json",
        "runtime/bad/upper",
    ] {
        for (what, plant) in plant {
            let case = format!("{what} at {file}");
            bounded(&sandbox, &["delete", "bad"]);
            for left in ["instances/bad", "runtime/bad"] {
                // What delete has refused to touch goes by hand.
                let left = sandbox.root().join(left);
                let _ = fs::remove_file(&left).or_else(|_| fs::remove_dir_all(&left));
            }
            sandbox.make("bad", &bad);
            let path = sandbox.root().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            plant(&path);
            for args in [
                &["status"][..],
                &["status", "bad"],
                &["logs", "bad", "--no-follow"],
                &["start", "bad"],
                &["reset", "bad"],
                &["stop", "bad"],
            ] {
                let ran = bounded(&sandbox, args);
                // 124 is a hang, 101 a panic; anything else is an answer.
                assert!(matches!(ran.code, 0 | 1), "{case}: {args:?}: {ran:?}");
                assert!(ran.code == 0 || ran.stderr.starts_with("error: "), "{case}: {args:?}: {ran:?}");
            }
            assert_eq!(sandbox.state("good"), "running", "{case}");
        }
    }
    sandbox.ok(&["stop", "good"]);
    sandbox.ok(&["start", "good"]);
}

/// RUSTSEC-2025-0055: escape sequences of whoever could get a line into a log reached the terminal of whoever read it.
#[test]
fn no_escape_sequence_reaches_a_terminal() {
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\nconfig: [sim_hostile_output 1]\n", port()));
    sandbox.ok(&["start", "a"]);
    sandbox.wait("it has printed", |s| {
        fs::read(s.root().join("runtime/a/log/current")).is_ok_and(|log| log.len() > 100_000)
            || s.run(&["logs", "a", "--no-follow"]).stdout.len() > 100_000
    });
    let on_a_terminal = |args: &str| {
        let own = sandbox.command(&[]);
        let line = format!("'{}' {args}", own.get_program().display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
        script.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        script.current_dir(sandbox.dir.path()).stdin(std::process::Stdio::null()).output().unwrap().stdout
    };
    let piped = sandbox.command(&["logs", "a", "--no-follow"]).output().unwrap().stdout;
    assert!(piped.contains(&0x1b) && piped.contains(&7), "the log holds none");
    let shown = on_a_terminal("logs a --no-follow");
    assert!(String::from_utf8_lossy(&shown).contains("\\u{1b}]0;title"), "{}", String::from_utf8_lossy(&shown));
    harmless("logs", &shown);
    // Errors quote what others wrote, and so do notes in the table.
    let json = sandbox.root().join("instances/a/instance.json");
    fs::write(&json, "{\"format\": 1, \"\u{1b}]0;owned\u{7}\u{202e}\": \"\u{9b}31m\"}").unwrap();
    for args in ["status", "status a", "start a", "reset '\u{1b}[31m'"] {
        harmless(args, &on_a_terminal(args));
    }
}

/// Only what l4d2ctl itself draws with: colours of its own.
fn harmless(what: &str, shown: &[u8]) {
    let text = String::from_utf8(shown.to_vec()).unwrap();
    let colours = [28, 30, 130, 160].map(|colour| format!("\u{1b}[38;5;{colour}m"));
    let own = colours.into_iter().chain(["\u{1b}[0m", "\u{1b}[1m"].map(str::to_owned));
    let rest = own.fold(text, |text, code| text.replace(&code, ""));
    let bad = rest.chars().find(|c| (c.is_control() && !"\n\r\t".contains(*c)) || *c == '\u{202e}');
    assert_eq!(bad, None, "{what}: {rest:?}");
}

/// runc CVE-2026-41579, nomad#23738: a link among the parents of a path in an image was followed on the host. An overlay is
/// somebody's archive, unpacked.
#[test]
fn a_linked_parent_in_a_layer_is_not_followed() {
    let sandbox = Sandbox::with_game();
    sandbox.write("secret/left4dead2/cfg/server.cfg", "rcon_password_of_another 1\n");
    let secret = sandbox.dir.path().join("secret");
    let before = fs::read(secret.join("left4dead2/cfg/server.cfg")).unwrap();
    for (link, target) in [
        ("left4dead2", "left4dead2"),
        ("left4dead2/cfg", "left4dead2/cfg"),
        ("left4dead2/cfg/server.cfg", "left4dead2/cfg/server.cfg"),
    ] {
        let overlay = sandbox.root().join("overlays/evil");
        let _ = fs::remove_dir_all(&overlay);
        fs::create_dir_all(overlay.join(link).parent().unwrap()).unwrap();
        symlink(secret.join(target), overlay.join(link)).unwrap();
        // Read for its alias: refused.
        sandbox.make("a", &format!("port: {}\noverlays: [{{path: evil, alias: evil}}]\n", port()));
        assert!(sandbox.refused(&["start", "a"]).contains("symbolic links"), "{link}");
        // Written to, where it lies below what is staged: a directory of the instance's own hides it.
        sandbox.make("a", &format!("port: {}\noverlays: [evil]\nconfig: [own 1]\n", port()));
        sandbox.ok(&["start", "a"]);
        sandbox.ok(&["stop", "a"]);
        assert_eq!(fs::read(secret.join("left4dead2/cfg/server.cfg")).unwrap(), before, "{link}");
        let upper = fs::read_to_string(sandbox.root().join("runtime/a/upper/left4dead2/cfg/server.cfg")).unwrap();
        assert!(upper.contains("own 1") && !upper.contains("of_another"), "{link}: {upper}");
        sandbox.ok(&["delete", "a"]);
    }
    assert_eq!(fs::read_dir(secret.join("left4dead2/cfg")).unwrap().count(), 1);
}

/// CVE-2026-26016, GHSA-v97c-v3vw-p5ff: one route of many asked nobody whose the object was. Every command that `--help` lists
/// is tried here by one who does not own the root directory.
#[test]
fn no_command_forgets_to_ask_whose_the_root_is() {
    if !is_root() {
        // Only root can be somebody else; as root this same test runs.
        return;
    }
    let sandbox = Sandbox::new();
    let public = tempfile::tempdir().unwrap();
    for directory in ["root", "home"] {
        fs::create_dir(public.path().join(directory)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_l4d2ctl"), public.path().join("l4d2ctl")).unwrap();
    fs::write(public.path().join("spec.yaml"), format!("port: {}\n", port())).unwrap();
    // All may read and write here, so that nothing but the question itself is in the way.
    assert!(Command::new("chmod").args(["-R", "a+rwX"]).arg(public.path()).status().unwrap().success());
    let help = sandbox.ok(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).map_while(|line| line.strip_prefix("  "));
    let commands: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 8, "{help}");
    for command in commands {
        let args: &[&str] = match command {
            "install" | "versions" | "overlays" | "rollout" | "rollback" | "verify" | "prune" | "status"
            | "metrics" | "top" => &[],
            "initialize" => &["a", "-f", "spec.yaml"],
            "start" | "restart" | "stop" | "delete" | "reset" | "players" | "logs" | "console" => &["a"],
            "rcon" | "say" | "kick" | "ban" => &["a", "x"],
            // These two look at no root directory that is there, or only say what they see.
            "demo" | "doctor" | "help" => continue,
            other => panic!("with which arguments is {other} to be tried?"),
        };
        let mut other = Command::new("setpriv");
        other.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups");
        other.arg(public.path().join("l4d2ctl")).arg(command).args(args).env_clear().current_dir(public.path());
        other
            .env("LEFT4ME_STEAMCMD", "/bin/true")
            .env("LEFT4ME_ROOT", public.path().join("root"))
            .env("HOME", public.path().join("home"));
        let ran = Ran::of(&other.env("LEFT4ME_SUPERVISOR", "embedded").output().unwrap());
        assert!(ran.code == 1 && ran.stderr.contains("belongs to root"), "{command}: {ran:?}");
        assert_eq!(fs::read_dir(public.path().join("root")).unwrap().count(), 0, "{command} did something");
    }
}

/// runc CVE-2022-29162, and the class of dropping privileges by half: inherited capabilities and the bits that keep them must
/// not survive that root becomes the owner of the root directory.
#[test]
fn no_privilege_survives_becoming_the_owner() {
    if !is_root() {
        // Only root has something to lose; as root this same test runs.
        return;
    }
    let sandbox = Sandbox::new();
    let public = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(public.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // Root's own, closed: whoever still has a capability gets in.
    fs::create_dir_all(public.path().join("overlays/closed/inner")).unwrap();
    fs::set_permissions(public.path().join("overlays/closed"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    sandbox.write("spec.yaml", &format!("port: {}\noverlays: [closed/inner]\n", port()));
    let own = sandbox.command(&["initialize", "a", "-f", "spec.yaml"]);
    let mut keeping = Command::new("setpriv");
    keeping.args(["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]);
    keeping.arg(own.get_program()).args(own.get_args()).env_clear().current_dir(sandbox.dir.path());
    keeping.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("LEFT4ME_ROOT", public.path());
    let ran = Ran::of(&keeping.output().unwrap());
    assert!(ran.code == 1 && ran.stderr.contains("Permission denied"), "{ran:?}");
}

/// CVE-2024-27102, for root itself: whose the root directory is decides who works in it, and somebody who owns a directory above
/// can put another in its place after that. So each part asks the directory that it has opened.
#[test]
fn a_root_directory_that_was_swapped_is_nobody_s_to_work_in() {
    if !is_root() {
        // Only root can be told to be somebody else; as root this same test runs.
        return;
    }
    let sandbox = Sandbox::with_game();
    sandbox.make("a", &format!("port: {}\n", port()));
    let supervise = || {
        let mut command = sandbox.command(&["supervise", sandbox.root().to_str().unwrap(), "a"]);
        Ran::of(&command.output().unwrap()).stdout
    };
    sandbox.ok(&["start", "a"]);
    sandbox.ok(&["stop", "a"]);
    // What `start` has decided as root; then the directory is somebody else's.
    let theirs = Some(NOBODY);
    std::os::unix::fs::chown(sandbox.root(), theirs, theirs).unwrap();
    let said = supervise();
    std::os::unix::fs::chown(sandbox.root(), Some(0), Some(0)).unwrap();
    assert!(said.contains("belongs to nobody"), "{said:?}");
}
