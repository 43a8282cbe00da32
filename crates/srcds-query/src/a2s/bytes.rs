//! The one way to read a packet: a cursor that never leaves it.

use super::Error;

/// What is left to read of a reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next so many bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Error::Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text up to its NUL, which must be there.
    pub(super) fn text(&mut self) -> Result<String, Error> {
        let end = self.0.iter().position(|&byte| byte == 0).ok_or(Error::Malformed("a text in it has no end"))?;
        let text = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Ok(text)
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut bytes = Bytes::new(b"\x01\x02\x03a\xff\0bc");
        assert_eq!(bytes.u16(), Ok(0x0201));
        assert_eq!(bytes.u64(), Err(Error::Malformed("it ends too early")));
        assert_eq!((bytes.byte(), bytes.text()), (Ok(3), Ok("a\u{fffd}".to_owned())));
        assert_eq!((bytes.text().is_err(), bytes.rest()), (true, &b"bc"[..]));
    }
}
