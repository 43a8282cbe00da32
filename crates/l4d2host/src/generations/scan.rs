//! Looking at a layer: its manifest as it is now, every file hashed.
//!
//! One thread lists names, then as many as there are processors hash, the largest files first so that none is left alone
//! with one at the end. They count into a number that the caller's thread looks at now and then: a message for each piece
//! woke it a thousand times a second, on the processors that hash. What is read stays in the page cache: servers read the
//! same files.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use overlay::beneath::Dir;
use rustix::fs::{AtFlags, FileType, fgetxattr, readlinkat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::manifest::{Entry, Hash, Manifest, as_path};
use crate::{Error, ErrorKind, Result};

/// How overlayfs marks a directory that hides those below it, in a mount with `userxattr`.
pub(super) const OPAQUE: &str = "user.overlay.opaque";

/// How much is read at once.
const CHUNK: usize = 128 * 1024;

/// How often it is told how far it is.
const TELL: Duration = Duration::from_millis(100);

/// Told how many bytes of how many have been hashed.
pub(crate) type OnBytes<'a> = &'a mut dyn FnMut(u64, u64);

/// A name that can't be looked at, the number of its tree, and why.
struct Refused {
    tree: usize,
    path: Vec<u8>,
    error: Error,
}

/// What can be seen of a tree.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    /// Of every name that can be looked at.
    pub(crate) manifest: Manifest,
    /// The names that can't, a directory's for all that is in it.
    pub(crate) refused: Vec<Vec<u8>>,
}

/// Looks at every name in `tree` and hashes every file.
pub(crate) fn scan(tree: &Dir, on_bytes: OnBytes<'_>) -> Result<Manifest> {
    let found = look_through(&[tree], on_bytes, &|refused| Err(refused.error))?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// The same of what can be read in each of `trees`, in their order. All at once: a tree of one large file would leave all
/// processors but one idle.
pub(crate) fn scan_readable(trees: &[&Dir], on_bytes: OnBytes<'_>) -> Result<Vec<Readable>> {
    let all_refused = Mutex::new(Vec::new());
    let manifests = look_through(trees, on_bytes, &|refused| {
        all_refused.lock().unwrap_or_else(PoisonError::into_inner).push(refused);
        Ok(())
    })?;
    let mut found: Vec<Readable> =
        manifests.into_iter().map(|manifest| Readable { manifest, refused: Vec::new() }).collect();
    for Refused { tree, path, .. } in all_refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
        found[tree].refused.push(path);
    }
    Ok(found)
}

/// `on_refused` says whether what can't be looked at ends it.
fn look_through(
    trees: &[&Dir],
    on_bytes: OnBytes<'_>,
    on_refused: &(dyn Fn(Refused) -> Result<()> + Sync),
) -> Result<Vec<Manifest>> {
    let (mut manifests, mut files) = (Vec::new(), Vec::new());
    for (number, tree) in trees.iter().enumerate() {
        let (manifest, pending) = list(tree, &|path, error| on_refused(Refused { tree: number, path, error }))?;
        manifests.push(manifest);
        files.extend(pending.into_iter().map(|file| (number, file)));
    }
    for (tree, path, entry) in hash(trees, &files, on_bytes, on_refused)? {
        manifests[tree].0.insert(path, entry);
    }
    Ok(manifests)
}

/// What one name of a tree stands for now; none where it is not there or, for whatever reason, can't be read.
pub(crate) fn look_at(tree: &Dir, path: &Path) -> Option<Entry> {
    let (parent, name) = (path.parent()?, path.file_name()?);
    let dir = tree.open_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).ok()?;
    match look_at_name(tree, &dir, name.as_bytes(), path.as_os_str().as_bytes()).ok()? {
        Found::Other(entry) => Some(entry),
        Found::File(Pending { mode, .. }) => {
            let file = dir.open_file(name).ok()?;
            let (size, hash) = hash_file(file, &tree.label_of(path), &mut vec![0; CHUNK], &mut |_| {}).ok()?;
            Some(Entry::File { mode, size, hash })
        }
    }
}

/// A file that is to be hashed.
struct Pending {
    path: Vec<u8>,
    mode: u32,
    size: u64,
}

/// Every name but those of files, and the files.
fn list(tree: &Dir, on_refused: &dyn Fn(Vec<u8>, Error) -> Result<()>) -> Result<(Manifest, Vec<Pending>)> {
    let mut manifest = Manifest::default();
    let mut files = Vec::new();
    let mut dirs = vec![Vec::new()];
    while let Some(path) = dirs.pop() {
        let opened = tree.open_dir(if path.is_empty() { Path::new(".") } else { as_path(&path) });
        let (names, dir) = match opened.and_then(|dir| Ok((dir.entries()?, dir))) {
            Ok(opened) => opened,
            Err(error) => {
                on_refused(path, error.into())?;
                continue;
            }
        };
        for name in names {
            let name = name.as_encoded_bytes();
            let inside = if path.is_empty() { name.to_vec() } else { [&path[..], b"/", name].concat() };
            match look_at_name(tree, &dir, name, &inside) {
                Ok(Found::File(file)) => files.push(file),
                Ok(Found::Other(entry)) => {
                    if matches!(entry, Entry::Dir { .. }) {
                        dirs.push(inside.clone());
                    }
                    manifest.0.insert(inside, entry);
                }
                Err(error) => on_refused(inside, error)?,
            }
        }
    }
    Ok((manifest, files))
}

/// What a name of a directory stands for.
enum Found {
    File(Pending),
    Other(Entry),
}

fn look_at_name(tree: &Dir, dir: &Dir, name: &[u8], path: &[u8]) -> Result<Found> {
    let label = || tree.label_of(as_path(path));
    let failed = |errno: Errno| Error::io(format!("can't look at {}", label()), errno.into());
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    let mode = stat.st_mode & 0o7777;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let size = u64::try_from(stat.st_size).unwrap_or_default();
            Found::File(Pending { path: path.to_vec(), mode, size })
        }
        FileType::Directory => Found::Other(Entry::Dir { mode, opaque: is_opaque(&tree.open_dir(as_path(path))?)? }),
        FileType::Symlink => {
            let target = readlinkat(dir, name, Vec::new()).map_err(failed)?;
            let target = target.as_bytes();
            Found::Other(Entry::Link { size: target.len() as u64, hash: Sha256::digest(target).into() })
        }
        FileType::CharacterDevice if stat.st_rdev == 0 => Found::Other(Entry::Whiteout),
        _ => {
            let message = format!("{} is neither a file nor a directory nor a link", label());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    })
}

fn is_opaque(dir: &Dir) -> Result<bool> {
    let mut value = [0_u8; 8];
    match fgetxattr(dir, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(value[..length] == *b"y"),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(errno) => Err(Error::io(format!("can't read the marks of {}", dir.label()), errno.into())),
    }
}

/// Hashes files, each with the number of its tree, on all processors.
fn hash(
    trees: &[&Dir],
    files: &[(usize, Pending)],
    on_bytes: OnBytes<'_>,
    on_refused: &(dyn Fn(Refused) -> Result<()> + Sync),
) -> Result<Vec<(usize, Vec<u8>, Entry)>> {
    let mut largest_first: Vec<&(usize, Pending)> = files.iter().collect();
    largest_first.sort_by_key(|(_, file)| std::cmp::Reverse(file.size));
    let total: u64 = files.iter().map(|(_, file)| file.size).sum();
    let next = AtomicUsize::new(0);
    let done = AtomicU64::new(0);
    let work = || -> Result<Vec<(usize, Vec<u8>, Entry)>> {
        let mut hashed = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while let Some(&&(tree, ref file)) = largest_first.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = as_path(&file.path);
            let mut tell = |bytes| {
                done.fetch_add(bytes, Ordering::Relaxed);
            };
            let hashed_one = trees[tree]
                .open_file(path)
                .map_err(Error::from)
                .and_then(|opened| hash_file(opened, &trees[tree].label_of(path), &mut chunk, &mut tell));
            match hashed_one {
                Ok((size, hash)) => hashed.push((tree, file.path.clone(), Entry::File { mode: file.mode, size, hash })),
                Err(error) => on_refused(Refused { tree, path: file.path.clone(), error }).inspect_err(|_| {
                    // The others have nothing left to do.
                    next.store(largest_first.len(), Ordering::Relaxed);
                })?,
            }
        }
        Ok(hashed)
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(files.len());
    std::thread::scope(|scope| {
        let work = &work;
        // Nothing is sent: it closes when the last of the workers has ended.
        let (working, ended) = mpsc::channel::<()>();
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let working = working.clone();
                scope.spawn(move || {
                    let _working = working;
                    work()
                })
            })
            .collect();
        drop(working);
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TELL) {
            on_bytes(done.load(Ordering::Relaxed), total);
        }
        on_bytes(done.load(Ordering::Relaxed), total);
        let mut all = Vec::with_capacity(files.len());
        for worker in workers {
            all.extend(worker.join().map_err(|_| Error::new(ErrorKind::Internal, "a thread that hashed is gone"))??);
        }
        Ok(all)
    })
}

fn hash_file(mut file: File, label: &str, chunk: &mut [u8], tell: &mut dyn FnMut(u64)) -> Result<(u64, Hash)> {
    let (mut size, mut hasher) = (0, Sha256::new());
    loop {
        let length = match file.read(chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io(format!("can't read {label}"), error)),
        };
        hasher.update(&chunk[..length]);
        size += length as u64;
        tell(length as u64);
    }
    Ok((size, hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, Mode, XattrFlags, mkdirat, mknodat, setxattr};

    use super::*;

    #[test]
    fn everything_is_seen() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir_all(path("a/b c")).unwrap();
        fs::write(path("a/b c/-file"), "abc").unwrap();
        fs::set_permissions(path("a/b c/-file"), fs::Permissions::from_mode(0o4751)).unwrap();
        symlink("../x", path("a/link")).unwrap();
        mkdirat(CWD, path("o"), Mode::from_raw_mode(0o700)).unwrap();
        setxattr(path("o"), OPAQUE, b"y", XattrFlags::empty()).unwrap();
        mknodat(CWD, path("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        let tree = Dir::open_root(&scratch.path().canonicalize().unwrap()).unwrap();
        let mut told = (0, 0);
        let manifest = scan(&tree, &mut |done, total| told = (done, total)).unwrap();
        assert_eq!(told, (3, 3));
        let text = String::from_utf8(manifest.print()).unwrap();
        let file = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(text.contains(&format!("file 4751 3 {file} a/b c/-file\n")), "{text}");
        assert!(text.contains("opaque 700 o\n") && text.contains("whiteout gone\n") && text.contains(" a/link\n"));
        assert_eq!(manifest.0.len(), 6);
        assert_eq!(Manifest::parse(&manifest.print()), Some(manifest));
        fs::remove_file(path("a/b c/-file")).unwrap();
        mknodat(CWD, path("a/b c/-file"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(scan(&tree, &mut |_, _| {}).unwrap_err().to_string().contains("neither a file"));
    }

    #[test]
    fn trees_that_are_read_together_are_kept_apart() {
        let scratch = tempfile::tempdir().unwrap();
        let trees = ["one", "two", "empty"].map(|name| {
            let path = scratch.path().join(name);
            fs::create_dir(&path).unwrap();
            if name != "empty" {
                fs::write(path.join("same name"), name).unwrap();
            }
            Dir::open_root(&path.canonicalize().unwrap()).unwrap()
        });
        mkdirat(CWD, scratch.path().join("two/d"), Mode::from_raw_mode(0o700)).unwrap();
        mknodat(CWD, scratch.path().join("two/d/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let found = scan_readable(&trees.each_ref(), &mut |_, _| {}).unwrap();
        assert_eq!(scan(&trees[0], &mut |_, _| {}).unwrap(), found[0].manifest);
        let entries: Vec<usize> = found.iter().map(|found| found.manifest.0.len()).collect();
        assert_eq!(entries, [1, 2, 0]);
        assert_ne!(found[0].manifest.0[&b"same name"[..]], found[1].manifest.0[&b"same name"[..]]);
        let refused: Vec<&[Vec<u8>]> = found.iter().map(|found| &found.refused[..]).collect();
        assert_eq!(refused, [&[][..], &[b"d/pipe".to_vec()], &[]]);
    }
}
