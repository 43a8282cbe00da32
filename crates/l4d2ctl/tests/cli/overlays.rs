//! `l4d2ctl overlays`.

use std::fs;

use serde_json::json;

use crate::{Sandbox, port};

#[test]
fn overlays_and_whose_specs_name_them() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["overlays"]).stderr.contains("there is no overlay"));
    let overlay = |name: &str| sandbox.root().join("overlays").join(name).join("left4dead2");
    for name in ["standard", "competitive/base", "unused"] {
        fs::create_dir_all(overlay(name)).unwrap();
    }
    // Laid out in no way that would be recognised, and named by a spec: then it is one.
    fs::create_dir_all(sandbox.root().join("overlays/odd/bin")).unwrap();
    sandbox.make("a", &format!("port: {}\noverlays: [competitive/base, standard, odd]\n", port()));
    sandbox.make("b", &format!("port: {}\noverlays: [standard]\n", port()));
    fs::remove_dir_all(sandbox.root().join("overlays/competitive/base")).unwrap();
    let of = |overlay: &str, exists: bool, instances: &[&str]| json!({ "overlay": overlay, "exists": exists, "instances": instances });
    let all = [
        of("competitive/base", false, &["a"]),
        of("odd", true, &["a"]),
        of("standard", true, &["a", "b"]),
        of("unused", true, &[]),
    ];
    assert_eq!(sandbox.json(&["overlays"]), json!({ "overlays": all }));
    assert_eq!(sandbox.json(&["overlays", "unused", "odd"])["overlays"], json!([all[1], all[3]]));
    let shown = sandbox.ok(&["overlays"]);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["competitive/base", "a", "missing"]);
    assert_eq!(lines[3], ["standard", "a,", "b"]);
    assert_eq!(lines[4], ["unused", "-"]);
}

#[test]
fn a_ref_that_is_none_is_told() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.root().join("overlays/standard/left4dead2")).unwrap();
    let ran = sandbox.run(&["overlays", "standrad"]);
    assert!(ran.code == 1 && ran.stderr.contains("overlay standrad is not there"), "{ran:?}");
    assert!(ran.stderr.contains("did you mean standard? Otherwise put the overlay's files into "), "{ran:?}");
    let ran = sandbox.run(&["overlays", "../etc"]);
    assert!(ran.code == 2 && ran.stderr.contains("overlay ref"), "{ran:?}");
}
