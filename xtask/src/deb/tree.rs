//! The files of the package, laid out as they will lie on the host, so that one can look at them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build::{output_of, project};
use crate::install::items;

const PREFIX: &str = "/usr";
const ROOT: &str = "/var/lib/left4me";
const DOC: &str = "usr/share/doc/left4me";

/// Directories of the project whose files go into the package, with what is below them, and where to below its documents.
const COPIED: [(&str, &str); 3] = [("examples", "examples"), ("dist/grafana", "grafana"), ("docs/schema", "schema")];

/// Lays out everything in a new `tree`. The programs lie in `programs`; `epoch` is the time of this version.
pub(super) fn lay_out(tree: &Path, programs: &Path, epoch: &str) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("can't remove {}", tree.display()))?;
    }
    for item in items(Path::new(PREFIX)) {
        let bytes = item.bytes(programs, Path::new(PREFIX), Path::new(ROOT))?;
        let path = tree.join(item.path.strip_prefix("/")?);
        if item.path.starts_with("/usr/share/man") { put_compressed(&path, &bytes)? } else { put(&path, &bytes)? }
    }
    let doc = tree.join(DOC);
    for (from, to) in COPIED {
        copy_all(&project().join(from), &doc.join(to))?;
    }
    for document in files(&project().join("docs"))?.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        put(&doc.join(name(document)?), &fs::read(document)?)?;
    }
    put_compressed(&doc.join("CHANGELOG.md"), &fs::read(project().join("CHANGELOG.md"))?)?;
    put_compressed(&doc.join("changelog"), changelog(epoch)?.as_bytes())?;
    let overrides = fs::read(project().join("dist/debian/lintian-overrides"))?;
    put(&tree.join("usr/share/lintian/overrides/left4me"), &overrides)
}

/// Debian's tools want one of their own form.
fn changelog(epoch: &str) -> Result<String> {
    let mut date = Command::new("date");
    let date = output_of(date.args(["--utc", "--rfc-email", "--date", &format!("@{epoch}")]).env("LC_ALL", "C"))?;
    Ok(format!(
        "left4me ({}) unstable; urgency=medium\n\n  * CHANGELOG.md.gz says what is new.\n\n -- {}  {date}",
        env!("CARGO_PKG_VERSION"),
        super::MAINTAINER
    ))
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("can't write {}", path.display());
    fs::create_dir_all(path.parent().context("a file in no directory")?).with_context(failed)?;
    fs::write(path, bytes).with_context(failed)
}

/// As gzip does it without a name and a time, which would differ from one build to the next.
fn put_compressed(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut gzip = Command::new("gzip");
    let mut child = gzip.arg("-9n").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("can't run gzip")?;
    let mut stdin = child.stdin.take().context("gzip has no stdin")?;
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output()?;
    ensure!(output.status.success() && writer.join().is_ok_and(|written| written.is_ok()), "gzip failed");
    put(&path.with_file_name(format!("{}.gz", name(path)?)), &output.stdout)
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        put(&to.join(name(&file)?), &fs::read(&file)?)?;
    }
    for dir in entries(from)?.iter().filter(|path| path.is_dir()) {
        copy_all(dir, &to.join(name(dir)?))?;
    }
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_file()).collect())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(dir).with_context(|| format!("can't list {}", dir.display()))?;
    listed.map(|entry| Ok(entry?.path())).collect()
}

fn name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).with_context(|| format!("{} has no name", path.display()))
}
