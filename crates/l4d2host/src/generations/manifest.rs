//! What a layer of the game consists of: every name with its type, mode, size and hash, as it was recorded at install.
//!
//! A manifest is what `verify` compares with, and what layers are merged by (see [`super::merge`]).
//!
//! On disk it is text, a line each, sorted by path so that a directory comes before what is in it:
//!
//! ```text
//! left4me-manifest 1
//! dir 755 bin
//! opaque 755 left4dead2/maps
//! file 644 14 <sha256> left4dead2/addons/readme.txt
//! link 7 <sha256 of the target> bin/latest
//! whiteout left4dead2/old.vpk
//! ```
//! In a path, `\n` stands for a newline and `\\` for a backslash.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use overlay::beneath::Dir;

use crate::{Error, ErrorKind, Result};

const HEADER: &[u8] = b"left4me-manifest 1\n";

/// A million names of a hundred letters.
const MAX_SIZE: usize = 256 << 20;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A directory; an opaque one hides those of its name in lower layers.
    Dir { mode: u32, opaque: bool },
    /// A regular file.
    File { mode: u32, size: u64, hash: Hash },
    /// A symbolic link: its target's length and hash.
    Link { size: u64, hash: Hash },
    /// Overlayfs' mark of a deletion.
    Whiteout,
}

impl Entry {
    pub(super) fn is_dir(&self) -> bool {
        matches!(self, Self::Dir { .. })
    }
}

/// A layer's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest(pub(crate) BTreeMap<Vec<u8>, Entry>);

impl Manifest {
    /// The bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        let size = |entry: &Entry| if let Entry::File { size, .. } = entry { *size } else { 0 };
        self.0.values().map(size).sum()
    }

    /// Reads the manifest `name` in `dir`; none where there is no such file.
    pub(crate) fn read(dir: &Dir, name: &str) -> Result<Option<Self>> {
        let bytes = match dir.read(name, MAX_SIZE) {
            Ok(bytes) => bytes,
            Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match Self::parse(&bytes) {
            Some(manifest) => Ok(Some(manifest)),
            None => Err(Error::new(ErrorKind::Corrupt, format!("{} is no manifest", dir.label_of(name)))
                .hint("remove it: `l4d2ctl install` then records what is there now")),
        }
    }

    /// Writes it, on disk when this returns.
    pub(crate) fn write(&self, dir: &Dir, name: &str) -> Result<()> {
        Ok(dir.put_file(OsStr::new(name), &self.print(), 0o644)?)
    }

    pub(crate) fn print(&self) -> Vec<u8> {
        let mut text = HEADER.to_vec();
        for (path, entry) in &self.0 {
            let words = match entry {
                Entry::Dir { mode, opaque: false } => format!("dir {mode:o} "),
                Entry::Dir { mode, opaque: true } => format!("opaque {mode:o} "),
                Entry::File { mode, size, hash } => format!("file {mode:o} {size} {} ", hex(hash)),
                Entry::Link { size, hash } => format!("link {size} {} ", hex(hash)),
                Entry::Whiteout => "whiteout ".to_owned(),
            };
            text.extend_from_slice(words.as_bytes());
            for &byte in path {
                match byte {
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'\\' => text.extend_from_slice(b"\\\\"),
                    byte => text.push(byte),
                }
            }
            text.push(b'\n');
        }
        text
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(HEADER)?;
        let mut entries = BTreeMap::new();
        if body.is_empty() {
            return Some(Self(entries));
        }
        for line in body.strip_suffix(b"\n")?.split(|&byte| byte == b'\n') {
            let (path, entry) = parse_line(line)?;
            // Sorted, so no name comes twice.
            if entries.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return None;
            }
            entries.insert(path, entry);
        }
        Some(Self(entries))
    }
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, Entry)> {
    let (kind, mut rest) = take_word(line)?;
    let mut word = || {
        let (word, after) = take_word(rest)?;
        rest = after;
        std::str::from_utf8(word).ok()
    };
    let entry = match kind {
        b"dir" | b"opaque" => Entry::Dir { mode: mode(word()?)?, opaque: kind == b"opaque" },
        b"file" => Entry::File { mode: mode(word()?)?, size: word()?.parse().ok()?, hash: unhex(word()?)? },
        b"link" => Entry::Link { size: word()?.parse().ok()?, hash: unhex(word()?)? },
        b"whiteout" => Entry::Whiteout,
        _ => return None,
    };
    let path = unescape(rest)?;
    let plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    path.split(|&byte| byte == b'/').all(plain).then_some((path, entry))
}

fn take_word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|&byte| byte == b' ')?;
    Some((&line[..end], &line[end + 1..]))
}

fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        path.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(path)
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    let bytes = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let mut hash = Hash::default();
    if bytes.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(bytes.chunks(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(hash)
}

/// A path of a manifest as one of the system's.
pub(crate) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::generations) const DIR: Entry = Entry::Dir { mode: 0o755, opaque: false };
    pub(in crate::generations) const OPAQUE: Entry = Entry::Dir { mode: 0o700, opaque: true };

    pub(in crate::generations) fn file(content: u8) -> Entry {
        Entry::File { mode: 0o644, size: 1, hash: [content; 32] }
    }

    pub(in crate::generations) fn manifest(entries: &[(&str, Entry)]) -> Manifest {
        Manifest(entries.iter().map(|(path, entry)| (path.as_bytes().to_vec(), *entry)).collect())
    }

    #[test]
    fn a_manifest_and_back() {
        let link = Entry::Link { size: 3, hash: [0xab; 32] };
        let whole = manifest(&[
            ("-a b", file(1)),
            ("d", OPAQUE),
            ("d.x", DIR),
            ("d/new\nline\\n", link),
            ("gone", Entry::Whiteout),
        ]);
        assert_eq!(Manifest::parse(&whole.print()), Some(whole));
        assert_eq!(Manifest::parse(&Manifest::default().print()), Some(Manifest::default()));
    }

    #[test]
    fn what_is_no_manifest() {
        let hash = "0".repeat(64);
        for line in [
            "dir 755 ../up",
            "dir 755 /abs",
            "dir 755 a//b",
            "dir 755 ",
            "dir 7777777 a",
            "dir 9 a",
            "file 644 1 abc a",
            "whiteout",
            "whiteout a\\x",
            "socket 755 a",
            "",
            "dir 755 b\ndir 755 a",
            "dir 755 a\ndir 755 a",
        ] {
            assert_eq!(Manifest::parse(format!("left4me-manifest 1\n{line}\n").as_bytes()), None, "{line:?}");
        }
        let good = format!("left4me-manifest 1\nfile 644 1 {hash} a\n");
        assert!(Manifest::parse(good.as_bytes()).is_some());
        assert_eq!(Manifest::parse(good.replace("manifest 1", "manifest 2").as_bytes()), None);
        assert_eq!(Manifest::parse(good.trim_end().as_bytes()), None);
    }
}
