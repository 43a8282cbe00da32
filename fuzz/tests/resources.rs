//! What hostile input may cost: a spec is refused or taken within a second and 128 MiB, whatever it is made of; and a list
//! of layers is read no further than to where it is wrong.

use std::process::Command;

use l4d2host::SpecSource;
use rustix::time::{ClockId, clock_gettime};

/// As large as a spec may be.
const SIZE: usize = 256 * 1024;

/// Set for the run that has little memory.
const LIMITED: &str = "LEFT4ME_TEST_LIMITED";

/// Of data, in KiB: what `ulimit -d` counts.
const MEMORY: usize = 128 * 1024;

/// Seconds of processor time that `f` takes: the machine may be busy with something else.
fn seconds(f: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        std::time::Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap()).as_secs_f64()
    };
    let start = now();
    f();
    now() - start
}

/// `piece` again and again between a beginning and an end, as long as a spec may be.
fn full(begin: &str, piece: &str, end: &str) -> String {
    format!("{begin}{}{end}", piece.repeat((SIZE - begin.len() - end.len()) / piece.len()))
}

/// `count` lines or elements, each made of its number.
fn numbered(begin: &str, count: usize, element: impl Fn(usize) -> String, end: &str) -> String {
    format!("{begin}{}{end}", (0..count).map(element).collect::<String>())
}

/// What a hostile spec may be made of: the signs of YAML, and what is none.
const SHORT: [&str; 51] = [
    "[", "{", "]", "- ", "? ", "a: ", ": ", "&a ", "*a ", "!!x ", "!<x> ", "<<: ", "# ", "\n", "\r", "\r\n", "\t", " ",
    "---\n", "...\n", "--- ", "'", "''", "\"", "\\", "\\u0000", "\\\n", "|\n", ">\n ", "x", "x ", "ä", "\0", "a: 1\n",
    "a:\n", "- a\n", "- - a\n", "[],", "{},", "{a: 1},", "9", "-1 ", "# x\n", "  # x\n", "~", "null,", "`", "@", "%",
    "a\n b", "\u{1b}",
];
const LONG: [&str; 8] =
    ["%TAG ! x\n", "%YAML 1.2\n", "\u{2028}", "\u{feff}", "[a]: 1\n", "port: 27015\n", "x: &a *a\n", "[*a,*a],"];

/// Where it may stand.
const PLACES: [(&str, &str); 10] = [
    ("", ""),
    ("port: 27015\n", ""),
    ("port: 27015\nconfig: [", "]\n"),
    ("port: 27015\nconfig: [\"", "\"]\n"),
    ("port: 27015\nconfig: ['", "']\n"),
    ("port: 27015\nconfig:\n  - ", "\n"),
    ("port: 27015\nconfig:\n  - |\n    ", "\n"),
    ("port: ", ""),
    ("", ": 27015\n"),
    ("port: 27015\noverlays: [{path: ", "}]\n"),
];

/// Has `look` look at each, one at a time: all together they are larger than the limit. Each piece stands in one of the
/// places, or in every one where `LEFT4ME_TEST_ALL` is set: that takes a minute of processor time.
fn hostile_specs(look: &mut dyn FnMut(String)) {
    let all = std::env::var_os("LEFT4ME_TEST_ALL").is_some();
    for (index, piece) in SHORT.iter().chain(&LONG).enumerate() {
        for (_, (begin, end)) in PLACES.iter().enumerate().filter(|(place, _)| all || *place == index % PLACES.len()) {
            look(full(begin, piece, end));
        }
    }
    let overlays = |element: &dyn Fn(usize) -> String| numbered("port: 27015\noverlays: [", 499, element, "]\n");
    look(overlays(&|n| format!("{}/{n}, ", "x/".repeat(250))));
    look(overlays(&|n| format!("{}a{n}, ", "x".repeat(120))));
    look(overlays(&|n| format!("{{path: a{n}, alias: b{n}}}, ")));
    look(overlays(&|n| if n == 498 { "a0".to_owned() } else { format!("a{n}, ") }));
    look(overlays(&|n| format!("a{n}/{}, ", vec!["y"; 498 - n].join("/"))));
    look(numbered("port: 27015\noverlays: [", 19_000, |n| format!("a{n}, "), "]\n"));
    look(numbered("port: 27015\nconfig:\n", 4097, |n| format!("  - a{n}\n"), ""));
    look(numbered("port: 27015\n", 20_000, |n| format!("a{n}: 1\n"), ""));
    look(numbered("port: 27015\nconfig: [", 19_000, |n| format!("a{n}, "), "\u{1b}]\n"));
    look(full("port: 27015\narguments:\n", &format!("  - {}\n", "+".repeat(4000)), ""));
    look(full("port: 27015\narguments:\n", &format!("  - '{}'\n", "\" ".repeat(2000)), ""));
    look(full("port: 27015\n", &format!("# {}\n", "x".repeat(100)), "prot: 1\n"));
}

#[test]
fn no_spec_takes_a_second_or_much_memory() {
    if std::env::var_os(LIMITED).is_none() {
        let script =
            format!("ulimit -d {MEMORY} && exec \"$0\" --exact no_spec_takes_a_second_or_much_memory --nocapture");
        let output = Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(std::env::current_exe().unwrap())
            .env(LIMITED, "1")
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        print!("{text}");
        return;
    }
    assert!(Vec::<u8>::new().try_reserve_exact(MEMORY * 1024).is_err(), "the limit holds");
    let mut slowest = (0.0, String::new());
    hostile_specs(&mut |spec| {
        assert!(spec.len() <= SIZE);
        let source = SpecSource { file_name: "s.yaml".to_owned(), bytes: spec.into_bytes() };
        let time = seconds(|| drop(source.parse()));
        let (begin, end) =
            (&source.bytes[..40.min(source.bytes.len())], &source.bytes[source.bytes.len().saturating_sub(20)..]);
        let what = format!(
            "{} … {}",
            String::from_utf8_lossy(begin).escape_debug(),
            String::from_utf8_lossy(end).escape_debug()
        );
        assert!(time < 1.0, "{time} s: {what}");
        if time > slowest.0 {
            slowest = (time, what);
        }
    });
    println!("the slowest took {:.3} s: {}", slowest.0, slowest.1);
}

#[test]
fn a_huge_list_of_layers_is_refused_at_once() {
    let huge = 64 << 20;
    for text in [
        vec![b'\n'; huge],
        vec![b'x'; huge],
        b"overlay a\n".repeat(huge / 10),
        [b"overlay ".to_vec(), vec![b'x'; huge], b"\n".to_vec()].concat(),
        [b"generation ".to_vec(), vec![b'1'; huge], b"\n".to_vec()].concat(),
        vec![0; huge],
        vec![0xff; huge],
    ] {
        let mut told = String::new();
        let time = seconds(|| told = names::parse_layers(&text).unwrap_err().to_string());
        assert!(time < 1.0 && told.len() < 500, "{time} s: {told}");
    }
}
