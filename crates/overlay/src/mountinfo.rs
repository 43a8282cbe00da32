//! `/proc/self/mountinfo`, as far as we need it: which overlay mounts are ours and where they hang.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One line of mountinfo (proc(5), `/proc/[pid]/mountinfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The mount's id while it exists: what statx answers to `STATX_MNT_ID`. Later mounts may get it again.
    pub id: u64,
    /// `major:minor` of the file system.
    pub device: (u32, u32),
    /// Where it hangs, from this process' root.
    pub mount_point: PathBuf,
    /// The file system's type.
    pub fs_type: Vec<u8>,
    /// What the mounter called its source; ours are `left4me-NAME`.
    pub source: Vec<u8>,
}

/// Parses the whole file; a line that is not of the documented form is left out, as it can't be one of ours.
pub fn parse(text: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    text.split(|&b| b == b'\n').filter_map(parse_line)
}

/// The overlay mounts with this source, in the order they were mounted.
pub fn overlays_of<'a>(text: &'a [u8], source: &'a str) -> impl Iterator<Item = Entry> + 'a {
    parse(text).filter(move |entry| entry.fs_type == b"overlay" && entry.source == source.as_bytes())
}

fn parse_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|&b| b == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = parse_device(fields.nth(1)?)?;
    let mount_point = unescape(fields.nth(1)?);
    // Any number of optional fields ends with a lone dash.
    let mut rest = fields.skip_while(|&field| field != b"-").skip(1);
    let fs_type = unescape(rest.next()?);
    let source = unescape(rest.next()?);
    Some(Entry { id, device, mount_point: PathBuf::from(OsString::from_vec(mount_point)), fs_type, source })
}

fn parse_device(field: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(field).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Undoes the kernel's escapes: a backslash and three octal digits stand for a byte. Once, from left to right: an
/// escaped backslash followed by digits stays what it is.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => bytes.push(*byte),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        95 22 0:52 / /srv/a\\040b\\134040/merged rw,nosuid,nodev shared:7 master:3 - overlay left4me-one rw,lowerdir+=/proc/self/fd/9\n\
        broken line\n\
        96 22 0:53 / /elsewhere rw - overlay left4me-two rw\n\
        97 22 0:54 / /x rw - tmpfs left4me-one rw\n";

    #[test]
    fn finds_ours_and_unescapes_once() {
        let found: Vec<Entry> = overlays_of(SAMPLE, "left4me-one").collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].mount_point, PathBuf::from("/srv/a b\\040/merged"));
        assert_eq!((found[0].id, found[0].device), (95, (0, 52)));
        assert_eq!(parse(SAMPLE).count(), 4);
    }

    #[test]
    fn any_bytes_are_survived() {
        for text in
            [&b""[..], b"-", b"1 2 3:4 / /", b"1 2 3:4 / / rw - a", b"\\\\\\1\\12 \xff", b"1 2 3:4 / /\\0 rw - a b"]
        {
            parse(text).for_each(drop);
        }
    }
}
