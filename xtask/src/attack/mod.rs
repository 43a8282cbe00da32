//! `cargo xtask attack`: the service user swaps every directory below the root directory for something else, as fast as
//! it can, while root's helper mounts and unmounts two instances.
//!
//! The helper is the installed one. It runs in a PID namespace of its own, so that "PID 1's mount namespace" is this
//! one's, and the root of the file system is an empty one in memory: an escape would hurt nothing. Around the root
//! directory lie canaries: root's files, with all the names that the helper uses. Afterwards each must be as it was;
//! and no mount may ever have shown one.

mod attacker;
mod canary;
mod ground;
mod inspect;
mod runner;
mod swaps;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::build::{cargo, is_root, succeed, target_dir};

pub(crate) use attacker::older_namespace;
pub(crate) use runner::inside;
pub(crate) use swaps::swap_everything;

/// What was asked for.
struct Options {
    swaps: u64,
    runs: u64,
    seed: u64,
    /// A helper that is built already.
    helper: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let seed = std::time::UNIX_EPOCH.elapsed()?.subsec_nanos();
        let mut options = Self { swaps: 1_000_000, runs: 20_000, seed: u64::from(seed), helper: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("{arg} needs a value"))?;
            let number = || value.parse().with_context(|| format!("{value} is not a number"));
            match arg.as_str() {
                "--swaps" => options.swaps = number()?,
                "--runs" => options.runs = number()?,
                "--seed" => options.seed = number()?,
                "--helper" => options.helper = Some(PathBuf::from(value)),
                _ => bail!("unknown argument {arg}; `cargo xtask` lists them"),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    ensure!(is_root(), "the attack needs root: the helper is to be root, and the attacker somebody else");
    let helper = match options.helper {
        Some(helper) => helper,
        None => {
            succeed(&mut cargo(&["build", "--quiet", "--profile", "helper", "--package", "left4me-overlay"]))?;
            target_dir("helper")?.join("left4me-overlay")
        }
    };
    let place = std::env::temp_dir().join(format!("left4me-attack-{}", std::process::id()));
    std::fs::create_dir(&place).with_context(|| format!("can't make {}", place.display()))?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--"])
        .arg(std::env::current_exe()?)
        .arg("attack-inside")
        .args([&place, &helper])
        .args([options.swaps, options.runs, options.seed].map(|number| number.to_string()))
        .status()
        .context("can't run unshare (util-linux)")?;
    std::fs::remove_dir(&place).with_context(|| format!("can't remove {}", place.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The root directory of the attack.
const ROOT: &str = "/srv/left4me";

/// The service user's, beside it: where it can move things to.
const ATTIC: &str = "/srv/attic";

/// The uid of the service user.
const ATTACKER: u32 = 65534;

/// The instances that are mounted.
const INSTANCES: [&str; 2] = ["one", "two"];

/// The whole path of something in the root directory.
fn in_root(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// Numbers that a seed determines (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0) % limit
    }
}
