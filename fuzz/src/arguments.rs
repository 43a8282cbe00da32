//! What root's helpers are asked for. They are programs and no libraries, so their parsers are included as files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::Target;

// The laws here use less of them than the programs do.
#[allow(dead_code)]
#[path = "../../crates/left4me-journalctl/src/request.rs"]
mod journalctl;
#[allow(dead_code)]
#[path = "../../crates/left4me-overlay/src/request.rs"]
mod overlay;
#[allow(dead_code)]
#[path = "../../crates/left4me-systemctl/src/request.rs"]
mod systemctl;

pub(crate) const TARGETS: &[Target] = &[("helper_arguments", helper_arguments)];

/// The arguments of a call, a NUL between them, as in `/proc/PID/cmdline`: each helper takes them as they are, all of them,
/// or refuses.
fn helper_arguments(input: &[u8]) {
    let given: Vec<OsString> = input.split(|&b| b == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect();
    let args = || given.iter().cloned();
    if let Ok(request) = overlay::Request::parse(args()) {
        assert_eq!(request.to_string().as_bytes(), join(&given, b' '));
    }
    if let Ok(request) = systemctl::Request::parse(args()) {
        let verb = match request.verb {
            systemctl::Verb::Enable => "enable",
            systemctl::Verb::Disable => "disable",
            systemctl::Verb::Show => "show",
        };
        let names = request.names.iter().map(names::InstanceName::as_str);
        assert_eq!([verb].into_iter().chain(names).map(OsString::from).collect::<Vec<_>>(), given);
        assert!(!request.names.is_empty());
    }
    match journalctl::Request::parse(args()) {
        Ok(request) => check_journalctl(&request, &given),
        Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
    }
}

fn check_journalctl(request: &journalctl::Request, given: &[OsString]) {
    let cursor = request.after_cursor.as_deref().unwrap_or("x");
    assert!(cursor.bytes().all(|b| b.is_ascii_graphic() && !b"/\\\"'$*".contains(&b)), "{cursor:?}");
    let lines = request.lines.to_string();
    assert!(
        request.lines <= 1_000_000 && given[2].to_str().is_some_and(|given| given.trim_start_matches('0').len() <= 7)
    );
    let follow = if request.follow { "--follow" } else { "--no-follow" };
    let whose = match &request.whose {
        journalctl::Whose::Instance(name) => name.as_str(),
        journalctl::Whose::All => "--all",
    };
    let mut words = vec![whose, "--lines", &lines, follow];
    if request.output == journalctl::Output::Json {
        words.extend(["--output", "json"]);
    }
    words.extend(request.after_cursor.iter().flat_map(|cursor| ["--after-cursor", cursor]));
    // Said in the shortest way, it is the same request.
    assert_eq!(journalctl::Request::parse(words.into_iter().map(OsString::from)).as_ref(), Ok(request));
}

fn join(arguments: &[OsString], between: u8) -> Vec<u8> {
    let bytes: Vec<&[u8]> = arguments.iter().map(|argument| OsStr::as_bytes(argument)).collect();
    bytes.join(&between)
}
