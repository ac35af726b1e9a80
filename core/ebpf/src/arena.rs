//! The unwind tables of all modules, one after the other in three BPF maps.

use crate::column::Column;
use crate::error::{Error, ErrorKind};
use sondage_sampler::{Rule, Table};
use std::ops::Range;

/// A rule is two words in its map, as `struct rule` in `bpf/sample.h`.
pub(crate) const RULE_WORDS: usize = 2;

/// The words that tables take in each map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) pages: usize,
    pub(crate) rules: usize,
}

impl Size {
    pub(crate) fn of(table: &Table<'_>) -> Self {
        Self {
            rows: table.rows.len(),
            pages: table.pages.len(),
            rules: table.rules.len() * RULE_WORDS,
        }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            pages: self.pages + other.pages,
            rules: self.rules + other.rules,
        }
    }

    /// Room for tables not seen yet, given how many rows they may have: a quarter as many words
    /// for page indexes (every page has a row) and for rules (libc's 28,000 rows use 300).
    pub(crate) fn spare(rows: usize) -> Self {
        Self { rows, pages: rows / 4, rules: rows / 4 }
    }
}

/// Where a table lies: ranges of words in the three maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) base: u64,
    pub(crate) rows: Range<usize>,
    pub(crate) pages: Range<usize>,
    pub(crate) rules: Range<usize>,
}

/// The tables that the program can see. They are never removed, so a program that runs while the
/// module list changes reads nothing that moves; a table that is there already is used again.
#[derive(Debug)]
pub(crate) struct Arena {
    rows: Column,
    pages: Column,
    rules: Column,
    placed: Vec<Placed>,
}

impl Arena {
    pub(crate) fn new(rows: Column, pages: Column, rules: Column) -> Self {
        Self { rows, pages, rules, placed: Vec::new() }
    }

    /// Puts a table into the maps, unless it lies there already, and tells where.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] or [`ErrorKind::BadTable`]; nothing was written.
    pub(crate) fn place(&mut self, table: &Table<'_>) -> Result<Placed, Error> {
        check(table)?;
        if let Some(placed) = self.placed.iter().find(|placed| self.is_at(placed, table)) {
            return Ok(placed.clone());
        }
        let need = Size::of(table);
        if need.rows > self.rows.free()
            || need.pages > self.pages.free()
            || need.rules > self.rules.free()
        {
            let message = format!("no room for an unwind table of {} rows", need.rows);
            return Err(Error::new(ErrorKind::Full, message));
        }
        let rules: Vec<u32> = rule_words(table.rules).collect();
        let placed = Placed {
            base: table.base,
            rows: self.rows.append(table.rows.iter().copied())?,
            pages: self.pages.append(table.pages.iter().copied())?,
            rules: self.rules.append(rules.into_iter())?,
        };
        self.placed.push(placed.clone());
        Ok(placed)
    }

    fn is_at(&self, placed: &Placed, table: &Table<'_>) -> bool {
        placed.base == table.base
            && self.rows.holds(&placed.rows, table.rows.iter().copied())
            && self.pages.holds(&placed.pages, table.pages.iter().copied())
            && self.rules.holds(&placed.rules, rule_words(table.rules))
    }
}

fn rule_words(rules: &[Rule]) -> impl Iterator<Item = u32> + '_ {
    rules.iter().flat_map(|rule| {
        let [fp_low, fp_high] = rule.fp.to_le_bytes();
        let [ra] = rule.ra.to_le_bytes();
        let offset = u32::from_le_bytes(rule.offset.to_le_bytes());
        [u32::from_le_bytes([rule.cfa, ra, fp_low, fp_high]), offset]
    })
}

/// A page is at most 65,536 rows: the program's search has that many rounds.
const MAX_PAGE_ROWS: u32 = 1 << 16;

/// Refuses what the program would read differently from the walker in Rust. Both take a page
/// that ends beyond the rows as one without rules.
fn check(table: &Table<'_>) -> Result<(), Error> {
    let too_long = table.pages.windows(2).any(|pair| match pair {
        [first, end] => {
            *end as usize <= table.rows.len() && end.saturating_sub(*first) > MAX_PAGE_ROWS
        }
        _ => false,
    });
    if too_long {
        return Err(Error::new(
            ErrorKind::BadTable,
            "a page of an unwind table has more than 65,536 rows",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SharedWords;
    use std::fs;
    use std::os::fd::AsFd;

    const RULES: [Rule; 2] =
        [Rule { cfa: 1, ra: -1, fp: -2, offset: -3 }, Rule { cfa: 0, ra: 0, fp: 0, offset: 0 }];

    /// A file stands in for each map: what matters is memory that can be mapped.
    fn column(name: &'static str, words: usize) -> Column {
        let path = std::env::temp_dir().join(format!("sondage-{name}-{}", std::process::id()));
        let file = fs::File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        file.set_len(4 * words as u64).unwrap();
        fs::remove_file(path).unwrap();
        Column::new(name, SharedWords::map(file.as_fd(), words).unwrap())
    }

    #[test]
    fn a_table_is_stored_once_and_a_table_too_many_changes_nothing() {
        let mut arena = Arena::new(column("rows", 8), column("pages", 8), column("rules", 8));
        let first = Table { base: 0, pages: &[0, 3], rows: &[0, 1, 2], rules: &RULES };
        let second = Table { rows: &[0, 1, 3], ..first };
        let placed = arena.place(&first).unwrap();
        assert_eq!((placed.rows.clone(), placed.pages.clone()), (0..3, 0..2));
        let words = [0xfffe_ff01, 0xffff_fffd, 0, 0];
        assert!(arena.rules.holds(&placed.rules, words.into_iter()), "as `struct rule`");
        assert_eq!(arena.place(&second).unwrap().rows, 3..6);
        assert_eq!(arena.place(&first).unwrap(), placed);
        let third = Table { rows: &[0, 1, 4], ..first };
        assert_eq!(arena.place(&third).unwrap_err().kind(), ErrorKind::Full);
        assert_eq!((arena.rows.free(), arena.pages.free(), arena.rules.free()), (2, 4, 0));
        assert_eq!(arena.place(&second).unwrap().rows, 3..6);
    }

    #[test]
    fn a_page_with_more_rows_than_addresses_is_refused() {
        let mut arena = Arena::new(column("rows2", 8), column("pages2", 8), column("rules2", 8));
        let table = Table { base: 0, pages: &[0, 65_537], rows: &[0; 65_537], rules: &[] };
        assert_eq!(arena.place(&table).unwrap_err().kind(), ErrorKind::BadTable);
    }
}
