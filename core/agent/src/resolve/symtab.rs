//! Names from a file's symbol table, for a batch of addresses, in one streaming pass.
//!
//! Nothing is kept of the table: memory is the batch and one chunk. A table of 400,000 symbols
//! (10 MB) is read in 160 chunks.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use object::LittleEndian;
use object::elf;

use super::clock::Clock;
use super::elf::Section;
use super::elf::items;
use super::error::ResolveError;
use super::image::Image;

const LE: LittleEndian = LittleEndian;
type Entry = elf::Sym64<LittleEndian>;

/// Symbols read at a time (24 bytes each).
const CHUNK: u64 = 2730;
/// The largest table that is read; librustc_driver's has 10 MB.
const MAX_TABLE: u64 = 256 << 20;
/// Strings that are read at once; librustc_driver's take 40 MB.
const MAX_STRINGS: u64 = 64 << 20;
/// The longest linkage name that is read.
const MAX_NAME: usize = 16 << 10;
/// How many aliases of one address are compared by name.
const MAX_ALIASES: usize = 8;

/// The symbol that covers an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its linkage name, without a version such as `@@GLIBC_2.14`.
    pub name: Arc<str>,
    /// Where it starts, in the file's own address space.
    pub address: u64,
    /// How many bytes it covers; 0 for a label, which covers what follows it in its section up to
    /// the next symbol.
    pub size: u64,
}

/// Finds the symbol of each address (in the file's own address space), in order, from `.symtab`
/// or else `.dynsym`. `None` where no symbol covers the address.
///
/// Of several symbols that cover an address, functions win over untyped ones, then the one that
/// starts last, then global over local over weak, then the shorter name, then the one that sorts
/// first. Labels without a size count only where nothing else covers the address.
///
/// # Errors
/// When the table or its strings lie outside the file, or take too long.
pub fn symbols_at(image: &Image, addresses: &[u64]) -> Result<Vec<Option<Symbol>>, ResolveError> {
    let Some(table) = table(image) else { return Ok(vec![None; addresses.len()]) };
    let mut sorted: Vec<u64> = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut search = Search::new(image.sections(), &sorted);
    let mut clock = Clock::start();
    each_entry(image, table, |symbol| search.offer(symbol, &mut clock))?;
    let found = search.finish();
    let names = Names { image, strings: image.sections().get(table.link as usize) };
    let symbols = names.read(&found)?;
    Ok(addresses
        .iter()
        .map(|address| sorted.binary_search(address).ok().and_then(|i| symbols[i].clone()))
        .collect())
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A function, or a part of one.
    Code,
    /// A variable.
    Data,
    /// All that have an address, those of thread-local variables among them.
    Any,
}

/// The symbols of this kind whose names `matches` takes, from `.symtab` or else `.dynsym`, in their
/// order.
///
/// # Errors
/// When the table or its strings lie outside the file, are larger than 64 MiB, or take too long.
pub(crate) fn symbols_named(
    image: &Image,
    named: Named,
    matches: &dyn Fn(&str) -> bool,
) -> Result<Vec<Symbol>, ResolveError> {
    let Some(table) = table(image) else { return Ok(Vec::new()) };
    let strings = image.sections().get(table.link as usize).filter(|strings| strings.has_bytes());
    let Some(strings) = strings else { return Ok(Vec::new()) };
    let strings = image.source.read(strings.offset, strings.size, MAX_STRINGS)?;
    let mut clock = Clock::start();
    let mut found = Vec::new();
    each_entry(image, table, |symbol| {
        clock.spend(1)?;
        let right = match named {
            Named::Code => names_code(symbol),
            Named::Data => symbol.st_type() == elf::STT_OBJECT,
            Named::Any => symbol.st_shndx.get(LE) != elf::SHN_UNDEF,
        };
        if !right {
            return Ok(());
        }
        let name = strings.get(symbol.st_name.get(LE) as usize..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if let Ok(name) = std::str::from_utf8(name)
            && matches(name)
        {
            let (address, size) = (symbol.st_value.get(LE), symbol.st_size.get(LE));
            found.push(Symbol { name: name.into(), address, size });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Every symbol of a file whose name `matches` takes, in the order of its table; the address of a
/// thread-local variable is its offset in the file's block of them.
///
/// # Errors
/// When the table or its strings lie outside the file, are larger than 64 MiB, or take too long.
pub fn symbols_matching(
    image: &Image,
    matches: &dyn Fn(&str) -> bool,
) -> Result<Vec<Symbol>, ResolveError> {
    symbols_named(image, Named::Any, matches)
}

/// Hands out the entries of a symbol table, read in chunks.
fn each_entry(
    image: &Image,
    table: &Section,
    mut take: impl FnMut(&Entry) -> Result<(), ResolveError>,
) -> Result<(), ResolveError> {
    let mut at = 0;
    let end = table.size.min(MAX_TABLE);
    let entry = size_of::<Entry>() as u64;
    while end - at >= entry {
        let size = (CHUNK * entry).min((end - at) / entry * entry);
        let bytes = image.source.read(table.offset.saturating_add(at), size, size)?;
        for symbol in items::<Entry>(&bytes)? {
            take(symbol)?;
        }
        at += size;
    }
    Ok(())
}

/// Whether the file has the full symbol table rather than only the dynamic one.
pub(crate) fn has_full_table(image: &Image) -> bool {
    table(image).is_some_and(|table| table.kind == elf::SHT_SYMTAB.0)
}

fn table(image: &Image) -> Option<&Section> {
    let of_kind = |kind: elf::SectionType| {
        image.sections().iter().find(|section| section.kind == kind.0 && section.size > 0)
    };
    of_kind(elf::SHT_SYMTAB).or_else(|| of_kind(elf::SHT_DYNSYM))
}

/// One symbol, and its aliases of the same standing.
#[derive(Clone, Debug)]
struct Candidate {
    address: u64,
    size: u64,
    section: u16,
    typed: bool,
    binding: u8,
    /// Where the names start in the string table, ascending.
    names: Vec<u32>,
}

impl Candidate {
    /// Ordered so that the smallest is the best.
    fn standing(&self) -> (bool, Reverse<u64>, u8) {
        (!self.typed, Reverse(self.address), self.binding)
    }

    fn new(symbol: &Entry) -> Self {
        let binding = match symbol.st_bind() {
            elf::STB_LOCAL => 1,
            elf::STB_WEAK => 2,
            _ => 0,
        };
        Self {
            address: symbol.st_value.get(LE),
            size: symbol.st_size.get(LE),
            section: symbol.st_shndx.get(LE).0,
            typed: is_function(symbol),
            binding,
            names: vec![symbol.st_name.get(LE)],
        }
    }

    fn join(best: &mut Option<Self>, other: &Self) {
        match best {
            Some(best) if best.standing() < other.standing() => {}
            Some(best) if best.standing() == other.standing() => {
                for name in &other.names {
                    if let Err(at) = best.names.binary_search(name) {
                        best.names.insert(at, *name);
                        best.names.truncate(MAX_ALIASES);
                    }
                }
            }
            _ => *best = Some(other.clone()),
        }
    }
}

fn is_function(symbol: &Entry) -> bool {
    let kind = symbol.st_type();
    kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC
}

fn names_code(symbol: &Entry) -> bool {
    let section = symbol.st_shndx.get(LE);
    (is_function(symbol) || symbol.st_type() == elf::STT_NOTYPE)
        && section != elf::SHN_UNDEF
        && section != elf::SHN_ABS
}

/// What is known about each address of the batch so far.
struct Search<'a> {
    sections: &'a [Section],
    /// Ascending, without duplicates.
    addresses: &'a [u64],
    /// The best symbol whose size covers the address.
    covering: Vec<Option<Candidate>>,
    /// Of the symbols that start after the previous address of the batch and not after this one:
    /// the last start, and the best label there.
    nearest: Vec<Option<u64>>,
    labels: Vec<Option<Candidate>>,
}

impl<'a> Search<'a> {
    fn new(sections: &'a [Section], addresses: &'a [u64]) -> Self {
        let count = addresses.len();
        let (covering, labels) = (vec![None; count], vec![None; count]);
        Self { sections, addresses, covering, nearest: vec![None; count], labels }
    }

    fn offer(&mut self, symbol: &Entry, clock: &mut Clock) -> Result<(), ResolveError> {
        let start = symbol.st_value.get(LE);
        let size = symbol.st_size.get(LE);
        let slot = self.addresses.partition_point(|&address| address < start);
        let Some(&first) = self.addresses.get(slot) else { return Ok(()) };
        if !names_code(symbol) {
            return Ok(());
        }
        self.nearest[slot] = self.nearest[slot].max(Some(start));
        if size == 0 {
            if self.nearest[slot] == Some(start) {
                Self::offer_label(&mut self.labels[slot], &Candidate::new(symbol));
            }
            return Ok(());
        }
        if first - start >= size {
            return Ok(());
        }
        let candidate = Candidate::new(symbol);
        for (address, best) in self.addresses[slot..].iter().zip(&mut self.covering[slot..]) {
            if address - start >= size {
                break;
            }
            clock.spend(1)?;
            Candidate::join(best, &candidate);
        }
        Ok(())
    }

    fn offer_label(best: &mut Option<Candidate>, label: &Candidate) {
        // Only the last label can hold: an earlier one ends where this one starts.
        match best {
            Some(current) if current.address > label.address => {}
            Some(current) if current.address < label.address => *best = Some(label.clone()),
            _ => Candidate::join(best, label),
        }
    }

    fn finish(mut self) -> Vec<Option<Candidate>> {
        let mut nearest = None;
        let mut label: Option<Candidate> = None;
        for (i, &address) in self.addresses.iter().enumerate() {
            nearest = self.nearest[i].or(nearest);
            label = self.labels[i].take().or(label);
            if self.covering[i].is_some() {
                continue;
            }
            self.covering[i] = label.clone().filter(|label| {
                let section = self.sections.get(usize::from(label.section));
                Some(label.address) == nearest
                    && section.is_some_and(|section| section.contains(address))
            });
        }
        self.covering
    }
}

/// The string table of a symbol table.
struct Names<'a> {
    image: &'a Image,
    strings: Option<&'a Section>,
}

impl Names<'_> {
    fn read(&self, found: &[Option<Candidate>]) -> Result<Vec<Option<Symbol>>, ResolveError> {
        let mut known: HashMap<&[u32], Option<Arc<str>>> = HashMap::new();
        let mut symbols = Vec::with_capacity(found.len());
        for candidate in found {
            let Some(candidate) = candidate else {
                symbols.push(None);
                continue;
            };
            let name = match known.get(candidate.names.as_slice()) {
                Some(name) => name.clone(),
                None => {
                    let name = self.best(&candidate.names)?;
                    known.insert(&candidate.names, name.clone());
                    name
                }
            };
            let (address, size) = (candidate.address, candidate.size);
            symbols.push(name.map(|name| Symbol { name, address, size }));
        }
        Ok(symbols)
    }

    fn best(&self, names: &[u32]) -> Result<Option<Arc<str>>, ResolveError> {
        let mut best: Option<String> = None;
        for &name in names {
            let Some(name) = self.one(name)? else { continue };
            let key = |name: &str| (name.len(), name.to_owned());
            if best.as_ref().is_none_or(|best| key(&name) < key(best)) {
                best = Some(name);
            }
        }
        Ok(best.map(Arc::from))
    }

    fn one(&self, name: u32) -> Result<Option<String>, ResolveError> {
        let Some(strings) = self.strings.filter(|strings| strings.has_bytes()) else {
            return Ok(None);
        };
        if u64::from(name) >= strings.size {
            return Ok(None);
        }
        let offset = strings.offset.saturating_add(u64::from(name));
        let end = strings.offset.saturating_add(strings.size);
        let text = self.image.source.read_string(offset, end, MAX_NAME)?;
        let text = String::from_utf8_lossy(&text);
        let plain = match text.find('@') {
            Some(at) if at > 0 => &text[..at],
            _ => &text,
        };
        // `$x` and `$d` mark code and data on Arm, they name nothing.
        Ok((!plain.is_empty() && !plain.starts_with('$')).then(|| plain.to_owned()))
    }
}
