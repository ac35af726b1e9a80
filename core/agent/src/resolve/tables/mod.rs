//! Builds the sampler's compact unwind tables from `.eh_frame`, the linker's stubs and the tables of
//! Go programs.
//!
//! Pure computation over bytes that were read from a file and may be anything: a function whose
//! unwind information is damaged is left out and counted, the others are kept.

use sondage_sampler::{Rule, Table};
use std::ops::Range;

use super::array::Array;
use super::error::ResolveError;
use super::go::Unwinding;
use super::image::Image;
use super::stubs;
use functions::{Entries, Function, Origin, PlainFunction};
use layout::Layout;

mod functions;
mod layout;
mod quick;
mod rule;

pub(super) use rule::UNSUPPORTED;

type Bytes<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;

/// Rows beyond this are not built (about 100 times the largest library measured).
const MAX_ROWS: usize = 64 << 20;

/// `.eh_frame` beyond this size is never read.
pub(super) const MAX_EH_FRAME: u64 = 128 << 20;

/// Code pages of one table: 4 GiB of code.
const MAX_PAGES: u64 = 1 << 16;

/// A table that owns its arrays; see [`Table`] for their meaning.
#[derive(Debug, Default)]
pub struct OwnedTable {
    base: u64,
    pages: Vec<u32>,
    rows: Array<u32>,
    rules: Vec<Rule>,
    /// Functions left out because their unwind information is damaged.
    pub damaged: usize,
    /// Rows that the compact form cannot express.
    pub unsupported: usize,
}

/// Where unwind information lies and what it describes, in addresses of the file.
struct Input<'a> {
    eh_frame: &'a [u8],
    eh_frame_address: u64,
    /// Few producers refer to it; 0 where the file has none.
    text_address: u64,
    /// The executable segments, from the first address to one past the last.
    code: Range<u64>,
    /// The linker's stubs, with the address of each section.
    stubs: Vec<(u64, &'a [u8])>,
    /// The code of a Go program, of which `.eh_frame` says nothing.
    go: Option<Unwinding<'a>>,
}

impl OwnedTable {
    /// Builds the table of a module: about 0.1 µs a row, 2 ms for libc. Returns `None` when the
    /// file describes none of its code.
    ///
    /// # Errors
    /// Where `.eh_frame` cannot be read or is larger than 128 MiB.
    pub fn build(image: &Image) -> Result<Option<Self>, ResolveError> {
        let address = |name| image.section(name).map_or(0, |section| section.address);
        let eh_frame = image.section_bytes(".eh_frame", MAX_EH_FRAME)?;
        let go = Unwinding::read(image)?;
        if eh_frame.is_none() && go.is_none() {
            return Ok(None);
        }
        let eh_frame = eh_frame.unwrap_or_default();
        let code = image.load_segments().filter(|segment| segment.is_executable());
        let code = code.map(|it| it.address..it.address.saturating_add(it.memory_size));
        let code = code.reduce(|all, it| all.start.min(it.start)..all.end.max(it.end));
        let Some(code) = code else { return Ok(None) };
        let stubs = stubs::SECTIONS.into_iter().filter_map(|name| {
            let bytes = image.section_bytes(name, stubs::MAX_SECTION).ok()??;
            Some((address(name), bytes))
        });
        let stubs: Vec<_> = stubs.collect();
        Self::from_input(&Input {
            eh_frame: &eh_frame,
            eh_frame_address: address(".eh_frame"),
            text_address: address(".text"),
            code,
            stubs: stubs.iter().map(|(address, bytes)| (*address, &**bytes)).collect(),
            go,
        })
    }

    fn from_input(input: &Input<'_>) -> Result<Option<Self>, ResolveError> {
        let base = input.code.start & !0xffff;
        let pages = input.code.end.saturating_sub(base).div_ceil(1 << 16);
        if pages == 0 || pages > MAX_PAGES {
            return Ok(None);
        }
        let mut entries = Entries::new(input);
        let (mut functions, damaged) = entries.functions(input)?;
        let mut reader = Reader { entries, input, damaged, unsupported: 0 };
        reader.put_go(&mut functions)?;
        reader.put_stubs(&mut functions)?;
        functions.sort_unstable();
        let mut layout = Layout::new(base, pages);
        let mut last = Read::default();
        let mut next = Read::default();
        for function in functions.iter().map(|it| Function::of(*it)) {
            if layout.len() >= MAX_ROWS {
                break;
            }
            if reader.read(&function, &mut next) {
                last.write(&mut layout, next.code.start)?;
                std::mem::swap(&mut last, &mut next);
            }
        }
        if last.rows.is_empty() {
            return Ok(None);
        }
        last.write(&mut layout, u64::MAX)?;
        let mut table = layout.finish()?;
        table.damaged = reader.damaged;
        table.unsupported = reader.unsupported;
        Ok(Some(table))
    }

    /// The view that the sampler copies.
    pub fn as_table(&self) -> Table<'_> {
        Table { base: self.base, pages: &self.pages, rows: &self.rows, rules: &self.rules }
    }
}

/// A function's code and the rows of it.
#[derive(Default)]
struct Read {
    code: Range<u64>,
    rows: Vec<(u64, Rule)>,
}

impl Read {
    /// Writes the rows below `next`, where other code begins that is described, and marks a gap
    /// before it.
    fn write(&self, layout: &mut Layout, next: u64) -> Result<(), ResolveError> {
        let end = self.code.end.min(next);
        for &(address, rule) in self.rows.iter().take_while(|row| row.0 < end) {
            layout.push(address, rule)?;
        }
        if end < next {
            layout.push(end, Rule::default())?;
        }
        Ok(())
    }
}

/// Reads the rows of functions, and counts what it cannot.
struct Reader<'a> {
    entries: Entries<'a>,
    input: &'a Input<'a>,
    damaged: usize,
    unsupported: usize,
}

impl Reader<'_> {
    /// Reads a function into `into`; `false` where it is damaged.
    fn read(&mut self, function: &Function, into: &mut Read) -> bool {
        into.code = function.code.clone();
        match function.from {
            Origin::Entry(offset) => {
                if self.entries.rows(offset, &mut into.rows).is_err() {
                    self.damaged += 1;
                    return false;
                }
                if into.rows.iter().all(|row| row.1.cfa == Rule::SIGNAL) {
                    // A thread that is in its system call has not come to the next instruction,
                    // which is none of the trampoline's.
                    into.code.end = (into.code.end + 1).min(self.input.code.end);
                }
            }
            Origin::Nothing => return false,
            Origin::Stubs(number) => {
                let (address, code) = self.input.stubs[number];
                into.rows = stubs::rows(code, address);
            }
            Origin::Go(number) => {
                let go = self.input.go.as_ref();
                if !go.is_some_and(|go| go.rows(number, &mut into.rows)) {
                    // C code that Go's linker has put into the program.
                    return false;
                }
            }
        }
        let is_unsupported = |row: &&(u64, Rule)| row.1.cfa == Rule::UNSUPPORTED;
        self.unsupported += into.rows.iter().filter(is_unsupported).count();
        !into.rows.is_empty()
    }

    /// Adds the functions of a Go program.
    fn put_go(&self, functions: &mut Array<PlainFunction>) -> Result<(), ResolveError> {
        let Some(go) = &self.input.go else { return Ok(()) };
        for (number, code) in (0..go.len()).filter_map(|it| Some((it, go.code(it)?))) {
            if self.input.code.start <= code.start && code.end <= self.input.code.end {
                functions.push(Function { code, from: Origin::Go(number) }.plain())?;
            }
        }
        Ok(())
    }

    /// Adds the stubs that `.eh_frame` says nothing about, or nothing that the compact form can
    /// express; then in place of what it says.
    fn put_stubs(&mut self, functions: &mut Array<PlainFunction>) -> Result<(), ResolveError> {
        for (number, &(start, bytes)) in self.input.stubs.iter().enumerate() {
            let code = start..start.saturating_add(bytes.len() as u64);
            let inside = self.input.code.start <= start && code.end <= self.input.code.end;
            if !inside || self.understands(functions, &code) {
                continue;
            }
            for plain in functions.iter_mut() {
                if Function::of(*plain).overlaps(&code) {
                    *plain = Function { code: code.clone(), from: Origin::Nothing }.plain();
                }
            }
            functions.push(Function { code, from: Origin::Stubs(number) }.plain())?;
        }
        Ok(())
    }

    /// Whether functions describe some of this code, and every row of them in it is one that the
    /// compact form can express.
    fn understands(&mut self, functions: &[PlainFunction], code: &Range<u64>) -> bool {
        let mut rows = Vec::new();
        let mut described = false;
        for function in functions.iter().map(|it| Function::of(*it)) {
            let Origin::Entry(offset) = function.from else { continue };
            if !function.overlaps(code) || self.entries.rows(offset, &mut rows).is_err() {
                continue;
            }
            described = true;
            let unsupported =
                |it: &(u64, Rule)| code.contains(&it.0) && it.1.cfa == Rule::UNSUPPORTED;
            if rows.iter().any(unsupported) {
                return false;
            }
        }
        described
    }
}
