//! `cargo xtask soak`: many servers started, crashed, stopped, reset, deleted and made again, for a long time.
//!
//! A *cycle* is a series of two to four steps on one of the instances, all drawn at random: initialize, start, stop,
//! reset, delete, a kill of the game's process, a kill of the embedded supervisor. Several instances run at any time;
//! some of them crash or end by themselves. Every command has to succeed. One more instance runs the whole time.
//!
//! At the beginning (after some cycles that only warm up), in the middle and at the end all but that one is deleted, and
//! what is left is measured. Between the first and the last nothing of ours may have come, and memory not have grown.
//! A cycle's time is compared as a ratio, the last quarter's median to the first's, each against that of a command which
//! is none of ours and ran in between: other load on the machine changes both.

mod measure;
mod series;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::{Container, Machine, install_left4me, make_ready};
use measure::{Measure, STEADY, is_at_rest, leaks, measure};
use series::{Instance, Random, prelude, script, spec};

/// How long a run is, and what it is a run of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) cycles: usize,
    pub(crate) instances: u16,
    pub(crate) embedded: bool,
    pub(crate) seed: u64,
}

/// A cycle's time may have grown by half: what leaks grows without end, and a median on a busy machine is not exact. That
/// of a few cycles says nothing.
const MAX_RATIO: f64 = 1.5;
const ENOUGH_CYCLES: usize = 200;

/// Ours are done before; what the kernel and systemd do behind takes a moment.
const REST_LIMIT: Duration = Duration::from_secs(60);

const MEASURED: [&str; 3] = ["begin", "middle", "end"];

/// `cargo xtask soak [--cycles N] [--instances N] [--seed N] [--embedded]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let mut options = Options { cycles: 1000, instances: 20, embedded: false, seed };
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        let mut number =
            || args.next().unwrap_or_default().parse::<u32>().with_context(|| format!("{arg} wants a number"));
        match arg {
            "--cycles" => options.cycles = usize::try_from(number()?)?,
            "--instances" => options.instances = u16::try_from(number()?)?,
            "--seed" => options.seed = u64::from(number()?),
            "--embedded" => options.embedded = true,
            _ => bail!("unknown argument {arg}; `cargo xtask` lists them"),
        }
    }
    ensure!(
        options.cycles >= 8 && (1..=1000).contains(&options.instances),
        "at least 8 cycles, and 1 to 1000 instances"
    );
    make_ready(false)?;
    let mut machine = Container::boot()?;
    install_left4me(&mut machine)?;
    soak(&mut machine, options, true)
}

/// Soaks a machine on which left4me is installed, and leaves it without instances.
pub(crate) fn soak(machine: &mut dyn Machine, options: Options, talk: bool) -> Result<()> {
    let mut soak = Soak::begin(machine, options)?;
    if talk {
        println!("{} cycles, {options:?}", options.cycles);
    }
    // What systemd, journald and dbus allocate once.
    soak.cycles(options.cycles / 10 + 1)?;
    let mut measures = vec![soak.at_rest()?];
    (soak.times, soak.killed) = (Vec::new(), 0);
    soak.cycles(options.cycles / 2)?;
    measures.push(soak.at_rest()?);
    soak.cycles(options.cycles - options.cycles / 2)?;
    measures.push(soak.at_rest()?);
    let (ratio, text) = soak.ratio();
    if talk {
        table(&measures);
        println!("{text}\nkilled on purpose: {}", soak.killed);
    }
    soak.end()?;
    let mut wrong = leaks(&measures[0], &measures[2]);
    if ratio > MAX_RATIO && options.cycles >= ENOUGH_CYCLES {
        wrong.push(text);
    }
    if soak.killed == 0 {
        wrong.push("nothing was killed: the run shows nothing of crashes".to_owned());
    }
    ensure!(wrong.is_empty(), "after {} cycles (seed {}):\n{}", options.cycles, options.seed, wrong.join("\n"));
    Ok(())
}

fn table(measures: &[Measure]) {
    println!("{:30} {:>8} {:>8} {:>8}", "", MEASURED[0], MEASURED[1], MEASURED[2]);
    for name in measures[0].numbers.keys() {
        let values: Vec<String> =
            measures.iter().map(|measure| measure.numbers.get(name).map_or("?".to_owned(), u64::to_string)).collect();
        println!("{name:30} {:>8} {:>8} {:>8}", values[0], values[1], values[2]);
    }
}

struct Soak<'a> {
    machine: &'a mut dyn Machine,
    options: Options,
    random: Random,
    instances: Vec<Instance>,
    /// Of each cycle, and of the reference after it.
    times: Vec<(Duration, Duration)>,
    killed: usize,
}

impl<'a> Soak<'a> {
    fn begin(machine: &'a mut dyn Machine, options: Options) -> Result<Self> {
        machine.ok("sudo -u left4me mkdir -p /var/lib/left4me/overlays/soak/left4dead2")?;
        let steady = format!("{}l start {STEADY}\n", spec(STEADY, 27100, "hostname \"steady\""));
        machine.ok(&(prelude(options.embedded) + &steady))?;
        let instances = vec![Instance::default(); usize::from(options.instances)];
        Ok(Self { machine, options, random: Random::new(options.seed), instances, times: Vec::new(), killed: 0 })
    }

    fn cycles(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let which = self.random.below(self.instances.len());
            let (name, port) = (format!("s{which}"), 27200 + u16::try_from(which)?);
            let embedded = self.options.embedded;
            let steps = self.instances[which].series(&mut self.random, embedded);
            let mut text = prelude(embedded);
            for step in &steps {
                text += &script(*step, &name, port, &mut self.random, embedded);
            }
            let start = Instant::now();
            let answer = self.machine.run(&text)?;
            let cycle = start.elapsed();
            let done = self.times.len();
            ensure!(answer.code == 0, "cycle {done}, seed {}, {name}: {steps:?}: {}", self.options.seed, answer.text());
            self.killed += answer.stdout.matches("killed ").count();
            let start = Instant::now();
            self.machine.ok("systemctl show -P Version && systemctl list-jobs")?;
            self.times.push((cycle, start.elapsed()));
        }
        Ok(())
    }

    /// Deletes all but the steady one, and measures once nothing moves any more.
    fn at_rest(&mut self) -> Result<Measure> {
        let names: Vec<String> = (0..self.instances.len()).map(|which| format!("s{which}")).collect();
        let deletes: String = names.iter().map(|name| format!("l delete {name}\n")).collect();
        self.machine.ok(&(prelude(self.options.embedded) + &deletes))?;
        self.instances.fill(Instance::default());
        let until = Instant::now() + REST_LIMIT;
        loop {
            let measure = measure(self.machine)?;
            let left = is_at_rest(&measure);
            if left.is_empty() {
                return Ok(measure);
            }
            ensure!(Instant::now() < until, "after {} cycles, all deleted:\n{}", self.times.len(), left.join("\n"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How a cycle's time has grown, and the same in words.
    fn ratio(&self) -> (f64, String) {
        let quarter = self.times.len() / 4;
        let (first, last) = (&self.times[..quarter], &self.times[self.times.len() - quarter..]);
        let median = |times: &[(Duration, Duration)], of: fn(&(Duration, Duration)) -> Duration| {
            let mut times: Vec<f64> = times.iter().map(|time| of(time).as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let (cycle, reference) = (|time: &(Duration, Duration)| time.0, |time: &(Duration, Duration)| time.1);
        let (begin, end) = (median(first, cycle), median(last, cycle));
        let (begin_reference, end_reference) = (median(first, reference), median(last, reference));
        let ratio = (end / end_reference) / (begin / begin_reference);
        let text = format!(
            "a cycle (median of a quarter): {begin:.0} ms, then {end:.0} ms; the reference {begin_reference:.0} ms, then \
             {end_reference:.0} ms; ratio {ratio:.2} ≤ {MAX_RATIO}"
        );
        (ratio, text)
    }

    fn end(&mut self) -> Result<()> {
        self.machine.ok(&format!(
            "{}l delete {STEADY}\nrm -rf /var/lib/left4me/overlays/soak",
            prelude(self.options.embedded)
        ))?;
        Ok(())
    }
}
