//! Every target, with its corpus and with what chance makes of it, for a second each.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuzz::hunt::{Hunted, hunt, samples};
use fuzz::{Target, targets};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A number of the environment, or another.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().unwrap())
}

#[test]
fn every_target_has_a_small_corpus_and_every_corpus_a_target() {
    let mut names: Vec<String> = targets().iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort_unstable();
    let mut found: Vec<String> =
        fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(names, found);
    for name in names {
        let samples = samples(&corpus(), &name).unwrap();
        assert!(!samples.is_empty() && samples.iter().all(|sample| sample.len() <= 8 * 1024), "{name}");
    }
}

#[test]
fn no_target_breaks() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("LEFT4ME_FUZZ_SEED", now);
    let time = Duration::from_millis(number("LEFT4ME_FUZZ_MILLISECONDS", 1000));
    let (todo, broken) = (Mutex::new(targets()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(target) = { todo.lock().unwrap().pop() } {
                    match hunt(target, &samples(&corpus(), target.0).unwrap(), seed, time) {
                        Hunted::Nothing(tries) => println!("{}: {tries} tries", target.0),
                        Hunted::Broken(input) => broken.lock().unwrap().push((target, input)),
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    let told: Vec<String> = broken.iter().map(|(target, input)| tell(*target, input)).collect();
    assert!(told.is_empty(), "seed {seed} (LEFT4ME_FUZZ_SEED):\n{}", told.join("\n"));
}

/// Leaves the input where it can be looked at.
fn tell((name, _): Target, input: &[u8]) -> String {
    let file = std::env::temp_dir().join(format!("left4me-fuzz-{name}-{}", std::process::id()));
    fs::write(&file, input).unwrap();
    format!("{name} breaks with {}: {:?}", file.display(), String::from_utf8_lossy(&input[..input.len().min(200)]))
}

#[test]
fn a_target_that_can_be_broken_is() {
    let breaks_at_a_bracket: Target = ("test", |input| assert!(!input.contains(&b'[')));
    let found = hunt(breaks_at_a_bracket, &[b"port: 27015\n".to_vec()], 1, Duration::from_secs(60));
    assert!(matches!(found, Hunted::Broken(input) if input.contains(&b'[')));
    let overflows: Target = ("test", |input| assert!(input.iter().fold(143_u8, |sum, byte| sum + byte) > 0));
    assert_eq!(hunt(overflows, &[b"p".to_vec(), b"q".to_vec()], 1, Duration::ZERO), Hunted::Broken(b"q".to_vec()));
}
