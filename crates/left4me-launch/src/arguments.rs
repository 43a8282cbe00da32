//! The staged `launch` file: the arguments of the game after its own name, one a line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::{Error, Result};

/// Far more than any command line of the game. Keeps a huge file from being read into memory.
pub(crate) const MAX_SIZE: u64 = 64 * 1024;

/// Reads the content of a `launch` file. There is no escaping: a line is an argument as it is.
pub fn parse_launch(text: &[u8]) -> Result<Vec<String>> {
    let text = std::str::from_utf8(text).map_err(|_| Error::new("it is not UTF-8"))?;
    let body = text.strip_suffix('\n').ok_or_else(|| Error::new("it does not end with a newline"))?;
    let lines: Vec<String> = body.split('\n').map(str::to_owned).collect();
    check(&lines)?;
    Ok(lines)
}

/// Writes what [`parse_launch`] reads, or says why these can't be arguments.
pub fn print_launch(arguments: &[String]) -> Result<String> {
    if arguments.is_empty() {
        return Err(Error::new("there are no arguments"));
    }
    check(arguments)?;
    let text: String = arguments.iter().map(|argument| format!("{argument}\n")).collect();
    if text.len() as u64 > MAX_SIZE {
        return Err(Error::new(format!("the arguments are longer than {MAX_SIZE} bytes")));
    }
    Ok(text)
}

/// A control character can't be meant: a newline would end the argument, a NUL the whole string, an escape is for a
/// terminal.
fn check(arguments: &[String]) -> Result<()> {
    match arguments.iter().position(|argument| argument.chars().any(char::is_control)) {
        Some(index) => Err(Error::new(format!("line {} has a control character", index + 1))),
        None => Ok(()),
    }
}

/// Reads the `launch` file at `path`: a regular file, itself no link, of at most 64 KiB.
pub(crate) fn read_launch(path: &Path) -> Result<Vec<String>> {
    let failed = |reason: &dyn std::fmt::Display| Error::on("read", path, reason);
    // Not blocking: a FIFO would keep the unit starting for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(&std::io::Error::from(e)))?);
    if !file.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"it is not a regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > MAX_SIZE {
        return Err(failed(&format_args!("it is larger than {MAX_SIZE} bytes")));
    }
    parse_launch(&text).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_back() {
        let arguments = ["-game", "left4dead2", "+hostname", "it's \"$HOME\" \\ %i ä", "", " "].map(str::to_owned);
        let text = print_launch(&arguments).unwrap();
        assert_eq!(parse_launch(text.as_bytes()).unwrap(), arguments);
    }

    #[test]
    fn files_that_are_refused_and_why() {
        for (text, why) in [
            (&b""[..], "newline"),
            (b"-game", "newline"),
            (b"-game\r\n", "line 1 has a control character"),
            (b"a\nb\0c\n", "line 2 has a control character"),
            (b"a\n\x1b[2J\n", "line 2 has a control character"),
            (b"\xff\n", "UTF-8"),
        ] {
            assert!(parse_launch(text).unwrap_err().to_string().contains(why), "{text:?}");
        }
        assert!(print_launch(&[]).is_err());
        assert!(print_launch(&["a\nb".to_owned()]).is_err());
        assert!(print_launch(&["x".repeat(65536)]).is_err());
    }

    #[test]
    fn only_a_small_regular_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("launch");
        let error = |path: &Path| read_launch(path).unwrap_err().to_string();
        assert!(error(&path).contains(path.to_str().unwrap()));
        std::fs::write(&path, "a\nb c\n").unwrap();
        assert_eq!(read_launch(&path).unwrap(), ["a", "b c"]);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(error(&link).starts_with("can't read"));
        assert!(error(directory.path()).contains("not a regular file"));
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(error(&fifo).contains("not a regular file"));
        std::fs::write(&path, "x\n".repeat(40_000)).unwrap();
        assert!(error(&path).contains("larger than 65536"));
    }
}
