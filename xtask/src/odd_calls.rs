//! Inside a machine of the tests: each helper, called in every odd way, by root directly and by the service user through
//! sudo. Prints how many calls there were; the first finding is an error.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use odd_calls::{Outcome, Way, call, call_bare, odd_names, storm, ways};

use crate::build::output_of;

const HELPERS: &str = "/usr/local/libexec/left4me";
const UNIT: &str = "left4me-server@odd.service";
const LINK: &str = "/etc/systemd/system/multi-user.target.wants/left4me-server@odd.service";

/// An instance `odd` is there, and does not run. Of the ways each, or each so many.
pub(crate) fn inside(args: &[String]) -> Result<()> {
    let step = args.first().map_or(Ok(1), |step| step.parse())?;
    let ways: Vec<Way> = ways().into_iter().step_by(step).collect();
    let direct = directly(&ways)?;
    let sudo = through_sudo(&ways)?;
    let refused = arguments()?;
    bare()?;
    let ended = storms()?;
    println!(
        "{direct} calls by root, {} of {} by the service user done, {refused} refused for their arguments, {} of {} ended \
         by signals",
        sudo.0, sudo.1, ended.0, ended.1
    );
    ensure!(sudo.0 * 2 > sudo.1, "sudo refused most of them");
    ensure!(ended.0 > 0 && ended.0 < ended.1, "the signals came too late, or always too early");
    Ok(())
}

fn helper(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(Path::new(HELPERS).join(name));
    command.args(args);
    command
}

/// Whether the instance runs and will at the next boot. One without the other is half of what was asked.
fn is_enabled(why: &str) -> Result<bool> {
    let active = Command::new("systemctl").args(["is-active", "--quiet", UNIT]).status()?.success();
    let linked = Path::new(LINK).symlink_metadata().is_ok();
    ensure!(active == linked, "{why}: active {active}, linked {linked}");
    Ok(active)
}

/// The exit code, if the program could be run and was not rightly killed.
fn code(done: std::io::Result<Outcome>, may_die: bool, why: &str) -> Result<Option<i32>> {
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(error) if may_die && error.kind() != ErrorKind::TimedOut => return Ok(None),
        Err(error) => return Err(error).context(why.to_owned()),
    };
    if let Some(finding) = outcome.finding(may_die) {
        bail!("{why}: {finding}");
    }
    Ok(outcome.status.code())
}

/// How many calls. A hard limit that a container's root can't raise may keep systemctl itself.
fn directly(ways: &[Way]) -> Result<usize> {
    let mut calls = 0;
    for way in ways {
        for (program, args) in [
            ("left4me-systemctl", &["show", "odd"][..]),
            ("left4me-systemctl", &["enable", "odd"]),
            ("left4me-systemctl", &["disable", "odd"]),
            ("left4me-journalctl", &["odd", "--lines", "1", "--no-follow"]),
            ("left4me-launch", &["stop"]),
            ("left4me-launch", &["run", "nobody"]),
        ] {
            calls += 1;
            let why = format!("{program} {} with {}", args.join(" "), way.name);
            // What systemctl and journalctl print may go nowhere, and SIGPIPE then ends them.
            let prints = args[0] == "show" || program == "left4me-journalctl";
            let may_fail = way.lethal || way.hard_limit || (prints && way.streams);
            let code = code(call(helper(program, args), way), may_fail, &why)?;
            let expected = i32::from(args[0] == "run");
            if !may_fail {
                ensure!(code == Some(expected), "{why}: exit code {code:?}");
            }
            match (args[0], code) {
                ("enable", Some(0)) => ensure!(is_enabled(&why)?, "{why}: done, and not enabled"),
                ("disable", Some(0)) => ensure!(!is_enabled(&why)?, "{why}: done, and still enabled"),
                ("enable" | "disable", _) => drop(is_enabled(&why)?),
                _ => {}
            }
        }
        ensure!(helper("left4me-systemctl", &["disable", "odd"]).status()?.success(), "after {}", way.name);
    }
    Ok(calls)
}

/// How many of how many calls were done. sudo has a mind of its own about limits; what is not done must not be done half.
fn through_sudo(ways: &[Way]) -> Result<(usize, usize)> {
    let id = |flag: &str| -> Result<u32> { Ok(output_of(Command::new("id").args([flag, "left4me"]))?.trim().parse()?) };
    let (uid, gid) = (id("-u")?, id("-g")?);
    let (mut done, mut calls) = (0, 0);
    for way in ways {
        for args in [
            &["left4me-systemctl", "show", "odd"][..],
            &["left4me-systemctl", "disable", "odd"],
            &["left4me-journalctl", "odd", "--lines", "1", "--no-follow"],
        ] {
            let mut command = Command::new("/usr/bin/sudo");
            command.arg("-n").arg(Path::new(HELPERS).join(args[0])).args(&args[1..]).uid(uid).gid(gid);
            let why = format!("sudo {} with {}", args.join(" "), way.name);
            calls += 1;
            done += usize::from(code(call(command, way), true, &why)? == Some(0));
        }
    }
    ensure!(!is_enabled("after sudo")?, "disable enables");
    Ok((done, calls))
}

fn arguments() -> Result<usize> {
    let mut calls = 0;
    let mut refused = |program: &str, args: &[&OsStr], expected: i32| -> Result<()> {
        calls += 1;
        let output = Command::new(Path::new(HELPERS).join(program)).args(args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let visible = !said.chars().any(|c| c.is_control() && c != '\n') && said.len() < 2000;
        let right = output.status.code() == Some(expected) && output.stdout.is_empty() && visible;
        let begin: String = format!("{args:?}").chars().take(300).collect();
        ensure!(right, "{program} {begin}: {}: {}", output.status, said.chars().take(300).collect::<String>());
        Ok(())
    };
    let os = OsStr::new;
    for name in &odd_names() {
        for verb in ["enable", "disable", "show"] {
            refused("left4me-systemctl", &[os(verb), name], 2)?;
            refused("left4me-systemctl", &[os(verb), os("odd"), name], 2)?;
        }
        refused("left4me-systemctl", &[name, os("odd")], 2)?;
        refused("left4me-journalctl", &[name, os("--lines"), os("1"), os("--no-follow")], 2)?;
        refused("left4me-journalctl", &[os("odd"), os("--lines"), name, os("--no-follow")], 2)?;
        refused("left4me-journalctl", &[os("odd"), os("--lines"), os("1"), name], 2)?;
        refused("left4me-journalctl", &[os("odd"), os("--lines"), os("1"), os("--follow"), name], 2)?;
        // Not UTF-8 is no form of its usage line, anything else is no name or number.
        let code = if name.to_str().is_some() { 1 } else { 2 };
        refused("left4me-launch", &[os("run"), name], code)?;
        refused("left4me-launch", &[os("stop"), name], code)?;
        refused("left4me-launch", &[name, os("odd")], 2)?;
    }
    let many: Vec<String> = (0..10_000).map(|number| format!("n{number}")).collect();
    let many: Vec<&OsStr> = ["enable"].into_iter().chain(many.iter().map(String::as_str)).map(os).collect();
    refused("left4me-systemctl", &many, 2)?;
    ensure!(!is_enabled("after odd arguments")?, "odd arguments enable");
    Ok(calls)
}

fn bare() -> Result<()> {
    let no_variables = ["=X=1", "=", "", "NOTHING", "==", "X=1", "X=2"].map(OsStr::new);
    for program in ["left4me-overlay", "left4me-systemctl", "left4me-journalctl", "left4me-launch"] {
        let path = Path::new(HELPERS).join(program);
        for argv in [&[][..], &[""], &["", ""], &["enable", "odd"]] {
            let argv: Vec<&OsStr> = argv.iter().map(OsStr::new).collect();
            let why = format!("{program} as {argv:?}");
            let code = code(call_bare(&path, &argv, &no_variables), false, &why)?;
            ensure!(code == Some(2), "{why}: exit code {code:?}");
        }
    }
    let show = ["", "show", "odd"].map(OsStr::new);
    let shown = call_bare(&Path::new(HELPERS).join("left4me-systemctl"), &show, &no_variables)?;
    ensure!(shown.stdout.contains(UNIT), "an empty argv[0]: {shown:?}");
    Ok(())
}

/// Signals while left4me-systemctl runs: how many calls they ended, of how many.
fn storms() -> Result<(usize, usize)> {
    let (mut ended, mut calls) = (0, 0);
    // HUP, INT, PIPE, ALRM, TERM, CHLD, TSTP
    for signal in [1, 2, 13, 14, 15, 17, 20] {
        for verb in ["enable", "disable", "enable", "disable"] {
            let why = format!("{verb} in a storm of signal {signal}");
            let code = code(storm(helper("left4me-systemctl", &[verb, "odd"]), &[signal]), true, &why)?;
            let enabled = is_enabled(&why)?;
            ensure!(code.is_none() || (code == Some(0) && enabled == (verb == "enable")), "{why}: {code:?}, {enabled}");
            calls += 1;
            ended += usize::from(code.is_none());
        }
    }
    ensure!(helper("left4me-systemctl", &["disable", "odd"]).status()?.success(), "after the storms");
    Ok((ended, calls))
}
