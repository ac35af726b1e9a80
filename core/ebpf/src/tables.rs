//! The unwind tables of all modules, in chunks that come and go with them.

use crate::error::{Error, ErrorKind};
use crate::kernel_maps::{CHUNK_WORDS, MAX_CHUNKS, Maps};
use crate::ranges::Ranges;
use sondage_sampler::{Rule, Table};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// Room is given out in blocks of this many words: 512 bytes.
const BLOCK_WORDS: u32 = 128;
const CHUNK_BLOCKS: u32 = CHUNK_WORDS / BLOCK_WORDS;

/// A page is at most 65,536 rows: the program's search has that many rounds.
const MAX_PAGE_ROWS: usize = 1 << 16;

/// Names a table that the programs can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(u32);

/// Where the program finds a table, as the last words of `struct mapping` say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) base: u64,
    pub(crate) first_page: u32,
    pub(crate) pages: u32,
    pub(crate) first_rule: u32,
    pub(crate) rules: u32,
}

/// A run of blocks in a chunk.
#[derive(Clone, Copy, Debug)]
struct Extent {
    chunk: u32,
    first: u32,
    blocks: u32,
}

/// A table that was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableCopy {
    base: u64,
    pages: Vec<u32>,
    rows: Vec<u32>,
    rules: Vec<Rule>,
}

impl TableCopy {
    pub(crate) fn as_table(&self) -> Table<'_> {
        let Self { base, pages, rows, rules } = self;
        Table { base: *base, pages, rows, rules }
    }
}

#[derive(Debug)]
struct Entry {
    content: [u64; 2],
    extents: Vec<Extent>,
    placed: Placed,
    users: u32,
}

/// The tables that the programs can see. Equal tables are one. One that is taken away may be
/// overwritten at once: a walk that still reads it finds its process' list replaced, and is thrown
/// away.
#[derive(Debug)]
pub(crate) struct Tables {
    max_chunks: u32,
    /// The free blocks of each chunk there is.
    chunks: BTreeMap<u32, Ranges>,
    entries: HashMap<TableId, Entry>,
    by_content: HashMap<[u64; 2], TableId>,
    hashers: [RandomState; 2],
    next: u32,
}

impl Tables {
    /// No tables yet, and at most so many bytes of them.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let chunks = max_bytes / CHUNK_WORDS as usize / size_of::<u32>();
        Self {
            max_chunks: u32::try_from(chunks).unwrap_or(MAX_CHUNKS).clamp(1, MAX_CHUNKS),
            chunks: BTreeMap::new(),
            entries: HashMap::new(),
            by_content: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            next: 0,
        }
    }

    /// Bytes that the chunks take.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK_WORDS as usize * size_of::<u32>()
    }

    /// How many tables there are.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Puts a table where the programs can see it, unless it is there already. Each time it was put
    /// it must be [released](Self::release).
    ///
    /// # Errors
    /// [`ErrorKind::Full`] or [`ErrorKind::BadTable`]; nothing has changed.
    pub(crate) fn put(
        &mut self,
        table: &Table<'_>,
        maps: &mut impl Maps,
    ) -> Result<TableId, Error> {
        let content = self.hashers.each_ref().map(|hasher| hash(table, hasher));
        if let Some(id) = self.by_content.get(&content)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.users += 1;
            return Ok(*id);
        }
        let mut layout = Layout::of(table)?;
        let extents = self.take(&layout, maps)?;
        let placed = layout.link(&extents, table);
        for (extent, words) in extents.iter().zip(&layout.segments) {
            let written = maps.write_chunk(extent.chunk, extent.first * BLOCK_WORDS, words);
            if let Err(error) = written {
                self.give_back(&extents, maps);
                return Err(error);
            }
        }
        let id = TableId(self.next);
        self.next += 1;
        self.entries.insert(id, Entry { content, extents, placed, users: 1 });
        self.by_content.insert(content, id);
        Ok(id)
    }

    /// Where a table lies.
    pub(crate) fn placed(&self, id: TableId) -> Option<Placed> {
        Some(self.entries.get(&id)?.placed)
    }

    /// Reads a table back from where the programs see it.
    pub(crate) fn read(&self, id: TableId, maps: &impl Maps) -> Option<TableCopy> {
        let Entry { extents, placed, .. } = self.entries.get(&id)?;
        let mut segments = Vec::with_capacity(extents.len());
        for Extent { chunk, first, blocks } in extents {
            let (first, count) = (first * BLOCK_WORDS, blocks * BLOCK_WORDS);
            segments.push((chunk * CHUNK_WORDS + first, maps.read_chunk(*chunk, first, count)?));
        }
        let mut copy = TableCopy { base: placed.base, pages: vec![0], ..TableCopy::default() };
        let (pages, rules) = segments.first()?.1.split_at_checked(2 * placed.pages as usize)?;
        for page in pages.chunks_exact(2) {
            let &[word, count] = page else { continue };
            let rows = segments.iter().find_map(|(start, words)| {
                let from = word.checked_sub(*start)? as usize;
                words.get(from..from + count as usize)
            });
            copy.rows.extend_from_slice(rows?);
            copy.pages.push(copy.rows.len() as u32);
        }
        let rules = rules.chunks_exact(2).take(placed.rules as usize);
        copy.rules = rules.filter_map(|words| Some(rule_of(words.try_into().ok()?))).collect();
        Some(copy)
    }

    /// Counts one user more.
    pub(crate) fn retain(&mut self, id: TableId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.users += 1;
        }
    }

    /// Counts one user less, and takes a table without users away.
    pub(crate) fn release(&mut self, id: TableId, maps: &mut impl Maps) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.users -= 1;
        if entry.users == 0
            && let Some(entry) = self.entries.remove(&id)
        {
            self.by_content.remove(&entry.content);
            self.give_back(&entry.extents, maps);
        }
    }

    fn take(&mut self, layout: &Layout, maps: &mut impl Maps) -> Result<Vec<Extent>, Error> {
        let mut extents = Vec::new();
        for words in &layout.segments {
            let blocks = (words.len() as u32).div_ceil(BLOCK_WORDS);
            match self.take_blocks(blocks, maps) {
                Ok(extent) => extents.push(extent),
                Err(error) => {
                    self.give_back(&extents, maps);
                    return Err(error);
                }
            }
        }
        Ok(extents)
    }

    fn take_blocks(&mut self, blocks: u32, maps: &mut impl Maps) -> Result<Extent, Error> {
        for (&chunk, free) in &mut self.chunks {
            if let Some(first) = free.take(blocks) {
                return Ok(Extent { chunk, first, blocks });
            }
        }
        let Some(chunk) = (0..self.max_chunks).find(|number| !self.chunks.contains_key(number))
        else {
            let message = format!("unwind tables take {} MiB already", self.bytes() >> 20);
            return Err(Error::new(ErrorKind::Full, message));
        };
        maps.add_chunk(chunk)?;
        let free = self.chunks.entry(chunk).or_insert_with(|| Ranges::new(CHUNK_BLOCKS));
        let first = free.take(blocks).unwrap_or_default();
        Ok(Extent { chunk, first, blocks })
    }

    fn give_back(&mut self, extents: &[Extent], maps: &mut impl Maps) {
        for extent in extents {
            let Some(free) = self.chunks.get_mut(&extent.chunk) else { continue };
            free.give_back(extent.first, extent.blocks);
            if free.left() == CHUNK_BLOCKS {
                self.chunks.remove(&extent.chunk);
                maps.remove_chunk(extent.chunk);
            }
        }
    }
}

fn hash(table: &Table<'_>, hasher: &RandomState) -> u64 {
    let mut state = hasher.build_hasher();
    table.base.hash(&mut state);
    table.pages.hash(&mut state);
    table.rows.hash(&mut state);
    table.rules.hash(&mut state);
    state.finish()
}

/// The words of a table, in segments that must each lie in one chunk: page indexes and rules first,
/// then the rows, those of one page never apart.
struct Layout {
    segments: Vec<Vec<u32>>,
    /// The rows of each page: their segment, the first word in it, and how many.
    pages: Vec<(usize, u32, u32)>,
}

impl Layout {
    fn of(table: &Table<'_>) -> Result<Self, Error> {
        let page_count = table.pages.len().saturating_sub(1);
        let mut head = vec![0; 2 * page_count];
        head.extend(table.rules.iter().flat_map(|rule| rule_words(*rule)));
        if head.len() > CHUNK_WORDS as usize {
            let message = format!("an unwind table of {page_count} pages is too large");
            return Err(Error::new(ErrorKind::BadTable, message));
        }
        let mut layout = Self { segments: vec![head], pages: Vec::with_capacity(page_count) };
        for pair in table.pages.windows(2) {
            let range = pair[0] as usize..pair[1] as usize;
            // A page that ends beyond the rows, or before it begins, is one without.
            layout.add_page(table.rows.get(range).unwrap_or_default())?;
        }
        Ok(layout)
    }

    fn add_page(&mut self, rows: &[u32]) -> Result<(), Error> {
        if rows.len() > MAX_PAGE_ROWS {
            return Err(Error::new(
                ErrorKind::BadTable,
                "a page of an unwind table has more than 65,536 rows",
            ));
        }
        let full = |segment: &Vec<u32>| segment.len() + rows.len() > CHUNK_WORDS as usize;
        if self.segments.last().is_none_or(full) {
            self.segments.push(Vec::new());
        }
        let number = self.segments.len() - 1;
        let segment = &mut self.segments[number];
        self.pages.push((number, segment.len() as u32, rows.len() as u32));
        segment.extend_from_slice(rows);
        Ok(())
    }

    /// Writes down where the rows of each page came to lie.
    fn link(&mut self, extents: &[Extent], table: &Table<'_>) -> Placed {
        let starts: Vec<u32> = extents
            .iter()
            .map(|extent| extent.chunk * CHUNK_WORDS + extent.first * BLOCK_WORDS)
            .collect();
        let head = &mut self.segments[0];
        for (place, (segment, word, rows)) in head.chunks_exact_mut(2).zip(&self.pages) {
            place.copy_from_slice(&[starts[*segment] + word, *rows]);
        }
        let first_page = starts[0] / 2;
        Placed {
            base: table.base,
            first_page,
            pages: self.pages.len() as u32,
            first_rule: first_page + self.pages.len() as u32,
            rules: table.rules.len() as u32,
        }
    }
}

/// `struct rule` in `bpf/sample.h`.
fn rule_words(rule: Rule) -> [u32; 2] {
    let [fp_low, fp_high] = rule.fp.to_le_bytes();
    let [ra] = rule.ra.to_le_bytes();
    [u32::from_le_bytes([rule.cfa, ra, fp_low, fp_high]), rule.offset.cast_unsigned()]
}

fn rule_of([how, offset]: [u32; 2]) -> Rule {
    let [cfa, ra, fp_low, fp_high] = how.to_le_bytes();
    let fp = i16::from_le_bytes([fp_low, fp_high]);
    Rule { cfa, ra: i8::from_le_bytes([ra]), fp, offset: offset.cast_signed() }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
