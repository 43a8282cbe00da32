//! Specs that are refused: where, why, and that nothing changed.

use std::fs;

use crate::{Sandbox, port};

/// Each class of bad spec, a part of what is said of it, and its line and column.
const REFUSED: &[(&str, &str, &str)] = &[
    ("a typo in a key", "prot: 27015\n", "spec.yaml:1:"),
    ("an unknown key", "port: 27015\nname: x\n", "spec.yaml:2:1: "),
    ("a duplicate key", "port: 27015\nport: 27016\n", "spec.yaml:2:1: "),
    ("a wrong type", "port: many\n", "spec.yaml:1:7: "),
    ("a port as a list", "port: [1]\n", "spec.yaml:1:7: "),
    ("a port too low", "port: 80\n", "spec.yaml:1:7: port 80 is not valid"),
    ("a port too high", "port: 70000\n", "spec.yaml:1:7: port 70000 is not valid"),
    ("no port", "overlays: [a]\n", "port"),
    ("a tab", "port: 27015\noverlays:\n\t- a\n", "spec.yaml:3:"),
    ("an alias", "port: 27015\noverlays: &a [x]\nconfig: *a\n", "spec.yaml:2:"),
    ("two documents", "port: 27015\n---\nport: 27016\n", "spec.yaml:"),
    ("nothing", "", "spec.yaml:1:1: "),
    ("only a comment", "# nothing\n", "spec.yaml:"),
    ("a scalar", "hello\n", "spec.yaml:1:1: "),
    ("overlays that are no list", "port: 27015\noverlays: a\n", "spec.yaml:2:11: "),
    ("an absolute ref", "port: 27015\noverlays: [/etc]\n", "spec.yaml:2:12: overlay ref \"/etc\" is absolute"),
    ("a ref with ..", "port: 27015\noverlays: [a/../b]\n", "spec.yaml:2:12: overlay ref \"a/../b\" has a '..'"),
    ("a ref with an empty component", "port: 27015\noverlays: [a//b]\n", "empty component"),
    ("a ref with a comma", "port: 27015\noverlays: [\"a,b\"]\n", "character other"),
    ("an overlay twice", "port: 27015\noverlays: [a, a]\n", "spec.yaml:2:15: overlay a and overlay a"),
    ("an overlay in another", "port: 27015\noverlays: [a/b, a]\n", "overlay a and overlay a/b can't be in one stack"),
    ("an alias twice", "port: 27015\noverlays: [{path: a, alias: x}, {path: b, alias: x}]\n", "alias x is used twice"),
    ("a bad alias", "port: 27015\noverlays: [{path: a, alias: ../x}]\n", "alias \"../x\" is not valid"),
    ("an unknown key of an overlay", "port: 27015\noverlays: [{path: a, as: x}]\n", "an overlay is `REF` or"),
    ("an argument with a newline", "port: 27015\narguments: [\"a\\nb\"]\n", "control character"),
    (
        "an argument for the port",
        "port: 27015\narguments: [\"+hostport\", \"1\"]\n",
        "argument +hostport can't be given",
    ),
    ("a password as an argument", "port: 27015\narguments: [\"+rcon_password\", \"x\"]\n", "visible to every user"),
    ("an empty argument", "port: 27015\narguments: [\"\"]\n", "an argument is empty"),
    ("a number as an argument", "port: 27015\narguments: [60]\n", "spec.yaml:2:13: "),
    ("a config line with a control character", "port: 27015\nconfig: [\"a\\u001bb\"]\n", "control character"),
];

#[test]
fn each_class_is_refused_with_its_place_and_a_caret() {
    let sandbox = Sandbox::new();
    // Something is there before, and must be there after.
    sandbox.make("a", &format!("port: {}\n", port()));
    let before = sandbox.tree();
    for (class, spec, expected) in REFUSED {
        sandbox.write("spec.yaml", spec);
        let error = sandbox.refused(&["initialize", "a", "-f", "spec.yaml"]);
        assert!(error.contains(expected), "{class}: {expected:?} is not in:\n{error}");
        assert!(spec.is_empty() || class.contains("comment") || error.contains('^'), "{class}: no caret in:\n{error}");
        assert_eq!(sandbox.tree(), before, "{class}: something changed");
    }
}

#[test]
fn bytes_that_are_no_text_and_too_many_of_them() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.dir.path().join("latin1"), b"port: 27015\nconfig: ['caf\xe9']\n").unwrap();
    assert!(sandbox.refused(&["initialize", "a", "-f", "latin1"]).contains("latin1:2 is not UTF-8"));
    sandbox.write("brackets", &"[".repeat(1024 * 1024));
    assert!(sandbox.refused(&["initialize", "a", "-f", "brackets"]).contains("larger than"));
    sandbox.write("brackets", &"[".repeat(200 * 1024));
    assert!(sandbox.refused(&["initialize", "a", "-f", "brackets"]).contains("brackets:1:"));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nport: 27015\n";
    sandbox.write("bomb", bomb);
    assert!(sandbox.refused(&["initialize", "a", "-f", "bomb"]).contains("bomb:1:"));
    assert!(sandbox.refused(&["initialize", "a", "-f", "nowhere.yaml"]).contains("can't read the spec nowhere.yaml"));
    assert!(sandbox.refused(&["initialize", "a", "-f", "."]).contains("can't read the spec"));
}

#[test]
fn overlays_must_be_there_and_not_behind_links() {
    let sandbox = Sandbox::new();
    let spec = |overlay: &str| format!("port: 27015\noverlays: [{overlay}]\n");
    let refused = |overlay: &str| {
        let ran = sandbox.initialize("a", &spec(overlay));
        assert_eq!(ran.code, 1, "{ran:?}");
        ran.stderr
    };
    let error = refused("competitive/base");
    assert!(
        error.contains("overlay competitive/base is not there") && error.contains("root/overlays/competitive/base"),
        "{error}"
    );
    sandbox.write("root/overlays/real/deep/file", "");
    sandbox.write("root/overlays/file", "");
    assert!(refused("file").contains("is not a directory"));
    for (link, overlay) in [("linked", "linked/deep"), ("real/linked", "real/linked")] {
        std::os::unix::fs::symlink("/etc", sandbox.root().join("overlays").join(link)).unwrap();
        assert!(refused(overlay).contains("symbolic link"), "{overlay}");
    }
    sandbox.make("a", &spec("real/deep"));
}

#[test]
fn two_instances_can_t_have_one_port() {
    let sandbox = Sandbox::new();
    let port = port();
    sandbox.make("a", &format!("port: {port}\n"));
    let ran = sandbox.initialize("b", &format!("port: {port}\n"));
    assert!(ran.code == 1 && ran.stderr.contains(&format!("port {port} is instance a's")), "{ran:?}");
    sandbox.make("a", &format!("port: {port}\nconfig: [sv_cheats 0]\n"));
}
