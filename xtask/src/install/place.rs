//! Putting a file where root will run or believe it.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Makes a directory and those above it, where they are missing, for all to read and for root to write. The modes are set
/// and not left to the umask: with one of 0 anybody could replace what root runs, with one of 077 nobody could run it.
pub(super) fn make_directory(dir: &Path) -> Result<()> {
    let failed = || format!("can't make {}", dir.display());
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => bail!("{} is not a directory", dir.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_directory(dir.parent().context("there is no root directory")?)?;
            fs::create_dir(dir).with_context(failed)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).with_context(failed)
        }
        Err(error) => Err(error).with_context(failed),
    }
}

/// Refuses a directory, there or still to be made, that somebody else than root could put another file into, or another
/// directory in the place of: what lies there is run by root, or tells root what to do.
pub(super) fn check_roots_alone(dir: &Path) -> Result<()> {
    let real = match dir.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return check_roots_alone(dir.parent().context("there is no root directory")?);
        }
        Err(error) => return Err(error).with_context(|| format!("can't resolve {}", dir.display())),
    };
    for ancestor in real.ancestors() {
        let found = fs::metadata(ancestor).with_context(|| format!("can't look at {}", ancestor.display()))?;
        ensure!(
            found.uid() == 0 && found.mode() & 0o022 == 0,
            "others than root can write to {0}, and what root runs would lie there: `chown root {0} && chmod go-w {0}`, or \
             another --prefix",
            ancestor.display()
        );
    }
    Ok(())
}

/// Writes a file beside its place, checks it, and renames it.
pub(super) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let parent = path.parent().context("a file in no directory")?;
    let name = path.file_name().and_then(|name| name.to_str()).context("a file without a name")?;
    // Names with a dot or a tilde are ignored by sudo, systemd, sysusers and tmpfiles alike.
    let temporary = parent.join(format!(".{name}.new~"));
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    chown(&temporary, Some(0), Some(0))?;
    file.sync_all()?;
    if path.parent().is_some_and(|parent| parent.ends_with("sudoers.d")) {
        // A broken file there would lock everybody out of sudo.
        let checked = Command::new("visudo").args(["--check", "--quiet", "--file"]).arg(&temporary).status();
        match checked {
            Ok(status) if status.success() => {}
            other => {
                fs::remove_file(&temporary)?;
                bail!("visudo does not accept {}: {other:?}; is sudo installed?", path.display());
            }
        }
    }
    fs::rename(&temporary, path).with_context(|| format!("can't put {} in place", path.display()))?;
    Ok(fs::File::open(parent)?.sync_all()?)
}
