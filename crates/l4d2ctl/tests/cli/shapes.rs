//! An instance's files in every shape, up to 64 MiB and beyond: the status says so at once, and shows the others.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Sandbox, port};

/// Of a status. Seen: some milliseconds; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(2);

const FILES: [&str; 7] =
    ["instance.json", "spec.yaml", "rcon_password", "staged", "staged/layers", "staged/launch", "staged/revision"];

/// Made once, and a hard link for each file that is to be so: 64 MiB take their time.
type Shape = (&'static str, fn(&Path));

const SHAPES: &[Shape] = &[
    ("64 MiB of NULs", |path| File::create(path).unwrap().set_len(64 << 20).unwrap()),
    ("a line of 64 MiB", |path| fill(path, b"x")),
    ("64 MiB of empty lines", |path| fill(path, b"\n")),
    ("64 MiB of opening brackets", |path| fill(path, b"[")),
    ("64 MiB of no UTF-8", |path| fill(path, b"\xff\xfe\x1b[2J")),
    ("a hole of 1 TiB", |path| File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ("nothing at all", |path| drop(File::create(path).unwrap())),
    ("a FIFO", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a directory", |path| fs::create_dir_all(path.join("a/b")).unwrap()),
    ("a link to a device that never ends", |path| symlink("/dev/zero", path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
];

fn fill(path: &Path, with: &[u8]) {
    let mut file = File::create(path).unwrap();
    let block = with.repeat((1 << 20) / with.len());
    for _ in 0..64 {
        file.write_all(&block).unwrap();
    }
}

#[test]
fn an_instance_of_any_shape_neither_slows_nor_hides_the_others() {
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    sandbox.make("b", &format!("port: {}\n", port()));
    let instance = sandbox.root().join("instances/a");
    let made: Vec<_> = (0..SHAPES.len()).map(|number| sandbox.dir.path().join(format!("shape-{number}"))).collect();
    SHAPES.iter().zip(&made).for_each(|((_, make), path)| make(path));
    let mut slowest = Duration::ZERO;
    for file in FILES {
        for ((what, make), made) in SHAPES.iter().zip(&made) {
            let path = instance.join(file);
            if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                fs::remove_dir_all(&path).unwrap();
            } else {
                let _ = fs::remove_file(&path);
            }
            if !path.parent().unwrap().is_dir() {
                let _ = fs::remove_file(path.parent().unwrap());
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if fs::symlink_metadata(made).unwrap().is_file() {
                fs::hard_link(made, &path).unwrap();
            } else {
                make(&path);
            }
            let begun = Instant::now();
            let status = sandbox.json(&["status"]);
            let took = begun.elapsed();
            slowest = slowest.max(took);
            assert!(took < LIMIT, "{file} is {what}: the status took {took:?}");
            let instances = status["instances"].as_array().unwrap();
            let other = instances.iter().find(|instance| instance["name"] == "b").unwrap();
            assert!(
                instances.len() == 2 && other["problems"] == serde_json::json!([]) && other["port"].is_u64(),
                "{file} is {what}"
            );
            let named = sandbox.run(&["status", "a"]);
            assert!(named.code <= 1 && !named.stderr.contains("panicked"), "{file} is {what}: {named:?}");
            if file == "instance.json" {
                assert!(
                    instances[0]["problems"][0]["message"].as_str().unwrap().contains("instance.json"),
                    "{what}: {instances:?}"
                );
                assert!(sandbox.refused(&["start", "a"]).contains("hint:"), "{what}");
            }
        }
        sandbox.ok(&["delete", "a"]);
        sandbox.make("a", &format!("port: {}\n", port()));
    }
    println!("the slowest status took {slowest:?}");
}
