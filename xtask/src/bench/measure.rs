//! How the parts measure: scripts timed in turn, and what they measure on.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::report::{Row, Target};
use crate::machine::{INSTALL_GAME, Machine};

pub(super) const ROOT: &str = "/var/lib/left4me";

/// The game that is large, for the parts that copy or read all of it, in MiB.
const LARGE: u32 = 200;

/// Installs a game of 200 MiB and a little.
pub(super) fn install_large(machine: &mut dyn Machine) -> Result<()> {
    machine.ok(&format!("sudo -u left4me LEFT4ME_SIM_BULK={LARGE} {INSTALL_GAME} 2>&1")).map(drop)
}

/// Runs a script: directly where it is one command of plain words, as a shell's own start would blur what is measured.
pub(super) fn shell(script: &str) -> Result<()> {
    let mut words = script.split(' ');
    let mut command = if script.contains(|c: char| "|&;<>()$`\\\"'*?[#~".contains(c)) {
        let mut sh = Command::new("/bin/sh");
        sh.args(["-c", script]);
        sh
    } else {
        let mut direct = Command::new(words.next().unwrap_or_default());
        direct.args(words);
        direct
    };
    // mount(8) would otherwise use the new API with strings of at most 255 characters, and refuse ten ordinary layers.
    command.env("LIBMOUNT_FORCE_MOUNT2", "always").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("can't run {script}"))?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The command of the service user, without the detour over sudo.
pub(super) fn as_user(command: &str) -> String {
    format!("setpriv --reuid=left4me --regid=left4me --clear-groups env HOME={ROOT} {command}")
}

/// In milliseconds.
pub(super) fn time(what: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    what()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Times both in turn, undoing each.
pub(super) fn compare(
    name: &str,
    target: Target,
    rounds: usize,
    ours: (&str, &str),
    reference: (&str, &str),
) -> Result<Row> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.push(time(|| shell(ours.0))?);
        shell(ours.1)?;
        b.push(time(|| shell(reference.0))?);
        shell(reference.1)?;
    }
    Ok(Row::compared(name, "ms", Some(target), &a, &b))
}

/// Makes the unit `copy@PORT`, the simulated server in a full copy of the game in `/srv/bench/copy-PORT`, with more arguments.
pub(super) fn make_copy_unit(more: &str) -> Result<()> {
    let unit = format!(
        "[Service]\nType=exec\nUser=left4me\nWorkingDirectory=/srv/bench/copy-%i\nExecStart=/srv/bench/copy-%i/srcds_linux \
         -game left4dead2 -norestart -strictportbind +hostport %i {more}\n"
    );
    std::fs::write("/etc/systemd/system/copy@.service", unit)?;
    shell("systemctl daemon-reload")
}

/// The first word of what a script prints.
pub(super) fn word(script: &str) -> Result<String> {
    let output = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().next().with_context(|| format!("{script} prints nothing"))?.to_owned())
}

/// The sum of the numbers that a script prints. It is no pipe into awk: a program that fails there is not noticed.
pub(super) fn sum(script: &str) -> Result<f64> {
    let output = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|word| word.parse::<f64>().with_context(|| format!("{script} prints {word:?}"))).sum()
}

pub(super) fn number(script: &str) -> Result<f64> {
    word(script)?.parse().with_context(|| format!("{script} prints no number"))
}

pub(super) fn initialize(name: &str, port: u16, more: &str) -> Result<()> {
    shell(&format!("printf 'port: {port}\n{more}' | {}", as_user(&format!("l4d2ctl initialize {name} -f -"))))
}

/// Runs a command of the service user for many instances, four at a time.
pub(super) fn for_all(command: &str, names: impl Iterator<Item = String>) -> Result<()> {
    let names: Vec<String> = names.collect();
    shell(&format!("printf '%s\n' {} | xargs -P 4 -I NAME {}", names.join(" "), as_user(command)))
}

/// Waits until the server on a port answers a query, which is its info after a challenge.
pub(super) fn first_answer(port: u16, limit: Duration) -> Result<()> {
    const QUESTION: &[u8] = b"\xff\xff\xff\xffTSource Engine Query\0";
    let until = Instant::now() + limit;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let (mut question, mut answer) = (QUESTION.to_vec(), [0; 1400]);
    while Instant::now() < until {
        // A port that is still closed answers as an error, at once.
        let got = socket.send(&question).and_then(|_| socket.recv(&mut answer));
        match got.map(|size| &answer[..size]) {
            Ok([0xff, 0xff, 0xff, 0xff, b'A', challenge @ ..]) => question = [QUESTION, challenge].concat(),
            Ok([0xff, 0xff, 0xff, 0xff, b'I', ..]) => return Ok(()),
            // A closed port refuses at once, and nothing tells when it opens. Against what is measured, which is tens of
            // milliseconds and more, this is little.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    bail!("no answer on port {port} within {} s", limit.as_secs())
}
