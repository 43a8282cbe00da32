//! Writing the metrics to a file that others read meanwhile.

use std::fs::{self, File, FileType};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use l4d2host::{Error, ErrorKind};

use crate::problem::Problem;

/// Puts the file in place by a rename, for all to read: who opens it sees the old text or the new, and never a half.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let Some(name) = path.file_name() else {
        return Err(Problem::new(ErrorKind::Usage, format!("{} does not name a file", path.display())));
    };
    if let Some(what) = fs::symlink_metadata(path).ok().and_then(|there| no_file(there.file_type())) {
        let error = Error::new(ErrorKind::Usage, format!("{} is {what}, and would be replaced", path.display()));
        return Err(error.hint("without --output the metrics go to standard output").into());
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    // The collector reads *.prom. Two that write at the same time have a file each.
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}~", std::process::id()));
    let temporary = dir.join(temporary);
    let written = put(&temporary, path, bytes).and_then(|()| File::open(dir)?.sync_all());
    written.map_err(|error| {
        // Not there if it was never made, or is in its place already.
        let _ = fs::remove_file(&temporary);
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let failed = Error::io(format!("can't write {}", path.display()), error);
        if !denied {
            return failed.into();
        }
        failed.hint("the user who owns the root directory must be able to write to the file's directory").into()
    })
}

/// What it is, where it is no file.
fn no_file(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a directory"),
        kind if kind.is_symlink() => Some("a symbolic link"),
        kind if kind.is_fifo() => Some("a FIFO"),
        _ => Some("a device or a socket"),
    }
}

fn put(temporary: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(bytes)?;
    // Whatever the umask is: node_exporter is another user.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
