//! A game server as the attacker: a program that tries everything, run as the game inside the unit and inside the
//! embedded supervisor. What each of them stops is a table, and must be just so.

mod expected;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Host;
use crate::build::{output_of, project};
use crate::machine::install_compiler;
use expected::{ATTEMPTS, MAY_BE_IMPOSSIBLE, NEEDS_A_COVER};

const OVERLAY: &str = "/var/lib/left4me/overlays/attack/probe";
const OVER: &str = "attempts over";
const EMBEDDED: &str = "sudo -u left4me LEFT4ME_SUPERVISOR=embedded l4d2ctl";

/// Answers by word size (`sh` for what the script tries) and attempt.
type Answers = BTreeMap<(String, String), String>;

pub(super) fn attacker(host: &mut Host) -> Result<()> {
    prepare(host)?;
    host.initialize("attacker", "port: 27102\noverlays: [attack/probe, test/base]\n")?;
    host.l4_ok("start attacker")?;
    let unit = wait_for_answers(host, "sudo -u left4me l4d2ctl")?;
    host.l4_ok("stop attacker")?;
    host.ok(&format!("SHELL=/bin/sh script -qec '{EMBEDDED} start attacker' /dev/null"))?;
    let embedded = wait_for_answers(host, EMBEDDED)?;
    host.ok(&format!("{EMBEDDED} stop attacker"))?;
    // Last, since it is the real thing: where nothing stops it, an attempt must work, or it shows nothing.
    // Of a server that is stopped there is no work directory to write to.
    host.ok("sudo -u left4me mkdir /var/lib/left4me/runtime/attacker/work")?;
    let user = run_free(host, "sudo -u left4me SHELL=/bin/sh script -qec ./srcds_run /dev/null")?;
    let root = run_free(host, "SHELL=/bin/sh unshare --mount script -qec ./srcds_run /dev/null 9< targets")?;

    let possible = possible(&user, &root)?;
    compare(&possible, &unit, &embedded)?;
    host.expect_state("victim", "running")?;
    let log = host.l4_ok("logs victim --no-follow")?;
    // journald believes root, and nobody else, about whom a line is about.
    ensure!(log.matches("forged by ").count() == 1 && log.contains("forged by 0"), "a line in another's log:\n{log}");
    let canary = host.ok("ls -A /srv/canary; cat /srv/canary/secret")?;
    ensure!(canary == "secret\nkept\n", "outside is now: {canary}");
    host.ok("kill $(cat /srv/listener); rm -r /srv/canary /srv/listener /tmp/left4me-canary /dev/shm/left4me-canary /dev/left4me-device")
        .map(drop)
}

/// A victim that runs, canaries of the service user's, and the overlay that is the attack.
fn prepare(host: &mut Host) -> Result<()> {
    host.make("victim", 27101, &[])?;
    host.l4_ok("start victim")?;
    host.wait_for_line("victim", "Server is hibernating")?;
    let pid = host.status("victim", "main_pid")?;
    let source = project().join("xtask/src/system/sandboxed");
    host.ok(&format!(
        "mkdir -p {OVERLAY} /srv/canary && cd {OVERLAY} && echo '/var/lib/left4me {pid}' > targets && \
         mknod -m 666 /dev/left4me-device c 1 5 && echo kept | tee /srv/canary/secret /tmp/left4me-canary > /dev/shm/left4me-canary"
    ))?;
    install_compiler()?;
    for word in ["64", "32"] {
        let program = compile(&source, word)?;
        host.ok(&format!("base64 -d > {OVERLAY}/probe{word} <<'END'\n{program}\nEND"))?;
    }
    let script = std::fs::read_to_string(source.join("srcds_run"))?;
    host.ok(&format!("cat > {OVERLAY}/srcds_run <<'END'\n{script}END"))?;
    host.ok(&format!(
        "cd {OVERLAY} && chmod 755 probe64 probe32 srcds_run && chmod -R go= /srv/canary /tmp/left4me-canary /dev/shm/left4me-canary && \
         chown -R left4me: /var/lib/left4me/overlays/attack /srv/canary /tmp/left4me-canary /dev/shm/left4me-canary && \
         {{ sudo -u left4me ./probe64 listen left4me-canary > /dev/null 2>&1 & echo $! > /srv/listener; }}"
    ))
    .map(drop)
}

/// The probe in base64. The 32-bit one takes the kernel's headers from where the 64-bit ones are.
fn compile(source: &Path, word: &str) -> Result<String> {
    let made = std::env::temp_dir().join(format!("left4me-probe-{}-{word}", std::process::id()));
    output_of(
        Command::new("gcc")
            .args([
                &format!("-m{word}"),
                "-nostdlib",
                "-static",
                "-O1",
                "-s",
                "-fno-stack-protector",
                "-fno-builtin",
                "-w",
            ])
            .args(["-isystem", "/usr/include/x86_64-linux-gnu", "-o"])
            .arg(&made)
            .arg(source.join("probe.c")),
    )?;
    let text = output_of(Command::new("base64").arg(&made));
    std::fs::remove_file(&made)?;
    text
}

/// Runs the attempts outside of any sandbox, from a directory of their own.
fn run_free(host: &mut Host, command: &str) -> Result<Answers> {
    let end = "sed 's/^exec sleep.*//'";
    let said = host.ok(&format!(
        "rm -rf /srv/free && cp -r {OVERLAY} /srv/free && cd /srv/free && {end} -i srcds_run && chown -R left4me: . && {command}"
    ))?;
    host.ok("rm -r /srv/free")?;
    Ok(answers(&said))
}

fn wait_for_answers(host: &mut Host, l4d2ctl: &str) -> Result<Answers> {
    let logs = format!("{l4d2ctl} logs attacker --no-follow --lines 1000");
    let said = host
        .machine
        .wait_until(&format!("{logs} | tee /tmp/said | grep -q '{OVER}' && cat /tmp/said"), Duration::from_secs(60));
    said.map(|said| answers(&said))
}

fn answers(said: &str) -> Answers {
    let parts = |line: &str| {
        let [word, attempt, answer] = line.trim_end().split(" | ").collect::<Vec<_>>().try_into().ok()?;
        Some(((word.to_owned(), attempt.to_owned()), answer.to_owned()))
    };
    said.lines().filter_map(parts).collect()
}

/// Word size and attempt: those that work where nothing stops them.
fn possible(user: &Answers, root: &Answers) -> Result<BTreeSet<(String, String)>> {
    let works =
        |key: &&(String, String)| [user, root].iter().any(|answers| answers.get(*key).is_some_and(|a| a == "yes"));
    let (possible, impossible): (BTreeSet<_>, BTreeSet<_>) = user.keys().partition(works);
    let excused = |attempt: &str| {
        MAY_BE_IMPOSSIBLE.iter().any(|(known, _)| *known == attempt) || NEEDS_A_COVER.contains(&attempt)
    };
    let broken: Vec<_> = impossible.iter().filter(|(_, attempt)| !excused(attempt)).collect();
    ensure!(broken.is_empty(), "these attempts fail without any sandbox: {broken:?}");
    let asked = impossible.iter().filter(|(_, attempt)| NEEDS_A_COVER.contains(&attempt.as_str()));
    Ok(possible.iter().chain(asked).map(|key| (*key).clone()).collect())
}

/// Every answer must be the table's, and every line of the table have its answers.
fn compare(possible: &BTreeSet<(String, String)>, unit: &Answers, embedded: &Answers) -> Result<()> {
    let differs = |place: &str, key: &(String, String), answers: &Answers, expected: &str| {
        let answer = answers.get(key).map_or("nothing", String::as_str);
        let is_it = answer.split(',').next() == Some(expected);
        (!is_it).then(|| format!("{place}, {}: {}: {answer}, not {expected}", key.0, key.1))
    };
    let mut wrong = Vec::new();
    for key in possible {
        let Some((_, [unit64, unit32, anywhere])) = ATTEMPTS.iter().find(|(attempt, _)| *attempt == key.1) else {
            wrong.push(format!("{key:?} is not in the table"));
            continue;
        };
        wrong.extend(differs("unit", key, unit, if key.0 == "32" { unit32 } else { unit64 }));
        wrong.extend(differs("embedded", key, embedded, anywhere));
    }
    let tried = |attempt: &str| unit.keys().any(|key| key.1 == attempt);
    wrong.extend(ATTEMPTS.iter().filter(|(a, _)| !tried(a)).map(|(a, _)| format!("nobody tried to {a}")));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
