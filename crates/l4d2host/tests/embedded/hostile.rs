//! What lies in the way: every kind of file at every name that the library stages, reads, renames or removes. Each
//! command works, or is refused by an error that names something; nothing outside is read, written or removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use l4d2host::{Error, InstanceState, SpecSource};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::host::TestHost;

pub(crate) const TESTS: &[crate::Test] = &[
    ("what_the_game_leaves_stops_no_command", what_the_game_leaves_stops_no_command),
    ("what_lies_in_an_instance_is_no_way_out", what_lies_in_an_instance_is_no_way_out),
    ("what_lies_beside_the_upper_is_no_way_out", what_lies_beside_the_upper_is_no_way_out),
    ("what_lies_in_tmp_and_locks_is_no_way_out", what_lies_in_tmp_and_locks_is_no_way_out),
    ("a_game_that_closes_its_own_upper_is_reset", a_game_that_closes_its_own_upper_is_reset),
];

/// The game writes here through its mount, whatever and whenever it likes.
const GAMES: [&str; 6] = [
    "left4dead2",
    "left4dead2/cfg",
    "left4dead2/cfg/server.cfg",
    "left4dead2/cfg/.left4me-server.cfg",
    "left4dead2/cfg/server_other.cfg",
    "left4dead2/cfg/.left4me-server_other.cfg",
];

/// A command that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Plant {
    LinkToDirectory,
    LinkToFile,
    LinkToNothing,
    LinkToRoot,
    HardLink,
    Fifo,
    Socket,
    /// Overlayfs' mark of a deletion: a device that everybody may make.
    Whiteout,
    Directory,
    ClosedDirectory,
    File,
    ClosedFile,
    /// 1 TiB, and takes no room.
    Sparse,
}

use Plant::{
    ClosedDirectory, ClosedFile, Directory, Fifo, File, HardLink, LinkToDirectory, LinkToFile, LinkToNothing,
    LinkToRoot, Socket, Sparse, Whiteout,
};

const PLANTS: [Plant; 13] = [
    LinkToDirectory,
    LinkToFile,
    LinkToNothing,
    LinkToRoot,
    HardLink,
    Fifo,
    Socket,
    Whiteout,
    Directory,
    ClosedDirectory,
    File,
    ClosedFile,
    Sparse,
];

/// Directories and files that look like what is looked for, with everything about them that may not change.
struct Canary {
    dir: PathBuf,
    before: Vec<String>,
}

impl Canary {
    fn new(t: &TestHost) -> Self {
        let dir = t.root.with_extension("canary");
        for path in ["left4dead2/cfg", "cfg", "work", "log"] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        for path in
            ["left4dead2/cfg/server.cfg", "cfg/server.cfg", "server.cfg", "layers", "launch", "revision", "work/kept"]
        {
            fs::write(dir.join(path), "canary\n").unwrap();
        }
        let before = look(&dir);
        Self { dir, before }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("server.cfg")
    }

    fn check(&self, what: &str) {
        // A file's own time of change tells of a chmod, too, and of a write of the same bytes.
        assert_eq!(look(&self.dir), self.before, "{what} reached outside");
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn look(dir: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut queue = vec![dir.to_owned()];
    while let Some(path) = queue.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        seen.push(format!("{} {:o} {} {} {}", path.display(), meta.mode(), meta.uid(), meta.len(), meta.mtime_nsec()));
        if meta.is_dir() {
            queue.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            seen.push(fs::read_to_string(&path).unwrap());
        }
    }
    seen.sort();
    seen
}

impl Plant {
    /// Puts this at `path`, in place of what is there.
    fn at(self, path: &Path, canary: &Canary) {
        clear(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let node = |kind| mknodat(CWD, path, kind, Mode::RWXU, 0).unwrap();
        match self {
            LinkToDirectory => symlink(&canary.dir, path).unwrap(),
            LinkToFile => symlink(canary.file(), path).unwrap(),
            LinkToNothing => symlink(canary.dir.join("nothing"), path).unwrap(),
            LinkToRoot => symlink("/proc/self/root", path).unwrap(),
            HardLink => fs::hard_link(canary.file(), path).unwrap(),
            Fifo => node(FileType::Fifo),
            Socket => bind(path),
            Whiteout => node(FileType::CharacterDevice),
            Directory | ClosedDirectory => {
                fs::create_dir_all(path.join("a/b")).unwrap();
                symlink(&canary.dir, path.join("a/link")).unwrap();
                fs::hard_link(canary.file(), path.join("a/b/hard")).unwrap();
                if self == ClosedDirectory {
                    mode(&path.join("a"), 0);
                    mode(path, 0);
                }
            }
            File => fs::write(path, "\0\x1b[2J\n").unwrap(),
            ClosedFile => {
                fs::write(path, "").unwrap();
                mode(path, 0);
            }
            Sparse => fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
        }
    }
}

/// A socket's path is short, a test's directory need not be.
fn bind(path: &Path) {
    let short = std::env::temp_dir().join(format!("left4me-{}", std::process::id()));
    let dir = fs::File::open(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&short);
    symlink(format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&dir)), &short).unwrap();
    drop(UnixListener::bind(short.join(path.file_name().unwrap())).unwrap());
    fs::remove_file(&short).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Removes whatever is there, as a person would who has had enough.
fn clear(path: &Path) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if !meta.is_dir() {
        return fs::remove_file(path).unwrap();
    }
    mode(path, 0o700);
    for entry in fs::read_dir(path).unwrap() {
        clear(&entry.unwrap().path());
    }
    fs::remove_dir(path).unwrap();
}

/// Makes `one` anew, and beside it `two`, whose status must not suffer.
fn prepare(t: &TestHost) -> Canary {
    t.write("overlays/other/left4dead2/cfg/server.cfg", "// the overlay's\n");
    t.game("exec sleep 1000");
    let spec = SpecSource { file_name: "spec.yaml".to_owned(), bytes: b"port: 27016\n".to_vec() };
    t.host.initialize(&"two".parse().unwrap(), &spec, None).unwrap();
    make_one(t);
    Canary::new(t)
}

fn make_one(t: &TestHost) {
    t.initialize("port: 27015\noverlays:\n  - {path: other, alias: other}\n");
}

fn finish(t: &TestHost) {
    t.host.delete(&"two".parse().unwrap(), None).unwrap();
}

/// Runs a command, which must not take long, and must name something where it refuses.
fn timed<T>(what: &str, command: impl FnOnce() -> Result<T, Error>) -> bool {
    let begun = Instant::now();
    let result = command();
    assert!(begun.elapsed() < LIMIT, "{what} took {:?}", begun.elapsed());
    if let Err(error) = &result {
        let said = error.to_string();
        assert!(said.contains("one") && !said.contains("canary"), "{what}: {said}");
    }
    result.is_ok()
}

fn status_is_told(t: &TestHost, what: &str) {
    let begun = Instant::now();
    let statuses = t.host.all_statuses().unwrap();
    assert!(begun.elapsed() < LIMIT, "{what}: status took {:?}", begun.elapsed());
    let two = statuses.iter().find(|status| status.name.as_str() == "two").unwrap();
    assert!(two.problems.is_empty() && two.state == InstanceState::Stopped, "{what}: {two:?}");
}

fn what_the_game_leaves_stops_no_command(t: &TestHost) {
    let canary = prepare(t);
    for (index, place) in GAMES.iter().enumerate() {
        for plant in PLANTS {
            let what = format!("{plant:?} at {place}");
            plant.at(&t.upper(place), &canary);
            assert!(timed(&what, || t.host.start(&t.one)), "{what}: start");
            for file in ["server.cfg", "server_other.cfg"] {
                let text = fs::read_to_string(t.upper("left4dead2/cfg").join(file)).unwrap();
                assert!(text.contains("left4me") || text.contains("overlay's"), "{what}: {file}: {text}");
            }
            status_is_told(t, &what);
            t.stop();
            plant.at(&t.upper(place), &canary);
            if index % 2 == 0 {
                assert!(timed(&what, || t.host.reset(&t.one)), "{what}: reset");
            } else {
                assert!(timed(&what, || t.host.delete(&t.one, None)), "{what}: delete");
                make_one(t);
            }
            canary.check(&what);
        }
    }
    finish(t);
}

/// Plants at `places`, tries every command, and mends by hand what none of them could.
fn plant_everywhere(t: &TestHost, places: &[&str], mends: &[&str]) {
    let canary = prepare(t);
    for place in places {
        for plant in PLANTS {
            let what = format!("{plant:?} at {place}");
            plant.at(&t.root.join(place), &canary);
            status_is_told(t, &what);
            if timed(&format!("{what}: start"), || t.host.start(&t.one)) {
                timed(&format!("{what}: stop"), || t.host.stop(&t.one));
            }
            canary.check(&what);
            plant.at(&t.root.join(place), &canary);
            timed(&format!("{what}: reset"), || t.host.reset(&t.one));
            timed(&format!("{what}: logs"), || {
                t.host.stream_instance_logs(&t.one, &crate::logs::no_follow()).map(Iterator::count)
            });
            canary.check(&what);
            let spec = SpecSource { file_name: "spec.yaml".to_owned(), bytes: b"port: 27015\n".to_vec() };
            timed(&format!("{what}: initialize"), || t.host.initialize(&t.one, &spec, None));
            canary.check(&what);
            plant.at(&t.root.join(place), &canary);
            timed(&format!("{what}: delete"), || t.host.delete(&t.one, None));
            canary.check(&what);
            for mend in mends {
                clear(&t.root.join(mend));
            }
            make_one(t);
        }
    }
    t.start();
    t.stop();
    finish(t);
}

const INSTANCE: [&str; 9] = [
    "instances/one",
    "instances/one/instance.json",
    "instances/one/rcon_password",
    "instances/one/staged",
    "instances/one/staged/layers",
    "instances/one/staged/launch",
    "instances/one/staged/revision",
    "instances/one/staged/cfg",
    "instances/one/staged/cfg/server.cfg",
];

fn what_lies_in_an_instance_is_no_way_out(t: &TestHost) {
    plant_everywhere(t, &INSTANCE, &["instances/one", "runtime/one"]);
}

const RUNTIME: [&str; 11] = [
    "runtime/one",
    "runtime/one/upper",
    "runtime/one/work",
    "runtime/one/work/work",
    "runtime/one/work/left4me-one",
    "runtime/one/work/left4me-one/work",
    "runtime/one/merged",
    "runtime/one/log",
    "runtime/one/log/console-00000000000000000000.log",
    "runtime/one/supervisor.json",
    "runtime/one/supervisor.json.new",
];

fn what_lies_beside_the_upper_is_no_way_out(t: &TestHost) {
    plant_everywhere(t, &RUNTIME, &["instances/one", "runtime/one"]);
}

const SHARED: [&str; 8] = [
    "tmp/one.new",
    "tmp/one.staged",
    "tmp/one.upper",
    "tmp/one.work",
    "tmp/one.deleted",
    "tmp/one.runtime",
    "locks/one.lock",
    "locks/one.supervisor",
];

fn what_lies_in_tmp_and_locks_is_no_way_out(t: &TestHost) {
    plant_everywhere(t, &SHARED, &["locks/one.lock", "locks/one.supervisor"]);
}

/// The modes of `merged` are those of the upper.
fn a_game_that_closes_its_own_upper_is_reset(t: &TestHost) {
    for closed in ["0", "0555", "0311"] {
        t.game(&format!(
            "mkdir -p left4dead2/cfg; chmod {closed} left4dead2/cfg left4dead2 .; echo closed; exec sleep 1000"
        ));
        t.start();
        t.wait_for("closed", 1);
        t.stop();
        assert_eq!(fs::metadata(t.upper("")).unwrap().mode() & 0o7777, u32::from_str_radix(closed, 8).unwrap());
        t.start();
        t.stop();
        t.host.reset(&t.one).unwrap();
        assert_eq!(fs::read_dir(t.upper("")).unwrap().count(), 0);
        t.host.delete(&t.one, None).unwrap();
    }
}
