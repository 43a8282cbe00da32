//! What a layer of the game consists of: every name with its type, mode, size and hash, as it was recorded at install.
//!
//! A manifest is what `verify` compares with, and what a chain of layers is merged by: which layer each name comes from is
//! decided here, on the manifests alone, and never by looking at the trees.
//!
//! On disk it is text, a line each, sorted by path so that a directory comes before what is in it:
//!
//! ```text
//! left4me-manifest 1
//! dir 755 bin
//! opaque 755 left4dead2/maps
//! file 644 14 <sha256> left4dead2/addons/readme.txt
//! link 777 7 <sha256 of the target> bin/latest
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
    fn is_dir(&self) -> bool {
        matches!(self, Self::Dir { .. })
    }
}

/// A layer's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest(pub(crate) BTreeMap<Vec<u8>, Entry>);

/// A merged tree: each name with what it is, and the number of the layer that it comes from.
pub(crate) type Merged = BTreeMap<Vec<u8>, (usize, Entry)>;

/// Merges layers as overlayfs shows them, highest precedence first; the last one is the lowest there is.
pub(crate) fn merge(layers: &[&Manifest]) -> Merged {
    let mut merged = Merged::new();
    for (number, layer) in layers.iter().enumerate().rev() {
        for (path, &entry) in &layer.0 {
            let below = merged.get(path).map(|&(_, entry)| entry);
            let hides = match (entry, below) {
                // Two directories are one, with the upper one's mode.
                (Entry::Dir { opaque: false, .. }, Some(Entry::Dir { .. })) => false,
                (_, below) => below.is_some(),
            };
            if hides {
                remove_tree(&mut merged, path);
            }
            let entry = match entry {
                Entry::Whiteout => {
                    merged.remove(path);
                    continue;
                }
                Entry::Dir { mode, .. } => Entry::Dir { mode, opaque: false },
                entry => entry,
            };
            merged.insert(path.clone(), (number, entry));
        }
    }
    merged
}

/// The layer that shows `now` above `below`: what differs, the directories that lead there, and a mark for each name that is
/// gone.
pub(crate) fn difference(below: &Manifest, now: &Manifest) -> Manifest {
    let mut layer = Manifest::default();
    let mut wanted = Vec::new();
    for (path, &entry) in &now.0 {
        match (entry, below.0.get(path)) {
            (entry, Some(same)) if entry == *same => {}
            (Entry::Dir { mode, .. }, Some(other)) => {
                layer.0.insert(path.clone(), Entry::Dir { mode, opaque: !other.is_dir() });
                wanted.push(path);
            }
            (entry, _) => {
                layer.0.insert(path.clone(), entry);
                wanted.push(path);
            }
        }
    }
    for path in below.0.keys().filter(|path| !now.0.contains_key(*path)) {
        // What lay in a directory that is gone, or that is a file now, needs no mark of its own.
        let stands = parents(path).next().is_none_or(|parent| now.0.get(parent).is_some_and(Entry::is_dir));
        if stands {
            layer.0.insert(path.clone(), Entry::Whiteout);
            wanted.push(path);
        }
    }
    for parent in wanted.into_iter().flat_map(|path| parents(path)) {
        if let (false, Some(&dir)) = (layer.0.contains_key(parent), now.0.get(parent)) {
            layer.0.insert(parent.to_vec(), dir);
        }
    }
    layer
}

/// The directories that a path leads through, the innermost first.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    ends.map(|(end, _)| &path[..end])
}

/// Takes away `path` and everything in it.
fn remove_tree(merged: &mut Merged, path: &[u8]) {
    let inside = [path, b"/"].concat();
    merged.remove(path);
    let names: Vec<Vec<u8>> = merged
        .range(inside.clone()..)
        .map(|(name, _)| name.clone())
        .take_while(|name| name.starts_with(&inside))
        .collect();
    for name in names {
        merged.remove(&name);
    }
}

impl Manifest {
    /// What merged layers consist of.
    pub(crate) fn of(merged: &Merged) -> Self {
        Self(merged.iter().map(|(path, &(_, entry))| (path.clone(), entry)).collect())
    }

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
mod tests {
    use super::*;

    const DIR: Entry = Entry::Dir { mode: 0o755, opaque: false };
    const OPAQUE: Entry = Entry::Dir { mode: 0o700, opaque: true };

    fn file(content: u8) -> Entry {
        Entry::File { mode: 0o644, size: 1, hash: [content; 32] }
    }

    fn manifest(entries: &[(&str, Entry)]) -> Manifest {
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

    #[test]
    fn layers_are_merged_as_overlayfs_does() {
        let base = manifest(&[
            ("a", DIR),
            ("a.x", file(1)),
            ("a/1", file(1)),
            ("a/2", file(1)),
            ("d", DIR),
            ("d/deep", DIR),
            ("d/deep/1", file(1)),
            ("f", file(1)),
            ("gone", DIR),
            ("gone/1", file(1)),
            ("same", file(1)),
        ]);
        let upper = manifest(&[
            ("a", Entry::Dir { mode: 0o700, opaque: false }),
            ("a/2", Entry::Whiteout),
            ("a/3", file(2)),
            ("d", file(2)),
            ("f", OPAQUE),
            ("f/in", file(2)),
            ("gone", Entry::Whiteout),
        ]);
        let whole = merge(&[&upper, &base]);
        let expected = manifest(&[
            ("a", Entry::Dir { mode: 0o700, opaque: false }),
            ("a.x", file(1)),
            ("a/1", file(1)),
            ("a/3", file(2)),
            ("d", file(2)),
            ("f", Entry::Dir { mode: 0o700, opaque: false }),
            ("f/in", file(2)),
            ("same", file(1)),
        ]);
        assert_eq!(Manifest::of(&whole), expected);
        assert_eq!((whole[&b"a/1"[..]].0, whole[&b"a/3"[..]].0), (1, 0));
    }

    #[test]
    fn a_difference_is_all_that_is_needed_and_no_more() {
        let trees = [
            manifest(&[]),
            manifest(&[("a", DIR), ("a/b", DIR), ("a/b/1", file(1)), ("a/c", file(1)), ("f", file(1))]),
            manifest(&[("a", DIR), ("a/b", DIR), ("a/b/1", file(2)), ("a/c", file(1)), ("f", file(1))]),
            manifest(&[("a", file(1)), ("f", DIR), ("f/1", file(1)), ("f/d", DIR)]),
            manifest(&[
                ("a", Entry::Dir { mode: 0o700, opaque: false }),
                ("a/b", DIR),
                ("f", Entry::Link { size: 1, hash: [0; 32] }),
            ]),
        ];
        for below in &trees {
            for now in &trees {
                let layer = difference(below, now);
                assert_eq!(Manifest::of(&merge(&[&layer, below])), *now, "{below:?} {now:?}");
                assert_eq!(layer.0.is_empty(), below == now);
            }
        }
        let one_byte = difference(&trees[1], &trees[2]);
        assert_eq!(one_byte, manifest(&[("a", DIR), ("a/b", DIR), ("a/b/1", file(2))]));
        let gone = difference(&trees[1], &trees[0]);
        assert_eq!(gone, manifest(&[("a", Entry::Whiteout), ("f", Entry::Whiteout)]));
    }
}
