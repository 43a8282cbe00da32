//! What servers say of themselves, and commands that respect who plays.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Host;

const MINUTE: Duration = Duration::from_secs(60);

/// Where a command in the background leaves its process ID, what it printed, and how it ended.
const PID: &str = "/run/live-test.pid";
const SAID: &str = "/run/live-test.said";
const CODE: &str = "/run/live-test.code";

impl Host<'_> {
    /// Makes a server, and waits until it answers.
    fn up(&mut self, name: &str, port: u16, config: &[&str]) -> Result<()> {
        self.make(name, port, config)?;
        self.l4_ok(&format!("start {name} --wait=60")).map(drop)
    }

    fn pid(&mut self, name: &str) -> Result<String> {
        Ok(self.ok(&format!("systemctl show -P MainPID left4me-server@{name}"))?.trim().to_owned())
    }

    /// Begins a command of the service user's that goes on in the background.
    fn begin(&mut self, args: &str) -> Result<()> {
        self.ok(&format!(
            "rm -f {CODE}; install -o left4me /dev/null {PID}
             (sudo -u left4me sh -c 'echo $$ >{PID}; exec l4d2ctl {args}' >{SAID} 2>&1 </dev/null; echo $? >{CODE}) \
             >/dev/null 2>&1 &"
        ))
        .map(drop)
    }

    /// Waits until the command has said so, and has not ended.
    fn it_says(&mut self, text: &str) -> Result<()> {
        self.machine.wait_until(&format!("test -e {CODE} || grep -qF -- '{text}' {SAID}"), MINUTE)?;
        let said = self.machine.run(&format!("cat {SAID}; test ! -e {CODE} && grep -qF -- '{text}' {SAID}"))?;
        ensure!(said.code == 0, "it ended before it said {text:?}:\n{}", said.stdout);
        Ok(())
    }

    /// Its end: the exit code, and everything that it said.
    fn its_end(&mut self) -> Result<(i32, String)> {
        let code = self.machine.wait_until(&format!("cat {CODE}"), MINUTE)?;
        let said = self.ok(&format!("cat {SAID}; rm {CODE} {SAID} {PID}"))?;
        Ok((code.trim().parse()?, said))
    }

    /// How many lines of a server's journal are like that.
    fn lines_like(&mut self, name: &str, regex: &str) -> Result<usize> {
        let script = format!("journalctl -q -u left4me-server@{name} -o cat | grep -cE -- '{regex}' || true");
        Ok(self.ok(&script)?.trim().parse()?)
    }

    /// All statuses, with what the servers say or without.
    fn all(&mut self, option: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.l4_ok(&format!("status --json {option}"))?)?)
    }

    /// Waits until a server's problems are these, as `status` of all tells them.
    fn wait_for_problems(&mut self, name: &str, kinds: &[&str]) -> Result<()> {
        let until = Instant::now() + MINUTE;
        loop {
            let all = self.all("")?;
            let found = problems(&all, name)?;
            if found == kinds {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{name} has the problems {found:?} and not {kinds:?}: {all}");
        }
    }
}

fn of<'a>(all: &'a Value, name: &str) -> Result<&'a Value> {
    let instances = all["instances"].as_array().context("no instances in the status")?;
    instances.iter().find(|instance| instance["name"] == name).with_context(|| format!("no {name} in {all}"))
}

fn problems(all: &Value, name: &str) -> Result<Vec<String>> {
    let problems = of(all, name)?["problems"].as_array().context("no problems in the status")?;
    Ok(problems.iter().filter_map(|problem| problem["kind"].as_str().map(str::to_owned)).collect())
}

pub(super) fn players_are_waited_for(host: &mut Host) -> Result<()> {
    host.up("a", 27101, &["sim_players 2"])?;
    host.up("b", 27102, &[])?;
    let (a, b) = (host.pid("a")?, host.pid("b")?);

    host.begin("restart a b --when-empty=10min --wait=60")?;
    host.it_says("instance b restarted, and answers after")?;
    ensure!(host.pid("b")? != b && host.pid("a")? == a, "the empty one restarts, and the other waits");
    host.wait_for_line("a", "Console: This server restarts in 10 minutes")?;
    ensure!(host.lines_like("b", "Console: ")? == 0, "nobody is on b who could be warned");
    for count in [1, 3] {
        host.l4_ok(&format!("rcon a -- sim_players {count}"))?;
        host.it_says(&format!(" left: {count} player"))?;
        ensure!(host.pid("a")? == a, "{count} are on it, and it restarted");
    }
    host.l4_ok("rcon a -- sim_players 0")?;
    let (code, said) = host.its_end()?;
    ensure!(code == 0 && said.contains(" left: nobody on it"), "{code}: {said}");
    ensure!(said.find("instance b restarted") < said.find("instance a restarted"), "{said}");
    let next = host.pid("a")?;
    ensure!(next != a && next != "0", "a did not restart");
    ensure!(host.lines_like("a", "Console: ")? == 1, "there was one warning to give");

    // The deadline: this run has two players again, who stay.
    let begun = Instant::now();
    let answer = host.l4("restart a --when-empty=15s --warn \"Update's here; quit\"")?;
    ensure!(answer.code == 0 && begun.elapsed() >= Duration::from_secs(15), "{}", answer.text());
    ensure!(answer.stderr.contains("a: the deadline has come, with 2 players on it"), "{}", answer.text());
    ensure!(host.pid("a")? != next, "a did not restart at the deadline");
    host.wait_for_line("a", "Console: Update's here; quit in 10 seconds")?;
    ensure!(host.lines_like("a", "Console: Update.s here; quit in 1[0-5] seconds$")? == 2, "there were two to give");

    // Ctrl-C.
    host.machine.wait_until("sudo -u left4me l4d2ctl rcon a -- echo up", MINUTE)?;
    let before = host.pid("a")?;
    host.begin("restart a --when-empty=5min")?;
    host.it_says("said in the chat: This server restarts in 5 minutes")?;
    host.ok(&format!("kill -INT $(cat {PID})"))?;
    let (code, said) = host.its_end()?;
    ensure!(code == 130 && said.contains("error: interrupted"), "{code}: {said}");
    host.wait_for_line("a", "Console: The restart is cancelled")?;
    ensure!(host.pid("a")? == before, "it was cancelled, and a restarted");
    host.expect_state("a", "running")
}

pub(super) fn status_says_what_servers_say(host: &mut Host) -> Result<()> {
    host.up("a", 27101, &["hostname Friday night", "sim_players 2", "sim_bots 1"])?;
    host.up("b", 27102, &[])?;
    host.make("hangs", 27103, &["sim_hang 1"])?;
    host.make("off", 27104, &[])?;
    host.l4_ok("start hangs")?;
    host.wait_for_line("hangs", "Server is hibernating")?;
    let all = host.all("")?;
    let live = &of(&all, "a")?["live"];
    for (field, value) in [
        ("answering", json!(true)),
        ("unanswered", Value::Null),
        ("hostname", json!("Friday night")),
        ("map", json!("c1m1_hotel")),
        ("humans", json!(2)),
        ("bots", json!(1)),
        ("max_players", json!(4)),
        ("hibernating", json!(false)),
    ] {
        ensure!(live[field] == value, "{field} is {}, not {value}: {live}", live[field]);
    }
    ensure!(live["version"].is_string() && live["latency_ms"].as_f64().is_some_and(|ms| ms < 1e3), "{live}");
    let live = &of(&all, "b")?["live"];
    ensure!(live["hibernating"] == true && live["humans"] == 0, "nobody is on b: {live}");
    let hung = of(&all, "hangs")?;
    ensure!(hung["state"] == "running" && hung["live"]["answering"] == false, "{hung}");
    ensure!(hung["live"]["unanswered"].is_string() && hung["live"]["humans"].is_null(), "{hung}");
    ensure!(of(&all, "off")?["live"].is_null(), "one that is stopped is not asked: {all}");
    let quiet = host.all("--no-query")?;
    for name in ["a", "b", "hangs"] {
        ensure!(of(&quiet, name)?["live"].is_null(), "{quiet}");
        ensure!(problems(&all, name)?.is_empty(), "{all}");
    }

    // The best of three: what else this machine does is not what it costs.
    let mut cost = |option: &str| -> Result<Duration> {
        let mut best = MINUTE;
        for _ in 0..3 {
            let begun = Instant::now();
            host.all(option)?;
            best = best.min(begun.elapsed());
        }
        Ok(best)
    };
    let (with, without) = (cost("")?, cost("--no-query")?);
    ensure!(with < without + Duration::from_millis(1100), "{with:?} with one that hangs, {without:?} without asking");
    host.l4_ok("stop hangs")?;
    what_servers_logged(host)
}

fn what_servers_logged(host: &mut Host) -> Result<()> {
    host.l4_ok("rcon a -- sim_print MasterRequestRestart")?;
    host.l4_ok("rcon b -- sim_print LAN servers are restricted to local clients")?;
    host.wait_for_problems("a", &["update-wanted"])?;
    host.wait_for_problems("b", &["steam-lost"])?;
    // The same words of others, who say that they are a's unit.
    host.ok("for user in left4me root; do
        setpriv --reuid=$user --clear-groups logger -t left4me-server@a 'LAN servers are restricted to local clients'
        printf 'MESSAGE=LAN servers are restricted to local clients\\nUNIT=left4me-server@a.service\\n_SYSTEMD_UNIT=left4me-server@a.service\\n' |
            setpriv --reuid=$user --clear-groups logger --journald
        done")?;
    host.l4_ok("rcon a -- sim_print left4me-server@b: Connection to Steam servers successful")?;
    host.wait_for_line("a", "left4me-server@b: Connection")?;
    let all = host.all("")?;
    ensure!(problems(&all, "a")? == ["update-wanted"] && problems(&all, "b")? == ["steam-lost"], "{all}");
    // Remembered, also when the journal is no more.
    let emptied =
        "journalctl -q --rotate --vacuum-time=1s >/dev/null 2>&1; ! journalctl -q -o cat | grep -q '^LAN servers'";
    host.machine.wait_until(emptied, MINUTE)?;
    let all = host.all("")?;
    ensure!(problems(&all, "a")? == ["update-wanted"] && problems(&all, "b")? == ["steam-lost"], "{all}");
    // What is logged from then on is read all the same, and has the last word.
    host.l4_ok("rcon b -- sim_print Connection to Steam servers successful.")?;
    host.wait_for_problems("b", &[])?;
    host.l4_ok("restart a b --wait=60")?;
    let all = host.all("")?;
    ensure!(problems(&all, "a")?.is_empty() && problems(&all, "b")?.is_empty(), "a new run begins anew: {all}");
    Ok(())
}

pub(super) fn crashes_are_counted(host: &mut Host) -> Result<()> {
    host.up("a", 27101, &[])?;
    host.up("b", 27102, &[])?;
    for crashes in 1..=2 {
        let pid = host.pid("a")?;
        host.ok(&format!("kill -ABRT {pid}"))?;
        let again = format!("systemctl is-active -q left4me-server@a && ! test -e /proc/{pid}");
        host.machine.wait_until(&again, MINUTE)?;
        let all = host.all("")?;
        ensure!(of(&all, "a")?["restarts"] == crashes && of(&all, "b")?["restarts"] == 0, "{crashes} crashes: {all}");
    }
    let all = host.all("")?;
    ensure!(problems(&all, "a")? == ["crashing"] && problems(&all, "b")?.is_empty(), "{all}");
    let quiet = host.all("--no-query")?;
    ensure!(of(&quiet, "a")?["restarts"].is_null(), "what systemd has to be asked for is not to be asked: {quiet}");
    // What is remembered of a run, from its second second on, is not asked again.
    let remembered = "sudo -u left4me l4d2ctl status >/dev/null && grep '\"restarts\":2' /var/lib/left4me/heard.json";
    host.machine.wait_until(remembered, MINUTE)?;
    host.ok("sudo -u left4me sed -i 's/\"restarts\":2/\"restarts\":7/' /var/lib/left4me/heard.json")?;
    let (all, named) = (host.all("")?, host.status("a", "restarts")?);
    ensure!(of(&all, "a")?["restarts"] == 7 && named == 2, "it was asked again: {all}, and it is {named}");
    host.l4_ok("restart a --wait=60")?;
    let all = host.all("")?;
    ensure!(of(&all, "a")?["restarts"] == 0 && problems(&all, "a")?.is_empty(), "it was started by hand: {all}");
    Ok(())
}

pub(super) fn waiting_and_talking(host: &mut Host) -> Result<()> {
    host.make("a", 27101, &["sim_players 2"])?;
    let started: Value = serde_json::from_str(&host.l4_ok("start a --wait=60 --json")?)?;
    ensure!(started["answered_ms"].is_u64() && host.status("a", "live")?["answering"] == true, "{started}");
    let before = host.pid("a")?;
    let said = host.l4_ok("restart a --wait=60")?;
    ensure!(said.starts_with("instance a restarted, and answers after") && host.pid("a")? != before, "{said}");
    host.make("dies", 27102, &["sim_exit_after 0"])?;
    for verb in ["start", "restart"] {
        let answer = host.l4(&format!("{verb} dies --wait=60"))?;
        ensure!(answer.code == 1 && answer.stdout.is_empty(), "{verb}: {}", answer.text());
        for part in
            ["error: instance dies did not come up: it crashed", "Exiting with code 1", "hint: `l4d2ctl logs dies`"]
        {
            ensure!(answer.stderr.contains(part), "{verb}: {part:?} is missing in:\n{}", answer.stderr);
        }
    }
    host.l4_ok("delete dies")?;

    let players: Value = serde_json::from_str(&host.l4_ok("players a --json")?)?;
    ensure!(players["players"][0]["name"] == "Coach" && players["players"][0]["bot"] == false, "{players}");
    ensure!(host.l4_ok("rcon a -- echo heard")?.trim() == "heard", "the console does not reply");
    host.l4_ok("say a hello there")?;
    host.wait_for_line("a", "Console: hello there")?;
    let other = host.machine.run("setpriv --reuid=65534 --regid=65534 --clear-groups l4d2ctl rcon a -- status")?;
    ensure!(other.code == 1 && other.stdout.is_empty(), "the console is the service user's: {}", other.text());

    let lines = "echo first\\n\\nsim_players 3\\nsay \"from a pipe\"\\necho last\\n";
    let replies = host.ok(&format!("printf '{lines}' | sudo -u left4me l4d2ctl console a"))?;
    ensure!(replies == "first \nlast \n", "the replies are {replies:?}");
    host.wait_for_line("a", "Console: from a pipe")?;
    ensure!(host.status("a", "live")?["humans"] == 3, "the lines were not run");
    // A server that is not there is an end and no wait.
    host.l4_ok("stop a")?;
    let answer = host.machine.run(&format!("printf '{lines}' | sudo -u left4me l4d2ctl console a"))?;
    ensure!(
        answer.code == 1 && answer.stdout.is_empty() && answer.stderr.contains("it is stopped"),
        "{}",
        answer.text()
    );
    Ok(())
}
