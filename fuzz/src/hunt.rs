//! The simple way to hunt: samples of the corpus, changed by chance. It knows nothing of the code that it tries, needs
//! nothing but this program, and goes the same way again when it is given the same seed.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Target;

/// The largest input.
const MAX_SIZE: usize = 64 * 1024;

/// What no input may take, on a machine that is busy with much else: one that costs a second there is no find.
const SLOW: Duration = Duration::from_secs(60);

/// Bytes that mean something to one parser or the other.
const TELLING: &[u8] = b"\0\n\r\t\x1b \"#$%&'()*+,-./0179:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xc2\xe2\xff";

/// Words that do, and numbers at the edge of something.
const WORDS: [&str; 24] = [
    "..",
    "-1",
    "0",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "\\040",
    "\\134",
    "\u{202e}",
    "\u{feff}",
    "\u{1b}[2J",
    "\u{85}",
    "\\u0000",
    "null",
    "true",
    ": ",
    "- ",
    "&a ",
    "*a",
    "installation\n",
];

/// The samples of a target, in the order of their names.
pub fn samples(corpus: &Path, target: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(corpus.join(target))?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort_unstable();
    files.into_iter().map(fs::read).collect()
}

/// How a hunt went.
#[derive(Debug, PartialEq, Eq)]
pub enum Hunted {
    /// Nothing was found in so many tries.
    Nothing(u64),
    /// An input that broke the target, or kept it for too long.
    Broken(Vec<u8>),
}

/// Tries a target with its samples as they are, then changed, until the time is over.
pub fn hunt(target: Target, samples: &[Vec<u8>], seed: u64, time: Duration) -> Hunted {
    let deadline = Instant::now() + time;
    let mut chance = Chance(seed);
    let mut tries = 0;
    for sample in samples {
        if !survives(target, sample) {
            return Hunted::Broken(sample.clone());
        }
        tries += 1;
    }
    while Instant::now() < deadline {
        let input = chance.change(samples);
        if !survives(target, &input) {
            return Hunted::Broken(input);
        }
        tries += 1;
    }
    Hunted::Nothing(tries)
}

fn survives((_, run): Target, input: &[u8]) -> bool {
    let start = Instant::now();
    catch_unwind(AssertUnwindSafe(|| run(input))).is_ok() && start.elapsed() < SLOW
}

/// Chance that can be had again: SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0 to `below`; 0 where that is 0.
    fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % (below.max(1) as u64)).unwrap_or(0)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A sample with one to eight changes.
    fn change(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        let index = self.below(samples.len());
        let mut input = samples.get(index).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            self.change_once(&mut input, samples);
        }
        input.truncate(MAX_SIZE);
        input
    }

    fn change_once(&mut self, input: &mut Vec<u8>, samples: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let to = at + self.below((input.len() - at).min(64) + 1);
        let new = match self.below(8) {
            0 => vec![self.of(TELLING)],
            1 => vec![self.next().to_le_bytes()[0]],
            2 => self.of(&WORDS).into(),
            3 => self.next().to_string().into_bytes(),
            4 => Vec::new(),
            5 => input[at..to].repeat(1 << self.below(10)),
            6 => return input.insert(at, self.of(TELLING)),
            _ => self.piece(samples),
        };
        let keep = self.below(2) == 0;
        input.splice(if keep { at..at } else { at..to }, new);
    }

    /// A piece of any sample.
    fn piece(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        let index = self.below(samples.len());
        let sample = samples.get(index).map_or(&[][..], Vec::as_slice);
        let at = self.below(sample.len() + 1);
        sample[at..at + self.below(sample.len() - at + 1)].to_vec()
    }
}
