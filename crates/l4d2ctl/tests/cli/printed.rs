//! What is printed, to the letter: the README shows it, and this is what it shows.

use crate::{Sandbox, port};

const README: &str = include_str!("../../../../README.md");

/// An indented block of the README that begins with this line, without its indentation.
fn block(first: &str) -> String {
    let lines = README.lines().skip_while(|line| line.strip_prefix("    ") != Some(first));
    let block = lines.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
    assert_ne!(block, String::new(), "the README has no {first:?}");
    block
}

#[test]
fn errors_are_as_the_readme_shows_them() {
    let sandbox = Sandbox::new();
    sandbox.make("friday", &format!("port: {}\n", port()));
    sandbox.write("league.yaml", "port: 27015\noverlays: [a/b, a]\n");
    for command in ["initialize league -f league.yaml", "start firday"] {
        let error = sandbox.refused(&command.split(' ').collect::<Vec<_>>());
        let typed = format!("$ l4d2ctl {command}");
        assert_eq!(format!("{typed}\n{error}"), block(&typed));
    }
}

#[test]
fn the_readme_s_spec_works_on_a_fresh_host() {
    let sandbox = Sandbox::with_game();
    let spec = block("port: 27015").replacen("27015", &port().to_string(), 1);
    sandbox.make("friday", &spec);
    assert_eq!(sandbox.ok(&["start", "friday"]), "instance friday started\n");
    sandbox.wait("its name is the spec's", |s| {
        s.ok(&["logs", "friday", "--no-follow"]).contains("hostname: Friday night\n")
    });
}

#[test]
fn a_changed_spec_is_a_word_in_the_table() {
    let sandbox = Sandbox::with_game();
    let port = port();
    sandbox.make("friday", &format!("port: {port}\n"));
    sandbox.ok(&["start", "friday"]);
    sandbox.ok(&["stop", "friday"]);
    sandbox.make("friday", &format!("port: {port}\nconfig: [x 1]\n"));
    let table = sandbox.ok(&["status"]);
    let expected = format!(
        "NAME    STATE     PORT  PLAYERS  MAP  ENABLED  SINCE  NOTE\n\
         friday  stopped  {port}  -        -    no           -  pending: spec changed\n"
    );
    assert_eq!(table, expected);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let shown = README.lines().find(|line| line.starts_with("    NAME  ")).unwrap();
    assert_eq!(words(shown), words(expected.lines().next().unwrap()));
    assert!(README.contains("    -  pending: spec changed\n"));
}

#[test]
fn causes_stand_below_the_error() {
    let sandbox = Sandbox::new();
    let error = sandbox.refused(&["initialize", "a", "-f", "nowhere.yaml"]);
    let expected = "error: can't read the spec nowhere.yaml\n  caused by: No such file or directory (os error 2)\n";
    assert_eq!(error, expected);
}

#[test]
fn output_that_can_t_be_written_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.make("a", &format!("port: {}\n", port()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox.command(&["status"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr, "error: can't write to standard output\n  caused by: No space left on device (os error 28)\n");
}
