//! Whose code is in the programs, and under which licences: `/usr/share/doc/left4me/copyright`, in Debian's machine-readable form.
//!
//! Everything is linked statically, so that is every crate in them, the library of Rust and that of C. The paragraphs of crates
//! are made here; all others, with the texts of the licences, stand in `dist/debian/copyright`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::TARGET;
use crate::build::{PROGRAMS, cargo, output_of, project};

const FRAME: &str = "dist/debian/copyright";

/// What a crate's files with notices are called, as far as their names begin alike.
const NOTICES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    authors: Vec<String>,
    manifest_path: PathBuf,
}

/// The whole file.
pub(crate) fn copyright() -> Result<String> {
    let frame = fs::read_to_string(project().join(FRAME)).with_context(|| format!("can't read {FRAME}"))?;
    let rust = output_of(Command::new("rustc").arg("--version"))?;
    let glibc = output_of(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let version = |said: &str| said.split_whitespace().nth(1).map(str::to_owned).context("no version");
    let mut crates = String::new();
    for package in linked()? {
        crates += &package.paragraph(&frame).with_context(|| format!("the crate {}", package.name))?;
    }
    Ok(frame.replace("@CRATES@\n", &crates).replace("@RUST@", &version(&rust)?).replace("@GLIBC@", &version(&glibc)?))
}

/// Every crate of others that is in a program, sorted. That is for `cargo tree` to say: `cargo metadata` does not tell which
/// features a build of these programs alone has.
fn linked() -> Result<Vec<Package>> {
    let mut tree =
        cargo(&["tree", "--locked", "--target", TARGET, "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    tree.args(["--format", "{p}"]).args(PROGRAMS.iter().flat_map(|(name, _)| ["--package", name]));
    let tree = output_of(&mut tree)?;
    let wanted: BTreeSet<(&str, &str)> = tree.lines().filter_map(of_others).collect();
    let all = output_of(&mut cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]))?;
    let mut packages = serde_json::from_str::<Metadata>(&all).context("what `cargo metadata` says")?.packages;
    packages.retain(|package| wanted.contains(&(package.name.as_str(), package.version.as_str())));
    ensure!(packages.len() == wanted.len(), "`cargo tree` names {wanted:?}, and `cargo metadata` others");
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// Name and version of a line of `cargo tree`: `NAME vVERSION`, behind which our own crates have their directory.
fn of_others(line: &str) -> Option<(&str, &str)> {
    let (name, version) = line.split_once(" v")?;
    (!version.contains(" (/")).then(|| (name, version.split(' ').next().unwrap_or(version)))
}

impl Package {
    fn paragraph(&self, frame: &str) -> Result<String> {
        let license = in_debian_s_words(self.license.as_deref().context("Cargo.toml names no licence")?)?;
        for name in names(&license) {
            ensure!(frame.contains(&format!("\nLicense: {name}\n ")), "{FRAME} lacks the text of the licence {name}");
        }
        let holders = self.holders()?.join("\n           ");
        Ok(format!("Files: vendor/{}-{}/*\nCopyright: {holders}\nLicense: {license}\n\n", self.name, self.version))
    }

    /// Whose it is: as its files say, else its authors.
    fn holders(&self) -> Result<Vec<String>> {
        let directory = self.manifest_path.parent().context("a manifest in no directory")?;
        let mut found = Vec::new();
        for file in files_with_notices(directory)? {
            let text = fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
            for holder in String::from_utf8_lossy(&text).lines().filter_map(holder) {
                if !found.contains(&holder) {
                    found.push(holder);
                }
            }
        }
        if found.is_empty() {
            found.clone_from(&self.authors);
        }
        if found.is_empty() {
            found.push(format!("the {} authors", self.name));
        }
        Ok(found)
    }
}

fn files_with_notices(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(directory).with_context(|| format!("can't list {}", directory.display()))?;
    let mut files = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && NOTICES.iter().any(|begin| name.starts_with(begin))
    });
    files.sort();
    Ok(files)
}

/// Who has the copyright, and since when, where a line says that; not where it is of a licence's own text.
fn holder(line: &str) -> Option<String> {
    let said = line.trim().strip_prefix("Copyright ")?;
    let said = ["(c) ", "(C) ", "© "].iter().find_map(|mark| said.strip_prefix(mark)).unwrap_or(said).trim();
    let begins = said.starts_with(|first: char| first.is_ascii_digit() || first.is_uppercase());
    (begins && said.contains(char::is_alphabetic)).then(|| said.to_owned())
}

/// A licence expression of Cargo's in those of Debian, where a comma stands for brackets.
fn in_debian_s_words(expression: &str) -> Result<String> {
    let words = expression.replace('/', " OR ").replace(" OR ", " or ").replace(" AND ", " and ");
    let words = words.replace(" WITH LLVM-exception", " with LLVM exception");
    let words = match words.strip_prefix('(').and_then(|rest| rest.split_once(") and ")) {
        Some((group, rest)) => format!("{group}, and {rest}"),
        None => words,
    };
    ensure!(!words.contains(['(', ')']), "no way to write the licence {expression} for Debian is known here");
    Ok(words)
}

/// The single licences of an expression in Debian's words.
fn names(license: &str) -> impl Iterator<Item = &str> {
    license.split(" or ").flat_map(|part| part.split(" and ")).map(|name| name.trim_end_matches(','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_named_and_what_only_builds_or_tests_is_not() {
        let text = copyright().unwrap();
        for name in ["rustix", "serde_json", "landlock", "clap"] {
            assert!(text.contains(&format!("\nFiles: vendor/{name}-")), "{name} is linked");
        }
        // Of tests, of xtask, a procedural macro, of other systems, and our own.
        for name in ["jsonschema", "tempfile", "clap_mangen", "serde_derive", "windows-sys", "l4d2host"] {
            assert!(!text.contains(&format!("\nFiles: vendor/{name}-")), "{name} is not linked");
        }
        assert!(text.contains("\nFiles: rust-1.") && text.contains("\nFiles: glibc-2."));
        assert!(!text.contains("@CRATES@") && !text.contains("@RUST@") && !text.contains("@GLIBC@"));
        assert_eq!(text, copyright().unwrap(), "twice, the same");
    }

    #[test]
    fn licences_are_written_as_debian_does() {
        for (cargo, debian, single) in [
            ("MIT", "MIT", &["MIT"][..]),
            ("MIT/Apache-2.0", "MIT or Apache-2.0", &["MIT", "Apache-2.0"]),
            (
                "Apache-2.0 WITH LLVM-exception OR MIT",
                "Apache-2.0 with LLVM exception or MIT",
                &["Apache-2.0 with LLVM exception", "MIT"],
            ),
            ("(A OR B) AND C", "A or B, and C", &["A", "B", "C"]),
        ] {
            let said = in_debian_s_words(cargo).unwrap();
            assert_eq!(said, debian);
            assert_eq!(names(&said).collect::<Vec<_>>(), single);
        }
        in_debian_s_words("A AND (B OR C)").unwrap_err();
    }

    #[test]
    fn a_licence_without_its_text_is_found() {
        let package = Package {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            license: Some("MIT OR Odd-1.0".to_owned()),
            authors: Vec::new(),
            manifest_path: PathBuf::from("/nowhere/Cargo.toml"),
        };
        let said = package.paragraph("\nLicense: MIT\n text\n").unwrap_err().to_string();
        assert!(said.contains("Odd-1.0"), "{said}");
    }

    #[test]
    fn notices_are_told_from_the_words_of_licences() {
        for (line, found) in [
            ("Copyright (c) 2016 Jelte Fennema", Some("2016 Jelte Fennema")),
            ("   Copyright 2020 Mickaël Salaün", Some("2020 Mickaël Salaün")),
            ("Copyright © WHATWG (Apple)", Some("WHATWG (Apple)")),
            ("Copyright (c) 2015", None),
            ("Copyright [yyyy] [name of copyright owner]", None),
            ("copyright notice that is included in", None),
            ("THE COPYRIGHT HOLDERS", None),
        ] {
            assert_eq!(holder(line).as_deref(), found, "{line}");
        }
    }
}
