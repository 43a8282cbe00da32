//! `cargo xtask storm`: many processes that issue random commands at few instances, on a booted Debian 13.
//!
//! What is to hold: every command ends in time, none fails for a reason that it may not have ([`commands`] lists them), and
//! in the end the files, the units, the mounts and the processes are what `status` says ([`check`]).

mod check;
mod commands;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::{Container, Machine, XTASK, install_left4me, make_ready};
use commands::{Outcome, Script, VERBS};

/// A machine ends what takes longer than ten minutes, and the end needs its time, too.
const MOST_SECONDS: u64 = 480;

/// With less time than this it is luck whether every command succeeds once.
const THOROUGH_SECONDS: u64 = 60;

/// How large a storm, of what kind.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) processes: u64,
    pub(crate) instances: u16,
    pub(crate) embedded: bool,
    pub(crate) seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 120, processes: 16, instances: 4, embedded: false, seed: fastrand::u64(..) }
    }
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} wants a number"));
            match arg.as_str() {
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--processes" => options.processes = value()?.parse().context("--processes")?,
                "--instances" => options.instances = value()?.parse().context("--instances")?,
                "--seed" => options.seed = value()?.parse().context("--seed")?,
                "--embedded" => options.embedded = true,
                _ => bail!("unknown argument {arg}; `cargo xtask` lists them"),
            }
        }
        ensure!(options.seconds <= MOST_SECONDS, "--seconds is at most {MOST_SECONDS}");
        ensure!((2..=100).contains(&options.instances), "--instances is 2 to 100");
        Ok(options)
    }

    /// The shell's words that start the same storm inside a machine, as the service user.
    pub(crate) fn inside(&self) -> String {
        let Self { seconds, processes, instances, seed, .. } = self;
        let embedded = if self.embedded { " --embedded" } else { "" };
        format!(
            "sudo -u left4me {XTASK} storm-inside --seconds {seconds} --processes {processes} \
             --instances {instances} --seed {seed}{embedded} 2>&1"
        )
    }
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    make_ready(false)?;
    let mut machine = Container::boot()?;
    install_left4me(&mut machine)?;
    let answer = machine.run(&options.inside())?;
    print!("{}", answer.stdout);
    ensure!(answer.code == 0, "the storm left damage (seed {})", options.seed);
    Ok(())
}

/// What came of all commands.
#[derive(Debug, Default)]
struct Tally {
    /// How often a command ended in which way.
    ended: BTreeMap<(&'static str, String), usize>,
    slowest: BTreeMap<&'static str, Duration>,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, script: &Script, outcome: Outcome, time: Duration) {
        let slowest = self.slowest.entry(script.verb).or_default();
        *slowest = time.max(*slowest);
        let way = match outcome {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Named(kind) => kind,
            Outcome::Failed(why) => {
                self.failures.push(why);
                "FAILED".to_owned()
            }
        };
        *self.ended.entry((script.verb, way)).or_default() += 1;
    }

    fn count(&self, verb: &str, way: &str) -> usize {
        self.ended.iter().filter(|((v, w), _)| *v == verb && w == way).map(|(_, count)| count).sum()
    }

    fn print(&self) {
        for verb in VERBS {
            let ways = self.ended.iter().filter(|((v, _), _)| *v == verb);
            let ways: Vec<String> = ways.map(|((_, way), count)| format!("{count} {way}")).collect();
            let slowest = self.slowest.get(verb).copied().unwrap_or_default().as_secs_f64();
            println!("{verb:12} slowest {slowest:4.1} s: {}", ways.join(", "));
        }
        for failure in self.failures.iter().take(10) {
            println!("FAILED {failure}");
        }
    }

    /// A storm in which nobody stood in anybody's way, or a command never did its work, has shown nothing.
    fn check(&self, options: &Options) -> Result<()> {
        ensure!(self.failures.is_empty(), "{} commands failed", self.failures.len());
        let waits = VERBS.iter().map(|verb| self.count(verb, "timeout")).sum::<usize>();
        ensure!(waits > 0, "no command ever found a lock held");
        for verb in VERBS.iter().filter(|_| options.seconds >= THOROUGH_SECONDS) {
            ensure!(self.count(verb, "ok") > 0, "{verb} never succeeded");
        }
        Ok(())
    }
}

/// The storm, inside the machine.
pub(crate) fn inside(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    println!("{options:?}");
    let before = check::prepare(&options)?;
    let tally = Mutex::new(Tally::default());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for process in 0..options.processes {
            let random = fastrand::Rng::with_seed(options.seed.wrapping_add(process));
            let (options, tally) = (&options, &tally);
            scope.spawn(move || work(options, random, tally, start));
        }
    });
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let count: usize = tally.ended.values().sum();
    tally.print();
    println!("{count} commands in {:.0} s", start.elapsed().as_secs_f64());
    // Both are of interest.
    let ended = check::end(&options, &before, tally.count("install", "timeout") > 0);
    tally.check(&options)?;
    ended
}

/// One of the processes: a command after the other.
fn work(options: &Options, mut random: fastrand::Rng, tally: &Mutex<Tally>, start: Instant) {
    while start.elapsed() < Duration::from_secs(options.seconds) {
        let script = commands::choose(options, &mut random);
        let begun = Instant::now();
        let outcome = commands::run(options, &script);
        let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tally.add(&script, outcome, begun.elapsed());
    }
}
