//! Golden tests: every class of refusal with its whole text. The YAML library is young; an update of it that moves a
//! place or changes a word shows here.

use super::*;

/// The refusal of a spec, as a person reads it.
fn refusal(text: &str) -> String {
    let source = SpecSource { file_name: "s.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
    let error = source.parse().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSpec);
    error.to_string()
}

/// The first line of a refusal, without the file's name; the rest must show the same place, the line and the caret.
fn told(text: &str) -> String {
    let refusal = refusal(text);
    let (first, picture) = refusal.split_once('\n').unwrap();
    let first = first.strip_prefix("spec s.yaml:").unwrap();
    let place = first.split(": ").next().unwrap();
    let (line, column) = place.split_once(':').unwrap();
    assert!(picture.starts_with(&format!(" --> s.yaml:{place}\n")), "{refusal}");
    let caret = picture.lines().find(|line| line.trim_end().ends_with('^')).unwrap();
    let quoted = picture.lines().find(|quoted| quoted.starts_with(&format!("{line} |"))).unwrap();
    if !quoted.contains("...") && !text.contains('\t') {
        let margin = quoted.find('|').unwrap() + 2;
        assert_eq!(caret.find('^').unwrap() + 1 - margin, column.parse::<usize>().unwrap(), "{refusal}");
    }
    first.to_owned()
}

#[test]
fn a_whole_refusal() {
    assert_eq!(
        refusal("# Friday\nprot: 27015\noverlays: []\n"),
        "spec s.yaml:2:1: unknown key \"prot\": did you mean port?
 --> s.yaml:2:1
  |
2 | prot: 27015
  | ^"
    );
}

/// Each class of bad spec with what is told, `LINE:COLUMN: ` first.
const REFUSED: &[(&str, &str)] = &[
    ("prot: 27015\n", "1:1: unknown key \"prot\": did you mean port?"),
    ("port: 27015\noverlay: [a]\n", "2:1: unknown key \"overlay\": did you mean overlays?"),
    ("port: 27015\nname: x\n", "2:1: unknown key \"name\": the keys are port, overlays, arguments, config"),
    ("overlays: []\n", "1:1: the key port is missing"),
    ("port: 27015\nport: 27016\n", "2:1: the key port is there twice"),
    ("port: many\n", "1:7: this is not a whole number"),
    ("port: -1\n", "1:7: this is not a whole number"),
    ("port: 27015.5\n", "1:7: this is not a whole number"),
    ("port: [1]\n", "1:7: one value must stand here; text with ': ' in it needs quotes"),
    ("port:\n", "1:5: this is not a whole number"),
    ("port: 80\n", "1:7: port 80 is not valid: 1024 to 65535"),
    ("port: 70000\n", "1:7: port 70000 is not valid: 1024 to 65535"),
    ("hello\n", "1:1: this must be `key: value` lines"),
    ("[port]\n", "1:1: this must be `key: value` lines"),
    ("port: 27015\noverlays:\n\t- a\n", "3:2: tabs disallowed within this context (block indentation)"),
    ("port: 27015\n---\nport: 27016\n", "3:1: a second document begins: a spec is one"),
    ("", "1:1: the spec is empty"),
    ("\n# x\n\n", "1:1: the spec is empty"),
    ("\u{feff}# x\n", "1:1: the spec is empty"),
    ("port: 27015\noverlays: a\n", "2:11: this must be a list"),
    ("port: 27015\noverlays:\n", "2:9: this must be a list"),
    ("port: 27015\noverlays: {a: b}\n", "2:11: this must be a list"),
    ("port: 27015\narguments: [60]\n", "2:13: text that YAML could take for something else: write '60'"),
    ("port: 27015\nconfig: [true]\n", "2:10: text that YAML could take for something else: write 'true'"),
    ("port: 27015\nconfig: [[a]]\n", "2:10: one value must stand here; text with ': ' in it needs quotes"),
    (
        "port: 27015\nconfig:\n  - hostname \"a: b\"\n",
        "3:5: one value must stand here; text with ': ' in it needs quotes",
    ),
    ("port: 27015\nconfig:\n  -\n", "3:4: a value is missing here"),
    (
        "port: 27015\noverlays: &a [x]\nconfig: *a\n",
        "2:14: YAML's anchors and aliases (& and *) can't be used in a spec",
    ),
    ("port: 27015\nconfig: *a\n", "2:9: YAML's anchors and aliases (& and *) can't be used in a spec"),
    (
        "a: &a [x,x]\nb: &b [*a,*a]\nport: 27015\n",
        "1:1: unknown key \"a\": the keys are port, overlays, arguments, config",
    ),
    ("port: 27015\n<<: {overlays: []}\n", "2:1: merge keys (<<) can't be used in a spec"),
    (
        "port: 27015\nconfig: [[[[[[[[[[a]]]]]]]]]]\n",
        "2:10: one value must stand here; text with ': ' in it needs quotes",
    ),
    ("port: 27015\nconfig: [a\n", "2:9: unclosed bracket '['"),
    ("port: 27015\nconfig: [\"a\n", "2:10: unclosed quote"),
    ("port: 27015\n  overlays: [a]\n", "1:7: this is not a whole number"),
    ("port: 27015\nconfig: [\"\\q\"]\n", "2:10: while parsing a quoted scalar, found unknown escape character"),
    ("port: 27015\nconfig: [!include x]\n", "2:19: unsupported tag `!include`"),
    ("port: 27015\n: x\n", "2:1: a value is missing here"),
    ("port: 27015\n? [a]\n: b\n", "2:3: one value must stand here; text with ': ' in it needs quotes"),
    (
        "port: 27015\noverlays: [/etc]\n",
        "2:12: overlay ref \"/etc\" is absolute: refs are relative to the overlays directory",
    ),
    ("port: 27015\noverlays: [a/../b]\n", "2:12: overlay ref \"a/../b\" has a '..' component"),
    ("port: 27015\noverlays: [a//b]\n", "2:12: overlay ref \"a//b\" has an empty component"),
    ("port: 27015\noverlays: [.a]\n", "2:12: overlay ref \".a\" has a component that begins with '.'"),
    ("port: 27015\noverlays: [-a]\n", "2:12: overlay ref \"-a\" has a component that begins with '-'"),
    ("port: 27015\noverlays: ['']\n", "2:12: overlay ref \"\" is empty"),
    (
        "port: 27015\noverlays: ['a,b']\n",
        "2:12: overlay ref \"a,b\" has a character other than A-Z, a-z, 0-9, '.', '_', '+' and '-'",
    ),
    (
        "port: 27015\noverlays: ['a b']\n",
        "2:12: overlay ref \"a b\" has a character other than A-Z, a-z, 0-9, '.', '_', '+' and '-'",
    ),
    ("port: 27015\noverlays: [a/]\n", "2:12: overlay ref \"a/\" has an empty component"),
    (
        "port: 27015\noverlays: [ä]\n",
        "2:12: overlay ref \"ä\" has a character other than A-Z, a-z, 0-9, '.', '_', '+' and '-'",
    ),
    (
        "port: 27015\noverlays: [a, a]\n",
        "2:15: overlay a and overlay a can't be in one stack: one is or contains the other",
    ),
    (
        "port: 27015\noverlays: [a/b, c, a]\n",
        "2:20: overlay a and overlay a/b can't be in one stack: one is or contains the other",
    ),
    ("port: 27015\noverlays: [{path: a, alias: x}, {path: b, alias: x}]\n", "2:33: alias x is used twice"),
    (
        "port: 27015\noverlays: [{path: a, alias: ../x}]\n",
        "2:12: alias \"../x\" is not valid: 1 to 64 of a-z, 0-9, '_' and '-', the first a letter or digit",
    ),
    ("port: 27015\noverlays: [{path: a, as: x}]\n", "2:12: an overlay is `REF` or `{path: REF, alias: NAME}`"),
    ("port: 27015\noverlays: [{alias: a}]\n", "2:12: an overlay is `REF` or `{path: REF, alias: NAME}`"),
    ("port: 27015\noverlays: [1]\n", "2:12: an overlay is `REF` or `{path: REF, alias: NAME}`"),
    ("port: 27015\noverlays: [[a]]\n", "2:12: an overlay is `REF` or `{path: REF, alias: NAME}`"),
    ("port: 27015\narguments: [\"a\\nb\"]\n", "2:13: \"a\\nb\" holds the control character '\\n'"),
    ("port: 27015\narguments: [\"a\\tb\"]\n", "2:13: \"a\\tb\" holds the control character '\\t'"),
    ("port: 27015\narguments: [\"\"]\n", "2:13: an argument is empty"),
    (
        "port: 27015\narguments: [\"+hostport\", \"1\"]\n",
        "2:13: argument +hostport can't be given: `port:` sets the port",
    ),
    ("port: 27015\narguments: [\"+HostPort 1\"]\n", "2:13: argument +hostport can't be given: `port:` sets the port"),
    ("port: 27015\narguments: [-port]\n", "2:13: argument -port can't be given: `port:` sets the port"),
    (
        "port: 27015\narguments: ['+\"ip\" 1.2.3.4']\n",
        "2:13: argument +ip can't be given: servers bind 0.0.0.0, so that RCON answers on this host",
    ),
    (
        "port: 27015\narguments: [+map, x, '+exec x +rcon_password y']\n",
        "2:22: argument +rcon_password can't be given: arguments are visible to every user of the host; a password is made for each instance",
    ),
    ("port: 27015\nconfig: [\"a\\u001bb\"]\n", "2:10: \"a\\u{1b}b\" holds the control character '\\u{1b}'"),
    ("port: 27015\nconfig:\n  - |\n    a\n    b\n", "4:5: \"a\\nb\\n\" holds the control character '\\n'"),
    ("port: 27015\r\nprot: 1\r\n", "2:1: unknown key \"prot\": did you mean port?"),
];

#[test]
fn each_class_with_its_whole_text() {
    for (text, expected) in REFUSED {
        assert_eq!(told(text), *expected, "{text:?}");
    }
}

#[test]
fn what_is_no_text_and_what_is_too_much() {
    let refused = |bytes: &[u8]| {
        let source = SpecSource { file_name: "s.yaml".to_owned(), bytes: bytes.to_vec() };
        source.parse().unwrap_err().to_string().lines().next().unwrap().to_owned()
    };
    assert_eq!(refused(b"port: 27015\nconfig: ['caf\xe9']\n"), "spec s.yaml:2 is not UTF-8");
    assert_eq!(refused(&vec![b'['; 1 << 20]), "spec s.yaml is larger than 262144 bytes");
    assert_eq!(refused(&vec![b'['; 200_000]), "spec s.yaml:1:256: this is nested too deeply");
    assert_eq!(refused(b"port: 27015\nconfig: ["), "spec s.yaml:2:9: unclosed bracket '['");
    let deep = format!("port: 27015\noverlays: [{}{}]\n", "{path: ".repeat(8), "}".repeat(8));
    assert_eq!(refused(deep.as_bytes()), "spec s.yaml:2:54: this is nested too deeply");
    let list = |key: &str, count: usize| format!("port: 27015\n{key}: [{}a]\n", "a, ".repeat(count - 1));
    assert_eq!(refused(list("config", 25_000).as_bytes()), "spec s.yaml:2:59989: these are too many values");
    assert_eq!(
        refused(list("config", 4097).as_bytes()),
        "spec s.yaml:2:12298: more than 4096 arguments and lines of config"
    );
    // Refused before they are compared with each other, which takes seconds.
    assert_eq!(refused(list("overlays", 19_000).as_bytes()), "spec s.yaml:2:1509: at most 499 overlays can be mounted");
    let arguments =
        |count: usize| format!("port: 27015\narguments: [{}]\n", format!("{}, ", "x".repeat(1023)).repeat(count));
    let source = SpecSource { file_name: "s.yaml".to_owned(), bytes: arguments(60).into_bytes() };
    let instance = crate::instance::Instance { revision: source.revision(), spec: source.parse().unwrap() };
    left4me_launch::print_launch(&instance.launch()).expect("what is taken can be started");
    assert_eq!(refused(arguments(61).as_bytes()), "spec s.yaml:2:61513: the arguments are longer than 61440 bytes");
    let long = format!("port: 27015\nconfig: [{}]\n", "x".repeat(4097));
    assert_eq!(refused(long.as_bytes()), "spec s.yaml:2:10: a line of more than 4096 bytes");
}

#[test]
fn what_is_taken() {
    let text = "# Friday\nport: 27015\noverlays:\n  - {path: a/b, alias: x}\n  - c\narguments: [+map, 'c1m1 \"x\"', -tickrate, '60']\n\
        config:\n  - hostname \"Friday night#1\"\n  - \"a\\tb\"\n  - sv_tags 'no'\n";
    let source = SpecSource { file_name: "s.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
    let spec = source.parse().unwrap();
    assert_eq!(spec.port.get(), 27015);
    let overlays: Vec<_> =
        spec.overlays.iter().map(|o| (o.overlay.as_str(), o.alias.as_ref().map(ToString::to_string))).collect();
    assert_eq!(overlays, [("a/b", Some("x".to_owned())), ("c", None)]);
    assert_eq!(spec.arguments, ["+map", "c1m1 \"x\"", "-tickrate", "60"]);
    assert_eq!(spec.config, ["hostname \"Friday night#1\"", "a\tb", "sv_tags 'no'"]);
    assert_eq!(SpecSource { bytes: b"port: 27015".to_vec(), ..source }.parse().unwrap().config, [""; 0]);
}

#[test]
fn a_revision_is_the_bytes() {
    let of = |bytes: &[u8]| SpecSource { file_name: String::new(), bytes: bytes.to_vec() }.revision();
    // The beginning of SHA-256's published value for "abc".
    assert_eq!(of(b"abc").as_str(), "ba7816bf8f01cfea");
    assert_ne!(of(b"port: 27015\n"), of(b"port: 27015 \n"));
}
