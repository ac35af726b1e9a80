//! Code that a runtime made at run time, with its lines, as `jit-PID.dump` tells: perf's format
//! (`tools/perf/Documentation/jitdump-specification.txt` of Linux).

use super::clock::Clock;
use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::mappings::Mappings;
use super::maps::MapLine;
use super::names;
use super::owner::Owner;
use super::reach::Proof;
use super::reach::Reach;
use super::source::FileIdentity;
use super::source::Source;
use super::symbols::Resolved;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Pieces of code that are known in all dumps together, about 16 MiB, and in one.
const MAX_CODES: usize = 256 << 10;
const MAX_CODES_EACH: usize = MAX_CODES / 2;
/// A dump that tells of nothing counts as so many.
const LEAST_CODES: usize = 64;
/// Time to read on in one dump; the rest is read the next time.
const LIMIT: Duration = Duration::from_secs(1);
/// Bytes of the lines of one piece of code; one with more has none.
const MAX_LINES: u64 = 1 << 20;

const HEADER: usize = 40;
/// What is read of a record: the longest has so many bytes before its texts.
const RECORD: u64 = 64;
/// What all records begin with.
const PREFIX: u64 = 16;
/// What stands before a load's name, and before the lines.
const LOAD: u64 = 56;
const LINES: u64 = 32;
/// V8 marks its dumps by this, and writes addresses of lines as they will be in an ELF file that
/// begins with its header (`kElfHeaderSize` in `perf-jit.cc`).
const V8: u32 = 0xdead_beef;
const V8_SHIFT: u64 = 64;

/// A page of a dump that the process has mapped, for others to find the file.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    path: PathBuf,
    identity: FileIdentity,
    range: std::ops::Range<u64>,
}

impl Marker {
    /// `/any/folder/jit-1234.dump`, executable.
    pub(super) fn of(line: &MapLine<'_>) -> Option<Self> {
        let path = Path::new(line.name.trim_end_matches(" (deleted)"));
        let name = path.file_name()?.to_str()?;
        let number = name.strip_prefix("jit-")?.strip_suffix(".dump")?;
        let is_one = line.executable && number.bytes().all(|byte| byte.is_ascii_digit());
        let identity = line.identity.filter(|_| is_one && !number.is_empty())?;
        Some(Self { path: path.to_owned(), identity, range: line.range.clone() })
    }

    /// Opens the mapped file, which has to belong to the process' user.
    fn open(&self, pid: u32) -> Result<Source, ResolveError> {
        let reach = Reach { pid, range: self.range.clone(), held: None };
        let (source, proof) = reach.open(&self.path, Some(self.identity))?;
        if proof != Proof::File {
            let message = "nothing shows that this file is the one that is mapped";
            return Err(ResolveError::new(ResolveErrorKind::Replaced, message));
        }
        Owner::of(&pid.to_string())?.check(&source, &self.path)?;
        Ok(source)
    }
}

/// What was read of dumps; the least recently used is read again from its start.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    known: HashMap<FileIdentity, Dump>,
    round: u64,
}

impl Dumps {
    /// Finds the functions at addresses of a process, and the last thing that could not be read.
    pub(super) fn resolve(
        &mut self,
        mappings: &Mappings,
        addresses: &[u64],
    ) -> (Vec<Resolved>, Option<ResolveError>) {
        let mut found = vec![Resolved::default(); addresses.len()];
        let mut last_error = None;
        let (pid, markers) = mappings.dumps();
        for marker in markers {
            if let Err(error) = self.resolve_by(marker, pid, addresses, &mut found) {
                last_error = Some(error.about(&marker.path.to_string_lossy()));
            }
        }
        (found, last_error)
    }

    fn resolve_by(
        &mut self,
        marker: &Marker,
        pid: u32,
        addresses: &[u64],
        found: &mut [Resolved],
    ) -> Result<(), ResolveError> {
        let source = marker.open(pid)?;
        self.round += 1;
        let dump = self.known.entry(marker.identity).or_default();
        dump.used = self.round;
        let read = dump.read_on(&source, &mut Clock::with_limit(LIMIT));
        let named = dump.resolve(&source, addresses, found, &mut Clock::with_limit(LIMIT));
        self.make_room();
        read.and(named)
    }

    fn make_room(&mut self) {
        while self.known.values().map(Dump::weight).sum::<usize>() > MAX_CODES {
            let Some(oldest) = self.known.values().map(|dump| dump.used).min() else { return };
            self.known.retain(|_, dump| dump.used != oldest);
        }
    }
}

/// Where the code of one dump lies; names and lines are read when they are asked for.
#[derive(Debug, Default)]
struct Dump {
    header: Option<[u8; HEADER]>,
    /// The first record that was not read.
    at: u64,
    /// By first address.
    codes: BTreeMap<u64, Code>,
    /// The code that the last lines are of, and where they stand.
    lines: Option<(u64, NonZeroU64)>,
    used: u64,
}

/// A piece of code, or what is left of it where other code took its place.
#[derive(Clone, Copy, Debug)]
struct Code {
    end: u64,
    /// Where its first byte lies, or lay.
    base: u64,
    /// The record that loads it.
    load: u64,
    /// The record with its lines.
    lines: Option<NonZeroU64>,
}

impl Dump {
    fn weight(&self) -> usize {
        self.codes.len() + LEAST_CODES
    }

    /// Reads the records that were written since the last time.
    fn read_on(&mut self, source: &Source, clock: &mut Clock) -> Result<(), ResolveError> {
        if source.len() < HEADER as u64 {
            return Ok(());
        }
        let mut header = [0; HEADER];
        source.read_at(0, &mut header)?;
        if self.header != Some(header) || self.at > source.len() {
            // Another file of the same number, or written anew.
            *self = Self { used: self.used, ..Self::default() };
            self.at = first_record(&header)?;
            self.header = Some(header);
        }
        while source.len().saturating_sub(self.at) >= PREFIX {
            let mut record = [0; RECORD as usize];
            let there = RECORD.min(source.len() - self.at);
            source.read_at(self.at, &mut record[..there as usize])?;
            let (kind, size) = (u32_at(&record, 0), u64::from(u32_at(&record, 4)));
            if size < PREFIX {
                return Err(ResolveError::malformed(format!(
                    "the record at offset {} has {size} bytes",
                    self.at
                )));
            }
            if size > source.len() - self.at {
                break;
            }
            record[size.min(RECORD) as usize..].fill(0);
            self.take(kind, &record);
            self.at += size;
            clock.spend(8)?;
        }
        Ok(())
    }

    fn take(&mut self, kind: u32, record: &[u8]) {
        let word = |at| u64_at(record, at);
        match kind {
            // Load: process, thread, address, address of the code, size, number.
            0 => {
                let (base, size) = (word(32), word(40));
                let lines = self.lines.take_if(|(of, _)| *of == base).map(|(_, at)| at);
                self.put(size, Code { end: 0, base, load: self.at, lines });
            }
            // Move: process, thread, address, old and new address of the code, size, number.
            1 => {
                if let Some(code) =
                    self.codes.remove(&word(32)).filter(|code| code.base == word(32))
                {
                    self.put(word(48), Code { base: word(40), ..code });
                }
            }
            // Lines, which stand before their load.
            2 => self.lines = NonZeroU64::new(self.at).map(|at| (word(16), at)),
            // The end, unwinding information, and what is not known.
            _ => {}
        }
    }

    /// Puts code in the place of what was there.
    fn put(&mut self, size: u64, code: Code) {
        let start = code.base;
        let Some(end) = start.checked_add(size).filter(|end| *end > start) else { return };
        if let Some((_, before)) = self.codes.range_mut(..start).next_back()
            && before.end > start
        {
            let rest = *before;
            before.end = start;
            if rest.end > end {
                self.codes.insert(end, rest);
            }
        }
        while let Some((&at, &old)) = self.codes.range(start..end).next() {
            self.codes.remove(&at);
            if old.end > end {
                self.codes.insert(end, old);
            }
        }
        self.codes.insert(start, Code { end, ..code });
        if self.codes.len() > MAX_CODES_EACH {
            let mut loads: Vec<u64> = self.codes.values().map(|code| code.load).collect();
            let middle = loads.len() / 2;
            let middle = *loads.select_nth_unstable(middle).1;
            self.codes.retain(|_, code| code.load > middle);
        }
    }

    /// Finds the functions at addresses that have none yet.
    fn resolve(
        &self,
        source: &Source,
        addresses: &[u64],
        found: &mut [Resolved],
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let mut last: Option<(u64, Function)> = None;
        for (address, found) in addresses.iter().zip(found) {
            let code = self.codes.range(..=address).next_back().map(|(_, code)| code);
            let Some(code) = code.filter(|code| *address < code.end) else { continue };
            if !found.frames.is_empty() {
                continue;
            }
            let function = match last.take().filter(|(load, _)| *load == code.load) {
                Some((_, function)) => function,
                None => self.function(source, code, clock)?,
            };
            if !function.name.is_empty() {
                let place = function.place(address.wrapping_sub(code.base));
                *found = Resolved::written_down(function.name.clone(), place);
            }
            last = Some((code.load, function));
        }
        Ok(())
    }

    fn function(
        &self,
        source: &Source,
        code: &Code,
        clock: &mut Clock,
    ) -> Result<Function, ResolveError> {
        clock.check()?;
        let mut record = [0; LOAD as usize];
        source.read_at(code.load, &mut record)?;
        let end = code.load.saturating_add(u32_at(&record, 4).into());
        let name = source.read_string(code.load + LOAD, end, names::MAX_NAME + 1)?;
        let name = names::bounded(&String::from_utf8_lossy(&name)).into();
        let is_v8 = self.header.is_some_and(|header| u32_at(&header, 16) == V8);
        let base = u64_at(&record, 32).wrapping_add(if is_v8 { V8_SHIFT } else { 0 });
        let lines = match code.lines {
            Some(at) => read_lines(source, at.get(), base).ok().flatten(),
            None => None,
        };
        Ok(Function { name, lines: lines.unwrap_or_default() })
    }
}

/// A function's name, and the lines of its code in order.
struct Function {
    name: Arc<str>,
    lines: Vec<Line>,
}

/// From this offset on the code is of this line.
struct Line {
    offset: u64,
    line: u32,
    file: Arc<str>,
}

impl Function {
    fn place(&self, offset: u64) -> Option<(Arc<str>, Option<u32>)> {
        let after = self.lines.partition_point(|line| line.offset <= offset);
        let line = self.lines[..after].last()?;
        Some((line.file.clone(), Some(line.line).filter(|line| *line > 0)))
    }
}

/// The record's lines. `None` where it is not what it says: V8 (11.3 and 13.6) writes some names of
/// files from memory that it has freed.
fn read_lines(source: &Source, at: u64, base: u64) -> Result<Option<Vec<Line>>, ResolveError> {
    let mut record = [0; LINES as usize];
    source.read_at(at, &mut record)?;
    let size = u64::from(u32_at(&record, 4)).saturating_sub(LINES);
    let bytes = source.read(at + LINES, size, MAX_LINES)?;
    Ok(parse_lines(&bytes, u64_at(&record, 24), base))
}

fn parse_lines(mut bytes: &[u8], count: u64, base: u64) -> Option<Vec<Line>> {
    const NUMBERS: usize = 16;
    let mut lines: Vec<Line> = Vec::new();
    for _ in 0..count {
        let (numbers, text) = bytes.split_at_checked(NUMBERS)?;
        let end = text.iter().position(|&byte| byte == 0)?;
        let name = &text[..end];
        bytes = &text[end + 1..];
        let file = match lines.last() {
            Some(last) if name == b"\xff" || name == last.file.as_bytes() => last.file.clone(),
            _ => Arc::from(plain(name)?),
        };
        let offset = u64_at(numbers, 0).checked_sub(base)?;
        lines.push(Line { offset, line: u32_at(numbers, 8), file });
    }
    // Of lines at one address the last counts.
    lines.sort_by_key(|line| line.offset);
    (bytes.len() < 8).then_some(lines)
}

/// A path as it is in a dump that was written well.
fn plain(name: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(name).ok().filter(|text| text.len() <= names::MAX_NAME)?;
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// Where the records begin.
fn first_record(header: &[u8; HEADER]) -> Result<u64, ResolveError> {
    let size = u32_at(header, 8);
    match (&header[..4], u32_at(header, 4)) {
        (b"DTiJ", 1) if size >= HEADER as u32 => Ok(size.into()),
        (b"DTiJ", 1) => Err(ResolveError::malformed(format!("the header has {size} bytes"))),
        (b"DTiJ", version) => {
            Err(ResolveError::malformed(format!("version {version} of the format is not known")))
        }
        (b"JiTD", _) => Err(ResolveError::malformed("a dump of a big-endian machine")),
        _ => Err(ResolveError::malformed("not a jitdump")),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
#[path = "jitdump_tests.rs"]
mod tests;
