//! The one file that tells root where the root directory is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use names::ROOT_FILE;

use crate::error::{Error, Result};

/// The root directory of this host, from [`ROOT_FILE`]. The file and its directory must be root's and writable by
/// nobody else: what they say decides where root mounts.
pub fn root_directory() -> Result<PathBuf> {
    read_root_file(Path::new(ROOT_FILE), 0)
}

fn read_root_file(path: &Path, owner: u32) -> Result<PathBuf> {
    let refuse = |why: &str| Error::new(format!("{} {why}", path.display()));
    for checked in [path, path.parent().unwrap_or(Path::new("/"))] {
        let metadata = fs::symlink_metadata(checked)
            .map_err(|e| Error::new(format!("can't read {}: {e} (the installer writes it)", checked.display())))?;
        if metadata.uid() != owner || metadata.mode() & 0o022 != 0 || metadata.is_symlink() {
            return Err(refuse("or its directory is not root's alone"));
        }
    }
    let text = fs::read(path).map_err(|e| refuse(&format!("can't be read: {e}")))?;
    parse(&text).ok_or_else(|| refuse("is not one absolute path, without '..' and '.', on one line"))
}

/// One line, one absolute path of plain components.
pub(crate) fn parse(text: &[u8]) -> Option<PathBuf> {
    let line = text.strip_suffix(b"\n")?;
    if line.iter().any(u8::is_ascii_control) {
        return None;
    }
    // By bytes: `Path::components` passes over a '.' and an empty component.
    let mut components = line.strip_prefix(b"/")?.split(|&b| b == b'/');
    let plain = components.all(|component| ![&b""[..], b".", b".."].contains(&component));
    plain.then(|| PathBuf::from(OsStr::from_bytes(line)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_absolute_path() {
        assert_eq!(parse(b"/var/lib/left4me\n"), Some(PathBuf::from("/var/lib/left4me")));
        for text in [&b""[..], b"\n", b"/\n", b"/srv", b"srv\n", b"/srv/../etc\n", b"/srv\n/etc\n", b"/srv\0\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        for text in [&b"/srv/./x\n"[..], b"/./srv\n", b"/srv/.\n", b"//srv\n", b"/srv//x\n", b"/srv/\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let dir = std::env::temp_dir().join(format!("left4me-trusted-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.join("root");
        fs::write(&file, "/srv/left4me\n").unwrap();
        let owner = fs::metadata(&file).unwrap().uid();
        let read = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            read_root_file(&file, owner)
        };
        assert!(read(0o644).is_ok());
        assert!(read(0o664).is_err());
        assert!(read_root_file(&file, owner + 1).is_err());
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read(0o644).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
