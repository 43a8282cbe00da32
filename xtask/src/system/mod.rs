//! System tests: what is to hold on a booted Debian 13, each a sentence.
//!
//! They share one machine, in the order of the list; each begins with no instance and leaves none.

mod advisories;
mod attack;
mod documents;
mod helpers;
mod hostile;
mod life;
mod limits;
mod live;
mod locks;
mod metrics;
mod package;
mod sandboxed;
mod shells;
mod trouble;
mod updates;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::crash;
use crate::machine::{Answer, Machine};

/// Where a test can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Both,
    Container,
    Vm,
}

/// A test.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// In the virtual machine also without `--vm`.
    pub(crate) always: bool,
    run: fn(&mut Host) -> Result<()>,
}

const fn test(name: &'static str, place: Place, always: bool, run: fn(&mut Host) -> Result<()>) -> Test {
    Test { name, place, always, run }
}

use Place::{Both, Container, Vm};

/// How long a line may take into the journal: an emulated machine writes sixty thousand in more than half a minute.
const LINE_LIMIT: Duration = Duration::from_secs(120);

pub(crate) const TESTS: &[Test] = &[
    test("the whole life of two servers", Both, true, life::whole_life),
    test("enabled servers come back after a reboot, from what was staged", Both, true, life::reboot),
    test("reset and delete leave nothing", Both, false, life::nothing_left),
    test("status asks once for all and in detail for some", Both, false, life::status),
    test("logs follow, resume from a cursor and end", Both, false, life::logs),
    test("players are waited for, warned and told", Both, false, live::players_are_waited_for),
    test("status says what servers say", Both, false, live::status_says_what_servers_say),
    test("status counts crashes, and asks once for each run", Both, false, live::crashes_are_counted),
    test("start and restart wait, and the game's console answers", Both, false, live::waiting_and_talking),
    test("metrics of a server are what systemd says", Both, true, metrics::figures_are_systemd_s),
    test("metrics that are served and written please promtool", Container, false, metrics::served_and_written),
    test("the package holds what is listed, and is the same when built again", Container, false, package::contents),
    test("lintian and shellcheck find nothing in the package", Container, false, package::linted),
    test(
        "the package and an installation from source live side by side, and doctor says so",
        Container,
        false,
        package::odd::beside_source,
    ),
    test(
        "the package survives half installations, odd names, links and stopped servers",
        Container,
        false,
        package::odd::odd_states,
    ),
    test(
        "the package is installed, upgraded under servers, removed, purged and installed again",
        Container,
        false,
        package::life,
    ),
    test("from a bare Debian to a server, as docs/quickstart.md says", Container, false, documents::quickstart),
    test("mods, maps and configs as overlays, as docs/overlays.md says", Container, false, documents::overlays),
    test("a server of another manager's moves here, as docs/migrating.md says", Container, false, documents::migrating),
    test(
        "the sessions in README.md and docs/operating.md do what they say",
        Container,
        false,
        documents::readme_and_operating,
    ),
    test("a game sees Steam's library, its own files and little else", Both, true, life::sandbox),
    test("the unit verifies in silence, and its exposure is 1.5 or less", Both, false, life::unit_is_sound),
    test("a crash is followed by a restart", Both, false, trouble::restart_after_crash),
    test("a crash loop ends in failed, and start works at once", Both, false, trouble::crash_loop),
    test("nothing is known of a failed instance that was deleted", Both, false, trouble::failed_is_forgotten),
    test("a server that needs 3 s to shut down is never cut short", Container, false, trouble::slow_shutdown),
    test("ten units cycling in parallel never fail a stop", Container, false, trouble::ten_in_parallel),
    test("a server that ignores signals is killed, and the unit says so", Both, false, trouble::ignores_signals),
    test("a failed start says why, with systemctl's exit code", Both, false, trouble::failed_start),
    test("a full disk is an error that names it", Both, false, trouble::full_disk),
    test("two supervisors do not take one instance", Both, false, trouble::two_supervisors),
    test(
        "wrong users, missing helpers and sudo that wants a password are told apart",
        Both,
        false,
        trouble::wrong_setup,
    ),
    test("twenty updates under ten servers, and back", Container, false, updates::twenty_under_ten_servers),
    test("the timer's unit installs a newer build and moves servers onto it", Both, false, updates::by_the_unit),
    test("a helper whose command was killed keeps the instance to itself", Both, false, locks::orphaned_helper),
    test("commands at the same time lose and break nothing", Container, false, locks::storm_of_commands),
    test("nor do they under the embedded supervisor", Container, false, locks::storm_without_systemd),
    test("root becomes the service user", Both, false, attack::root_becomes_service_user),
    test("helpers take names and nothing else", Both, false, attack::helper_arguments),
    test("helpers ignore what the caller sets", Both, false, attack::helper_environment),
    test("links that the game left are not followed", Both, false, attack::hostile_upper),
    test("a mount point moved away is cleared", Both, false, attack::moved_mount_point),
    test("a server can't signal another", Both, true, attack::signal_another),
    test("a linked ~/.steam or merged is no way into the sandbox", Both, false, attack::linked_binds),
    test(
        "what is swapped between the mount and the sandbox reaches no game",
        Both,
        false,
        advisories::swapped_after_the_check,
    ),
    test("no verb of a helper writes a setting", Both, false, advisories::no_verb_writes_a_setting),
    test("sudo gives two helpers and no file", Both, false, advisories::sudo_gives_no_file),
    test("every unit and slice has a limit of tasks", Both, false, advisories::everything_has_a_limit_of_tasks),
    test("what is typed is text to root and to every shell", Both, false, advisories::typed_text_is_text),
    test("a setting that widens is root's alone", Both, false, advisories::only_root_widens),
    test("the caller's locale reaches nothing", Both, false, advisories::the_locale_reaches_nothing),
    test("nobody but root makes root wait", Both, false, advisories::nobody_makes_root_wait),
    test(
        "links planted in the root directory lead no step of root's away",
        Both,
        false,
        advisories::planted_in_the_root_directory,
    ),
    test("what is installed only root can change", Both, false, advisories::only_root_changes_what_is_installed),
    test("bash, zsh and fish complete the names of instances for every user", Container, false, shells::complete),
    test("man finds every page, and finds nothing wrong with it", Container, false, shells::man_pages),
    test("odd trees in an upper and in work stop no command", Container, false, hostile::odd_trees),
    test("odd plans start nothing and hide no other instance", Container, false, hostile::odd_plans),
    test("an odd log stays readable and harmless", Container, false, hostile::odd_log),
    test("a hostile server is stopped where the documents say so", Container, false, sandboxed::attacker),
    test("a short soak under systemd leaks nothing", Container, false, |host| soak(host, false)),
    test("a short soak under the embedded supervisor leaks nothing", Container, false, |host| soak(host, true)),
    test("commands survive a kill or an error at a call of theirs", Container, false, |host| {
        crash::sample(host.machine)
    }),
    test("helpers called in odd ways do what they say or nothing", Container, false, helpers::odd_calls),
    test("no more than a thousand instances are enabled", Both, false, helpers::full_of_links),
    test("a racing service user leads root's mount helper nowhere", Both, true, helpers::racing_attacker),
    test("memory and tasks are limited", Vm, true, limits::memory_and_tasks),
    test("a power cut leaves nothing half", Vm, false, limits::power_cut),
    test("what a power cut left mounted is reset and deleted", Vm, false, limits::power_cut_inactive),
];

fn soak(host: &mut Host, embedded: bool) -> Result<()> {
    let options = crate::soak::Options { cycles: 30, instances: 5, embedded, seed: 1 };
    crate::soak::soak(host.machine, options, false)
}

/// Runs one test on a machine without instances.
pub(crate) fn run(test: &Test, machine: &mut dyn Machine) -> Result<()> {
    let mut host = Host { machine };
    let result = (test.run)(&mut host).and_then(|()| host.clear());
    result.map_err(|error| {
        let journal = host
            .machine
            .run("journalctl -q --no-hostname -b -n 100 | grep -v ' sudo\\[' | tail -n 30")
            .map_or_else(|e| e.to_string(), |a| a.stdout);
        error.context(format!("the journal's last lines:\n{journal}and the failure"))
    })
}

/// A machine with left4me on it.
pub(crate) struct Host<'a> {
    machine: &'a mut dyn Machine,
}

impl Host<'_> {
    /// Runs `l4d2ctl` as the service user.
    fn l4(&mut self, args: &str) -> Result<Answer> {
        self.machine.run(&format!("sudo -u left4me l4d2ctl {args}"))
    }

    /// The same, which must succeed; its stdout.
    fn l4_ok(&mut self, args: &str) -> Result<String> {
        let answer = self.l4(args)?;
        ensure!(answer.code == 0, "l4d2ctl {args}: {}", answer.text());
        Ok(answer.stdout)
    }

    fn ok(&mut self, script: &str) -> Result<String> {
        self.machine.ok(script)
    }

    /// One field of an instance's status.
    fn status(&mut self, name: &str, field: &str) -> Result<serde_json::Value> {
        let json: serde_json::Value = serde_json::from_str(&self.l4_ok(&format!("status {name} --json"))?)?;
        Ok(json["instances"][0][field].clone())
    }

    fn expect_state(&mut self, name: &str, state: &str) -> Result<()> {
        let is = self.status(name, "state")?;
        ensure!(is == state, "{name} is {is}, not {state}");
        Ok(())
    }

    /// Makes an instance, with these lines of config.
    fn make(&mut self, name: &str, port: u16, config: &[&str]) -> Result<()> {
        let lines: String = config.iter().map(|line| format!("  - {line}\n")).collect();
        let config = if lines.is_empty() { String::new() } else { format!("config:\n{lines}") };
        self.initialize(name, &format!("port: {port}\noverlays: [test/base]\n{config}"))
    }

    fn initialize(&mut self, name: &str, spec: &str) -> Result<()> {
        self.ok("sudo -u left4me mkdir -p /var/lib/left4me/overlays/test/base/left4dead2")?;
        let answer =
            self.machine.run(&format!("sudo -u left4me l4d2ctl initialize {name} -f - <<'SPEC'\n{spec}\nSPEC"))?;
        ensure!(answer.code == 0, "initialize {name}: {}", answer.text());
        Ok(())
    }

    /// Waits until the game's log has a line.
    fn wait_for_line(&mut self, name: &str, line: &str) -> Result<()> {
        let script =
            format!("journalctl -q -u left4me-server@{name} -o cat | grep -F -- '{}'", line.replace('\'', "'\\''"));
        self.machine.wait_until(&script, LINE_LIMIT).map(drop)
    }

    /// A mount namespace from before what comes, which hears of no mount: its process, which the caller ends.
    fn older_namespace(&mut self) -> Result<u32> {
        let made = "mkfifo /tmp/made && { unshare --mount --propagation private sh -c \
            'echo > /tmp/made; exec sleep 300' >/dev/null 2>&1 & read x < /tmp/made; rm /tmp/made; echo $!; }";
        let pid = self.ok(made)?;
        pid.trim().parse().with_context(|| format!("its process is {pid:?}"))
    }

    /// How many of our mounts the host sees.
    fn mounts(&mut self) -> Result<usize> {
        let text = self.ok("cat /proc/1/mountinfo")?;
        Ok(text.lines().filter(|line| line.contains(" overlay left4me-")).count())
    }

    /// Removes every instance; nothing may be left of any.
    fn clear(&mut self) -> Result<()> {
        let names: serde_json::Value = serde_json::from_str(&self.l4_ok("status --json")?)?;
        for instance in names["instances"].as_array().context("no instances in the status")? {
            let name = instance["name"].as_str().context("no name in the status")?;
            self.l4_ok(&format!("delete {name}"))?;
        }
        ensure!(self.mounts()? == 0, "mounts are left: {}", self.ok("grep left4me- /proc/1/mountinfo")?);
        let left = self.ok("ls -A /var/lib/left4me/instances /var/lib/left4me/runtime /var/lib/left4me/tmp | grep -v : | grep . || true")?;
        ensure!(left.is_empty(), "files are left: {left}");
        let records = self.ok("ls /run/left4me")?;
        ensure!(records.is_empty(), "records are left: {records}");
        self.ok("rm -rf /var/lib/left4me/overlays/*; journalctl -q --rotate --vacuum-time=1s >/dev/null 2>&1; true")
            .map(drop)
    }
}
