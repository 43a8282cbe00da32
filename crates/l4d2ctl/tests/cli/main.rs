//! The real binary in a hermetic environment: what it prints, and its exit code.

mod advisories;
mod arguments;
mod check;
mod completion;
mod console;
mod demo;
mod doctor;
mod files;
mod json;
mod life;
mod live;
mod locks;
mod look;
mod metrics;
mod overlays;
mod printed;
mod races;
mod rcon;
mod rollout;
mod schema;
mod shapes;
mod specs;
mod steam;
mod top;
mod updates;
mod when_empty;
mod whole;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// A root directory, a home and an environment of its own; instances that a test leaves are deleted.
struct Sandbox {
    dir: tempfile::TempDir,
}

/// What a run printed and how it ended.
#[derive(Debug)]
struct Ran {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir_in(scratch()).unwrap() };
        fs::create_dir_all(sandbox.root()).unwrap();
        fs::create_dir_all(sandbox.home()).unwrap();
        sandbox
    }

    /// With the simulated game installed, as the real one would be.
    fn with_game() -> Self {
        let sandbox = Self::new();
        let steamcmd = sandbox.steamcmd();
        let ran = sandbox.run_with(&["install"], &[("LEFT4ME_STEAMCMD", steamcmd.to_str().unwrap())]);
        assert_eq!(ran.code, 0, "{ran:?}");
        sandbox
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A SteamCMD: this program's own simulation.
    fn steamcmd(&self) -> PathBuf {
        let path = self.dir.path().join("steamcmd.sh");
        let own = env!("CARGO_BIN_EXE_l4d2ctl");
        fs::write(&path, format!("#!/bin/sh\nexec '{own}' simulate steamcmd \"$@\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_l4d2ctl"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home())
            .env("LEFT4ME_ROOT", self.root())
            .env("LEFT4ME_SUPERVISOR", "embedded")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        let ran = Ran::of(&self.command(args).envs(environment.iter().copied()).output().unwrap());
        schema::check(args, &ran.stdout);
        ran
    }

    /// A run that must succeed; its stdout.
    fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.stdout
    }

    /// A run that must end with exit code 1 and one error; its stderr.
    fn refused(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 1, "{args:?}: {ran:?}");
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: "), "{args:?}: {ran:?}");
        ran.stderr
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Initializes an instance from a spec.
    fn initialize(&self, name: &str, spec: &str) -> Ran {
        self.write("spec.yaml", spec);
        self.run(&["initialize", name, "-f", "spec.yaml"])
    }

    fn make(&self, name: &str, spec: &str) {
        let ran = self.initialize(name, spec);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }

    fn state(&self, name: &str) -> String {
        self.json(&["status", name, "--no-query"])["instances"][0]["state"].as_str().unwrap().to_owned()
    }

    /// Waits until `is` holds. Bounded; there is no event to wait for in another program's state.
    fn wait(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        for _ in 0..600 {
            if is(self) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("never: {what}");
    }

    /// All that is below the root, with sizes: to see that nothing changed.
    fn tree(&self) -> Vec<String> {
        let output =
            Command::new("find").arg(self.root()).args(["-not", "-path", "*/locks*", "-printf", "%P %s %m\n"]).output();
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&output.unwrap().stdout).lines().map(str::to_owned).collect();
        lines.sort();
        // Times of directories differ; sizes and modes do not.
        lines
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let names = fs::read_dir(self.root().join("instances")).into_iter().flatten().flatten();
        for name in names {
            let _ = self.command(&["delete", &name.file_name().to_string_lossy()]).output();
        }
    }
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

/// Where sandboxes are made: on a disk that can hold an upper, and where the user who runs this may write.
fn scratch() -> PathBuf {
    std::env::var_os("LEFT4ME_TEST_TMPDIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), PathBuf::from)
}

/// A port that is free now and that no other test of this run gets.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static BASE: AtomicU32 = AtomicU32::new(0);
    if BASE.load(Ordering::Relaxed) == 0 {
        BASE.store(20_000 + std::process::id() % 60 * 100, Ordering::Relaxed);
    }
    loop {
        let port = u16::try_from(BASE.load(Ordering::Relaxed)).unwrap() + NEXT.fetch_add(1, Ordering::Relaxed);
        let free = std::net::UdpSocket::bind(("0.0.0.0", port)).is_ok()
            && std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
        if free {
            return port;
        }
    }
}
