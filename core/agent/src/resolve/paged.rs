//! Debug sections as gimli reads them: block by block, through a cache of fixed size.
//!
//! Debug information takes ten times the bytes of the code it describes, and the addresses of a
//! batch need a small part of it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use gimli::Error;
use gimli::LittleEndian;
use gimli::ReaderOffsetId;

use super::bytes::Bytes;
use super::source::Source;

/// Bytes read at once; a unit has about twice as many.
const BLOCK: u64 = 4096;
/// Blocks kept: 256 KiB; more gained nothing measurable.
const MAX_BLOCKS: usize = 64;
/// The longest string that is looked through for its end, and the most that is copied at once.
const MAX_STRING: usize = 1 << 20;

/// The blocks of one file that were read last.
pub(crate) struct Pages<'a> {
    source: &'a Source,
    blocks: RefCell<Blocks>,
}

#[derive(Default)]
struct Blocks {
    by_number: HashMap<u64, Rc<Bytes>>,
    /// By age; the oldest goes first.
    order: VecDeque<u64>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, blocks: RefCell::default() }
    }

    fn block(&self, number: u64) -> gimli::Result<Rc<Bytes>> {
        let mut blocks = self.blocks.borrow_mut();
        if let Some(block) = blocks.by_number.get(&number) {
            return Ok(block.clone());
        }
        let start = number * BLOCK;
        let size = BLOCK.min(self.source.len().saturating_sub(start));
        let bytes = self.source.read(start, size, BLOCK).map_err(|_| Error::Io)?;
        let block = Rc::new(bytes);
        if blocks.order.len() >= MAX_BLOCKS
            && let Some(oldest) = blocks.order.pop_front()
        {
            blocks.by_number.remove(&oldest);
        }
        blocks.order.push_back(number);
        blocks.by_number.insert(number, block.clone());
        Ok(block)
    }
}

/// A part of a section.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    /// Where blocks come from; `None` where `block` is all there is.
    pages: Option<&'a Pages<'a>>,
    /// The bytes read last, and the position of their first one.
    block: Rc<Bytes>,
    block_start: u64,
    /// The positions left to read: offsets in the file, or in the bytes of a whole section.
    at: u64,
    end: u64,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).field("end", &self.end).finish()
    }
}

impl<'a> Reader<'a> {
    /// Reads `size` bytes at `offset` of the file, which must hold them.
    pub(crate) fn of_file(pages: &'a Pages<'a>, offset: u64, size: u64) -> Self {
        let pages = Some(pages);
        Self { pages, block: Rc::default(), block_start: 0, at: offset, end: offset + size }
    }

    /// Reads a section that is in memory, such as one that was compressed.
    pub(crate) fn of_bytes(bytes: Rc<Bytes>) -> Self {
        let end = bytes.len() as u64;
        Self { pages: None, block: bytes, block_start: 0, at: 0, end }
    }

    /// The bytes from here to a NUL, the end, or `limit` of them.
    pub(crate) fn string(mut self, limit: usize) -> gimli::Result<Vec<u8>> {
        self.end = self.end.min(self.at.saturating_add(limit as u64));
        let mut text = Vec::new();
        while self.at < self.end {
            let piece = self.piece()?;
            let whole = piece.len();
            let nul = piece.iter().position(|&byte| byte == 0);
            text.extend_from_slice(&piece[..nul.unwrap_or(whole)]);
            if nul.is_some() {
                break;
            }
            self.at += whole as u64;
        }
        Ok(text)
    }

    /// The bytes at hand from here on, at least one; the end of the section is an error.
    #[inline]
    fn piece(&mut self) -> gimli::Result<&[u8]> {
        let mut first = self.at.wrapping_sub(self.block_start);
        if first >= self.block.len() as u64 {
            first = self.turn()?;
        }
        let left = self.end - self.at;
        let bytes = self.block.get(first as usize..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if bytes.is_empty() { Err(self.at_end()) } else { Ok(bytes) }
    }

    /// Gets the block of the position, and gives the place in it.
    #[cold]
    fn turn(&mut self) -> gimli::Result<u64> {
        let Some(pages) = self.pages.filter(|_| self.at < self.end) else {
            return Err(self.at_end());
        };
        self.block = pages.block(self.at / BLOCK)?;
        self.block_start = self.at / BLOCK * BLOCK;
        Ok(self.at - self.block_start)
    }

    fn at_end(&self) -> Error {
        Error::UnexpectedEof(ReaderOffsetId(self.at))
    }
}

impl gimli::Reader for Reader<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        (self.end - self.at) as usize
    }

    fn empty(&mut self) {
        self.end = self.at;
    }

    fn truncate(&mut self, len: usize) -> gimli::Result<()> {
        if len > self.len() {
            return Err(self.at_end());
        }
        self.end = self.at + len as u64;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.at.wrapping_sub(base.at) as usize
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.at)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        (self.at..=self.end).contains(&id.0).then(|| (id.0 - self.at) as usize)
    }

    fn find(&self, byte: u8) -> gimli::Result<usize> {
        let mut ahead = self.clone();
        loop {
            let found = ahead.piece()?;
            let (size, found) = (found.len(), found.iter().position(|&it| it == byte));
            ahead.at += found.unwrap_or(size) as u64;
            let passed = ahead.offset_from(self);
            if found.is_some() {
                return Ok(passed);
            }
            if passed > MAX_STRING {
                return Err(self.at_end());
            }
        }
    }

    fn skip(&mut self, len: usize) -> gimli::Result<()> {
        if len > self.len() {
            return Err(self.at_end());
        }
        self.at += len as u64;
        Ok(())
    }

    fn split(&mut self, len: usize) -> gimli::Result<Self> {
        let mut first = self.clone();
        first.truncate(len)?;
        self.skip(len)?;
        Ok(first)
    }

    fn to_slice(&self) -> gimli::Result<Cow<'_, [u8]>> {
        if self.len() > MAX_STRING {
            return Err(self.at_end());
        }
        let mut bytes = vec![0; self.len()];
        self.clone().read_slice(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    fn to_string(&self) -> gimli::Result<Cow<'_, str>> {
        let text = String::from_utf8(self.to_slice()?.into_owned());
        text.map(Cow::Owned).map_err(|_| Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> gimli::Result<Cow<'_, str>> {
        Ok(Cow::Owned(String::from_utf8_lossy(&self.to_slice()?).into_owned()))
    }

    #[inline]
    fn read_slice(&mut self, buffer: &mut [u8]) -> gimli::Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let piece = self.piece()?;
            let size = piece.len().min(rest.len());
            let (now, later) = rest.split_at_mut(size);
            now.copy_from_slice(&piece[..size]);
            self.at += size as u64;
            rest = later;
        }
        Ok(())
    }

    #[inline]
    fn read_u8(&mut self) -> gimli::Result<u8> {
        let byte = self.piece()?[0];
        self.at += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::Reader as _;

    /// A source of numbered words, `size` bytes long.
    fn words(size: u64) -> Source {
        let bytes: Vec<u8> = (0..size / 8).flat_map(u64::to_le_bytes).collect();
        Source::Memory(bytes.into())
    }

    #[test]
    fn every_position_reads_as_from_a_slice_also_across_blocks_and_evictions() {
        let size = BLOCK * (MAX_BLOCKS as u64 + 3);
        let source = words(size);
        let pages = Pages::new(&source);
        let section = Reader::of_file(&pages, 40, size - 80);
        for step in [1, 5, 4093, 65_537] {
            for skipped in (0..section.len() - 16).step_by(step).take(70_000) {
                let mut reader = section.clone();
                reader.skip(skipped).unwrap();
                let at = (40 + skipped) as u64;
                let expected = (at / 8).to_le_bytes()[(at % 8) as usize];
                assert_eq!(reader.read_u8().unwrap(), expected);
                reader.skip(7 - (at % 8) as usize).unwrap();
                assert_eq!(reader.read_u64().unwrap(), at / 8 + 1);
            }
        }
        assert!(pages.blocks.borrow().by_number.len() <= MAX_BLOCKS);
    }

    #[test]
    fn a_reader_ends_where_its_section_ends() {
        let source = words(2 * BLOCK);
        let pages = Pages::new(&source);
        let mut reader = Reader::of_file(&pages, BLOCK - 8, 12);
        assert_eq!(reader.split(8).unwrap().len(), 8);
        assert!(reader.clone().read_u64().is_err());
        assert!(reader.clone().skip(5).is_err());
        assert_eq!(reader.read_u32().unwrap(), BLOCK as u32 / 8);
        assert!(reader.is_empty() && reader.read_u8().is_err());
        let mut whole = Reader::of_bytes(Rc::new(Bytes::from(vec![1, 2])));
        assert_eq!((whole.read_u16().unwrap(), whole.read_u8().is_err()), (0x201, true));
    }

    #[test]
    fn a_string_ends_at_its_nul_or_at_the_limit() {
        let mut bytes = vec![b'x'; 3 * BLOCK as usize];
        bytes[2 * BLOCK as usize] = 0;
        let source = Source::Memory(bytes.into());
        let pages = Pages::new(&source);
        let reader = Reader::of_file(&pages, 10, 3 * BLOCK - 10);
        assert_eq!(reader.find(0).unwrap(), 2 * BLOCK as usize - 10);
        assert_eq!(reader.clone().string(usize::MAX).unwrap().len(), 2 * BLOCK as usize - 10);
        assert_eq!(reader.clone().string(5).unwrap(), b"xxxxx");
        assert!(reader.find(b'y').is_err());
        assert_eq!(reader.to_slice().unwrap().len(), reader.len());
        let endless = Reader::of_file(&pages, 0, MAX_STRING as u64 + 1);
        assert_eq!(endless.to_slice().err(), Some(endless.at_end()), "nothing is allocated");
    }

    #[test]
    fn a_file_that_shrank_gives_an_error() {
        let source = words(BLOCK);
        let pages = Pages::new(&source);
        let mut reader = Reader::of_file(&pages, 0, 2 * BLOCK);
        reader.skip(BLOCK as usize - 4).unwrap();
        assert!(reader.read_u64().is_err());
    }
}
