//! The simulated SteamCMD: brings the simulated game, and fails in every way that the real one is known for.

mod app_info;
mod changes;
mod client;
mod content;
mod failures;
mod manifest;
mod output;
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use app_info::Step;
use failures::Failure;
use output::Output;

const APP: &str = "222860";

/// What the arguments ask for.
#[derive(Debug, Default)]
struct Request {
    platform: String,
    install_dir: Option<PathBuf>,
    login: Option<String>,
    app_update: Option<String>,
    app_info: Vec<Step>,
    dir_before_login: bool,
    /// Two builds whose difference is asked for: no command of the real one's.
    changes: Option<(u64, u64)>,
}

impl Request {
    /// Arguments are commands: `+NAME VALUE…`, until the next plus.
    fn parse(args: &[String]) -> Self {
        let mut request = Self::default();
        for (index, arg) in args.iter().enumerate() {
            let value = || args.get(index + 1).filter(|value| !value.starts_with('+')).cloned();
            match arg.as_str() {
                "+@sSteamCmdForcePlatformType" => request.platform = value().unwrap_or_default(),
                "+force_install_dir" => {
                    request.install_dir = value().map(PathBuf::from);
                    request.dir_before_login = request.login.is_none();
                }
                "+login" => {
                    request.login = value();
                    request.app_info.push(Step::Login);
                }
                "+app_info_request" if value().as_deref() == Some(APP) => request.app_info.push(Step::Request),
                "+app_info_print" if value().as_deref() == Some(APP) => request.app_info.push(Step::Print),
                "+app_update" => request.app_update = value(),
                "+sim_changes" => {
                    let number = |at: usize| args.get(index + at).and_then(|value| value.parse().ok());
                    request.changes = number(1).zip(number(2));
                }
                _ => {}
            }
        }
        request
    }
}

pub(crate) fn run(args: &[String]) -> ExitCode {
    let request = Request::parse(args);
    let mut out = Output::new();
    if let Some((from, to)) = request.changes {
        let (files, bytes) = changes::between(from, to, bulk());
        out.line(&format!("SIMULATED: build {to} has {bytes} bytes in {files} files otherwise than build {from}"));
        out.flush();
        return ExitCode::SUCCESS;
    }
    let failure = Failure::from_environment();
    out.line("SIMULATED SteamCMD (srcds-sim): nothing is downloaded.");
    for step in ["[  0%] Checking for available updates...", "[----] Verifying installation..."] {
        out.progress(step);
    }
    out.line("Steam Console Client (c) Valve Corporation - version 1765000000");
    client::bring();
    let code = match failure.as_ref().and_then(|failure| failure.at_start(&mut out)) {
        Some(code) => code,
        None => log_in_and_update(&request, failure.as_ref(), &mut out),
    };
    out.flush();
    ExitCode::from(code)
}

fn log_in_and_update(request: &Request, failure: Option<&Failure>, out: &mut Output) -> u8 {
    let user = request.login.as_deref().unwrap_or("anonymous");
    out.line(&format!("Connecting {user} to Steam Public...OK"));
    if let Some(code) = failure.and_then(|failure| failure.at_login(out)) {
        return code;
    }
    out.line("Waiting for client config...OK\nWaiting for user info...OK");
    if !request.dir_before_login && request.install_dir.is_some() {
        out.line("Please use force_install_dir before logon!");
    }
    if let Some(code) = app_info::run(&request.app_info, failure, out) {
        return code;
    }
    let (Some(dir), Some(APP)) = (&request.install_dir, request.app_update.as_deref()) else { return 0 };
    if !dir.join("steamapps").is_dir() {
        out.line(&format!("Error! App '{APP}' state is 0x606 after update job. (Disk write failure)"));
        return 8;
    }
    if let Some(code) = failure.and_then(|failure| failure.at_update(dir, out)) {
        return code;
    }
    update(request, dir, failure, out)
}

/// Both passes' sizes, as the real ones are.
fn size(platform: &str) -> u64 {
    if platform == "windows" { 9_710_287_462 } else { 202_762_857 }
}

/// The build that Steam has.
fn build() -> u64 {
    number("LEFT4ME_SIM_BUILD").unwrap_or(tree::BUILD)
}

/// How many MiB of the tree are there only to be large.
fn bulk() -> u64 {
    number("LEFT4ME_SIM_BULK").unwrap_or(0)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn update(request: &Request, dir: &std::path::Path, failure: Option<&Failure>, out: &mut Output) -> u8 {
    let total = size(&request.platform);
    out.state("0x3", "reconfiguring", 0, 0);
    for (code, word) in [("0x61", "downloading"), ("0x81", "verifying update"), ("0x101", "committing")] {
        for step in 1..=5 {
            out.state(code, word, total / 5 * step, total);
        }
    }
    let limit = failure.and_then(Failure::limit);
    match (content::lay_down(dir, &request.platform, build(), bulk(), limit), failure) {
        (Ok(true), _) => {}
        (Ok(false), Some(failure)) => return failure.at_limit(out),
        (result, _) => {
            let why = result.err().map_or_else(|| "not all of it".to_owned(), |error| error.to_string());
            out.line(&format!("Error! App '{APP}' state is 0x606 after update job. ({why})"));
            return 8;
        }
    }
    app_info::ask();
    if let Some(failure) = failure {
        failure.after_update(dir);
    }
    out.line(&format!("Success! App '{APP}' fully installed."));
    // What the real one says to a caller who looks for the manifest.
    if fs::metadata(dir.join(manifest::PATH)).is_err() { 8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_commands() {
        let args = [
            "+@sSteamCmdForcePlatformType",
            "linux",
            "+force_install_dir",
            "/d",
            "+login",
            "anonymous",
            "+app_update",
            "222860",
            "validate",
            "+quit",
        ];
        let request = Request::parse(&args.map(str::to_owned));
        assert_eq!((request.platform.as_str(), request.app_update.as_deref()), ("linux", Some("222860")));
        assert!(request.dir_before_login);
        assert!(!Request::parse(&["+login", "x", "+force_install_dir", "/d"].map(str::to_owned)).dir_before_login);
    }
}
