//! Failing on request: `LEFT4ME_SIM_STEAM_FAIL=MODE[:TIMES]`. With TIMES it fails that often and then works; a file in
//! HOME counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::APP;
use super::output::Output;

#[derive(Debug)]
pub(super) struct Failure(String);

fn hang(out: &mut Output) -> ! {
    out.flush();
    loop {
        std::thread::park();
    }
}

impl Failure {
    pub(super) fn from_environment() -> Option<Self> {
        let wanted = std::env::var("LEFT4ME_SIM_STEAM_FAIL").ok().filter(|wanted| !wanted.is_empty())?;
        let Some((mode, times)) = wanted.split_once(':') else { return Some(Self(wanted)) };
        let counter = PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".sim-steam-failures");
        let so_far: u32 = fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if so_far >= times.parse().unwrap_or(1) {
            return None;
        }
        fs::write(&counter, (so_far + 1).to_string()).ok()?;
        Some(Self(mode.to_owned()))
    }

    /// Before anything else; an exit code ends it.
    pub(super) fn at_start(&self, out: &mut Output) -> Option<u8> {
        match self.0.as_str() {
            "garbage" => {
                out.raw(&(0..=255_u8).cycle().take(20_000).collect::<Vec<_>>());
                Some(0)
            }
            "segfault" => {
                out.flush();
                std::process::abort()
            }
            "hang" => {
                out.line("Redirecting stderr to a log file");
                hang(out)
            }
            "orphan" => {
                let child = Command::new("/bin/sh").args(["-c", "trap '' HUP; exec sleep 1000"]).spawn();
                out.line(&format!("orphan {}", child.map_or(0, |child| child.id())));
                hang(out)
            }
            "appinfo-timeout" => {
                out.line("Timed out waiting for AppInfo update.");
                Some(1)
            }
            _ => None,
        }
    }

    pub(super) fn at_login(&self, out: &mut Output) -> Option<u8> {
        let (text, code) = match self.0.as_str() {
            "rate-limit" => ("FAILED (Rate Limit Exceeded)", 5),
            "login-failure" => ("FAILED (Invalid Password)", 5),
            "two-factor" => ("FAILED (Two-factor code mismatch)", 5),
            "prompt" => {
                out.raw(b"password: ");
                out.flush();
                let mut typed = String::new();
                let _ = std::io::stdin().read_line(&mut typed);
                return typed.trim().is_empty().then_some(5);
            }
            _ => return None,
        };
        out.line(text);
        Some(code)
    }

    pub(super) fn at_update(&self, dir: &Path, out: &mut Output) -> Option<u8> {
        let state = |number: &str| format!("Error! App '{APP}' state is {number} after update job.");
        let failed = |why: &str| format!("ERROR! Failed to install app '{APP}' ({why})");
        let text = match self.0.as_str() {
            "invalid-platform" => failed("Invalid platform"),
            "missing-configuration" => failed("Missing configuration"),
            "no-subscription" => failed("No subscription"),
            "beta-password" => format!("Password check for AppId {APP} failed"),
            "disk-full" => state("0x202"),
            "network" => state("0x402"),
            "0x602" => state("0x602"),
            "disk-write" => state("0x606"),
            "0x626" => state("0x626"),
            "corrupt" if dir.join("steamapps/downloading").exists() => state("0x6A6"),
            _ => return None,
        };
        out.state("0x61", "downloading", 12_345_678, 9_710_287_462);
        out.line(&text);
        Some(8)
    }

    /// Instead of what Steam knows of the app.
    pub(super) fn at_app_info(&self, out: &mut Output) -> Option<u8> {
        if self.0 != "network" {
            return None;
        }
        out.line("ERROR! Failed to request AppInfo update, not online or not logged in to Steam.");
        Some(8)
    }

    /// Steam says nothing of the app.
    pub(super) fn hides_app_info(&self) -> bool {
        self.0 == "no-app-info"
    }

    /// Steam says only what it says to everybody.
    pub(super) fn hides_depots(&self) -> bool {
        self.0 == "no-depots"
    }

    /// How many changes are made of an update that gets no further.
    pub(super) fn limit(&self) -> Option<usize> {
        ["half", "hang-half"].contains(&self.0.as_str()).then_some(20)
    }

    /// When those are made.
    pub(super) fn at_limit(&self, out: &mut Output) -> u8 {
        if self.0 == "hang-half" {
            out.line("Update is half done");
            hang(out);
        }
        out.line(&format!("Error! App '{APP}' state is 0x602 after update job."));
        8
    }

    /// After a success that is none.
    pub(super) fn after_update(&self, dir: &Path) {
        match self.0.as_str() {
            "lies" => {
                let manifest = dir.join(super::manifest::PATH);
                let text = fs::read_to_string(&manifest).unwrap_or_default();
                let _ = fs::write(&manifest, text.replace("\"StateFlags\"\t\t\"4\"", "\"StateFlags\"\t\t\"1026\""));
            }
            "windows-only" => {
                let _ = fs::remove_file(dir.join("srcds_run"));
            }
            _ => {}
        }
    }
}
