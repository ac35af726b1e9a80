//! Which source line an address comes from: one pass over a unit's line program.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::AttributeValue;

use super::clock::Clock;
use super::dwarf::SourceLine;
use super::dwarf::UnitRef;
use super::dwarf::damaged;
use super::error::ResolveError;
use super::paged::Reader;
use super::strings;

/// The longest source path that is kept, in bytes; a longer one is left out.
const MAX_PATH: usize = 4096;

/// The line program of one unit, and the paths of the files it names.
pub(crate) struct Lines<'a, 'd> {
    unit: UnitRef<'a, 'd>,
    directory: Option<String>,
    paths: HashMap<u64, Option<Arc<str>>>,
}

/// A stretch of code that comes from one line.
#[derive(Clone, Copy)]
struct Row {
    start: u64,
    file: u64,
    line: Option<u32>,
}

impl<'a, 'd> Lines<'a, 'd> {
    pub(crate) fn new(unit: UnitRef<'a, 'd>) -> Self {
        Self { unit, directory: None, paths: HashMap::new() }
    }

    /// The place of each of `addresses` (ascending, distinct).
    pub(crate) fn places_at(
        &mut self,
        addresses: &[u64],
        clock: &mut Clock,
    ) -> Result<Vec<SourceLine>, ResolveError> {
        let mut rows: Vec<Option<Row>> = vec![None; addresses.len()];
        let mut missing = addresses.len();
        if let Some(program) = self.unit.line_program.clone() {
            let mut program = program.rows();
            let mut last: Option<Row> = None;
            while missing > 0
                && let Some((_, row)) = program.next_row().map_err(damaged)?
            {
                clock.spend(1)?;
                if let Some(last) = last {
                    missing -= fill(&mut rows, addresses, last, row.address());
                }
                let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
                let next = Row { start: row.address(), file: row.file_index(), line };
                last = (!row.end_sequence()).then_some(next);
            }
        }
        let place = |row: Option<Row>| {
            row.map(|row| self.place(Some(row.file), row.line)).unwrap_or_default()
        };
        Ok(rows.into_iter().map(place).collect())
    }

    /// A place given as the unit's entries give it.
    pub(crate) fn place(&mut self, file: Option<u64>, line: Option<u32>) -> SourceLine {
        let file = file.and_then(|file| {
            if let Some(path) = self.paths.get(&file) {
                return path.clone();
            }
            let path = self.path(file);
            self.paths.insert(file, path.clone());
            path
        });
        SourceLine { file, line }
    }

    /// Renders the path of a file: compilation directory, include directory, name, as far as each
    /// is relative.
    fn path(&mut self, file: u64) -> Option<Arc<str>> {
        let header = self.unit.line_program.as_ref()?.header();
        let entry = header.file(file)?;
        let mut path = self.compilation_directory().to_owned();
        // Directory 0 is the compilation directory.
        if entry.directory_index() != 0
            && let Some(directory) = entry.directory(header)
            && let Some(directory) = self.text(directory)
        {
            push(&mut path, &directory);
        }
        push(&mut path, &self.text(entry.path_name())?);
        (path.len() <= MAX_PATH).then(|| Arc::from(path))
    }

    fn compilation_directory(&mut self) -> &str {
        if self.directory.is_none() {
            let root = self.unit.entry(self.unit.header.root_offset()).ok();
            let value = root.and_then(|root| root.attr_value(gimli::DW_AT_comp_dir));
            self.directory = Some(value.and_then(|value| self.text(value)).unwrap_or_default());
        }
        self.directory.as_deref().unwrap_or_default()
    }

    fn text(&self, value: AttributeValue<Reader<'d>>) -> Option<String> {
        // One byte more than fits, so that a path too long is seen as such.
        strings::read(self.unit, value, MAX_PATH + 1)
    }
}

/// Gives the addresses from `row` up to `end` that place, where they have none; returns how many
/// got it.
fn fill(rows: &mut [Option<Row>], addresses: &[u64], row: Row, end: u64) -> usize {
    if row.start >= end {
        return 0;
    }
    let mut filled = 0;
    let first = addresses.partition_point(|&address| address < row.start);
    for (address, slot) in addresses.iter().zip(rows).skip(first) {
        if *address >= end {
            break;
        }
        if slot.is_none() {
            *slot = Some(row);
            filled += 1;
        }
    }
    filled
}

fn push(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}
