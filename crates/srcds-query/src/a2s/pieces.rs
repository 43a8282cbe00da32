//! A long reply comes in numbered pieces, in any order.

use super::Error;
use super::bytes::Bytes;

/// A reply has at most so many packets.
pub const MAX_PIECES: usize = 32;

/// A reply has at most so many bytes.
pub const MAX_REPLY: usize = 64 * 1024;

/// A lost piece is lost for good: the server sends the whole reply again, under another id. So many are kept, the newest.
const MAX_REPLIES: usize = 2;

/// The highest bit of an id says so.
const COMPRESSED: u32 = 1 << 31;

/// The replies of which pieces have come.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Partial>);

/// One reply.
#[derive(Debug)]
struct Partial {
    id: u32,
    /// As many as there are in all; those that have come.
    pieces: Vec<Option<Vec<u8>>>,
    size: usize,
}

impl Pieces {
    /// Takes a piece, from its id on; gives the whole reply, header included, when it was the last.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Bytes::new(piece);
        let id = bytes.u32()?;
        if id & COMPRESSED != 0 {
            return Err(Error::Compressed);
        }
        let (total, number) = (usize::from(bytes.byte()?), usize::from(bytes.byte()?));
        // The largest size of a piece. Nothing follows from it; only engines from before 2007 leave it out.
        bytes.u16()?;
        if total > MAX_PIECES {
            return Err(Error::TooLarge);
        }
        if number >= total {
            return Err(Error::Malformed("a piece's number is higher than their count"));
        }
        let at = match self.0.iter().position(|partial| partial.id == id) {
            Some(at) => at,
            None => self.begin(id, total),
        };
        let partial = &mut self.0[at];
        if partial.pieces.len() != total {
            return Err(Error::Malformed("two pieces say two counts"));
        }
        if partial.pieces[number].is_some() {
            return Ok(None);
        }
        partial.size += bytes.rest().len();
        if partial.size > MAX_REPLY {
            return Err(Error::TooLarge);
        }
        partial.pieces[number] = Some(bytes.rest().to_vec());
        if partial.pieces.iter().any(Option::is_none) {
            return Ok(None);
        }
        let whole = self.0.remove(at);
        Ok(Some(whole.pieces.into_iter().flatten().flatten().collect()))
    }

    /// How many bytes are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn size(&self) -> usize {
        self.0.iter().flat_map(|partial| &partial.pieces).flatten().map(Vec::len).sum()
    }

    fn begin(&mut self, id: u32, total: usize) -> usize {
        if self.0.len() == MAX_REPLIES {
            self.0.remove(0);
        }
        self.0.push(Partial { id, pieces: vec![None; total], size: 0 });
        self.0.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: u32, total: u8, number: u8, part: &[u8]) -> Vec<u8> {
        [&id.to_le_bytes()[..], &[total, number, 0, 0], part].concat()
    }

    #[test]
    fn replies_that_are_never_whole_push_each_other_out() {
        let mut pieces = Pieces::default();
        for id in 0..1000 {
            for number in 0..31 {
                assert_eq!(pieces.take(&piece(id, 32, number, &[b'x'; 2000])), Ok(None));
            }
            assert!(pieces.size() <= MAX_REPLIES * MAX_REPLY, "{}", pieces.size());
        }
        // The last is whole as soon as its last piece comes.
        let whole = pieces.take(&piece(999, 32, 31, b"x")).unwrap().unwrap();
        assert_eq!(whole.len(), 31 * 2000 + 1);
    }

    #[test]
    fn a_reply_has_a_largest_size() {
        let mut pieces = Pieces::default();
        let take = |pieces: &mut Pieces, number, size| pieces.take(&piece(7, 32, number, &vec![b'x'; size]));
        assert_eq!((0..31).map(|number| take(&mut pieces, number, 2048)).collect::<Vec<_>>(), vec![Ok(None); 31]);
        assert_eq!(take(&mut pieces, 31, 2049), Err(Error::TooLarge));
    }
}
