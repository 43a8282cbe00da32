//! `sim_rehash`: reading all the files of the working directory again and again, and saying when something changed below
//! the running game.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::say;

/// What the game itself writes.
const OWN: [&str; 2] = ["left4dead2/logs", "left4dead2/cfg/banned_user.cfg"];

/// Of each of so many changed paths something is said.
const MOST: usize = 20;

/// Mode and a hash of bytes, target or error, by path.
type Snapshot = BTreeMap<PathBuf, (u32, u64)>;

/// What has been found so far.
#[derive(Debug, Default)]
struct Found {
    files: usize,
    rounds: u64,
    changed: BTreeMap<PathBuf, String>,
}

/// The thread that reads; without one, nothing has been found.
#[derive(Debug, Default)]
pub(super) struct Files(Option<Arc<Mutex<Found>>>);

impl Files {
    /// Reads everything once, then for ever in a thread, with a pause after each round.
    pub(super) fn watch(pause: Duration) -> io::Result<Self> {
        let first = read_all();
        let found = Arc::new(Mutex::new(Found { files: first.len(), ..Found::default() }));
        say(&format!("SIMULATED: reads {} files again and again", first.len()));
        let shared = Arc::clone(&found);
        std::thread::Builder::new().spawn(move || {
            loop {
                let changes = compare(&first, &read_all());
                let mut found = shared.lock().unwrap_or_else(PoisonError::into_inner);
                found.rounds += 1;
                for (path, what) in changes {
                    found.note(path, what);
                }
                drop(found);
                // As often as it was asked to, so that ten of them leave a processor to others.
                std::thread::sleep(pause);
            }
        })?;
        Ok(Self(Some(found)))
    }

    /// What the console command `sim_files` prints.
    pub(super) fn report(&self) -> String {
        let Some(found) = &self.0 else { return "sim_rehash is off\n".to_owned() };
        let found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let Found { files, rounds, changed } = &*found;
        let head = format!("files {files} rounds {rounds} changed {}\n", changed.len());
        let lines = changed.iter().take(MOST).map(|(path, what)| format!("{what}: {}\n", path.display()));
        std::iter::once(head).chain(lines).collect()
    }
}

impl Found {
    fn note(&mut self, path: PathBuf, what: &str) {
        if self.changed.contains_key(&path) {
            return;
        }
        if self.changed.len() < MOST {
            say(&format!("FILES CHANGED BELOW THE RUNNING GAME: {what}: {}", path.display()));
        }
        self.changed.insert(path, what.to_owned());
    }
}

fn compare(first: &Snapshot, now: &Snapshot) -> Vec<(PathBuf, &'static str)> {
    let gone = first.keys().filter(|path| !now.contains_key(*path)).map(|path| (path.clone(), "gone"));
    let others = now.iter().filter_map(|(path, (mode, hash))| {
        let what = match first.get(path) {
            None => "new",
            Some((before, _)) if before != mode => "another mode",
            Some((_, before)) if before != hash => "other bytes",
            Some(_) => return None,
        };
        Some((path.clone(), what))
    });
    gone.chain(others).collect()
}

fn read_all() -> Snapshot {
    let mut all = Snapshot::new();
    let mut open = vec![PathBuf::from(".")];
    while let Some(dir) = open.pop() {
        let names = fs::read_dir(&dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match names {
            Ok(entries) => {
                for path in entries.into_iter().map(|entry| entry.path()) {
                    let path = path.strip_prefix(".").map_or_else(|_| path.clone(), Path::to_owned);
                    if OWN.iter().any(|own| path == Path::new(own)) {
                        continue;
                    }
                    let (mode, hash, is_dir) = look(&path);
                    all.insert(path.clone(), (mode, hash));
                    if is_dir {
                        open.push(path);
                    }
                }
            }
            // An error is something else than what was there, or it was the same from the beginning.
            Err(error) => {
                all.insert(dir.join("(unreadable)"), (0, of_error(&error)));
            }
        }
    }
    all
}

fn look(path: &Path) -> (u32, u64, bool) {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return (0, of_error(&error), false),
    };
    let hash = if metadata.is_symlink() {
        fs::read_link(path).map(|target| of_bytes(target.as_os_str().as_bytes()))
    } else if metadata.is_file() {
        hash_file(path)
    } else {
        Ok(0)
    };
    (metadata.mode(), hash.unwrap_or_else(|error| of_error(&error)), metadata.is_dir())
}

fn hash_file(path: &Path) -> io::Result<u64> {
    let (mut file, mut hasher) = (File::open(path)?, DefaultHasher::new());
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finish()),
            length => hasher.write(&chunk[..length]),
        }
    }
}

fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn of_error(error: &io::Error) -> u64 {
    of_bytes(error.to_string().as_bytes())
}
