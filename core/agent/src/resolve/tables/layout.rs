//! Writes a table, row by row in the order of addresses.

use hashbrown::HashMap;
use sondage_sampler::Rule;

use super::OwnedTable;
use crate::resolve::error::ResolveError;

/// The low bits of an address, which tell where in its page it lies.
const WITHIN_PAGE: u64 = 0xffff;

/// A table that is being written.
pub(super) struct Layout {
    /// How many pages it will have.
    pages: u64,
    table: OwnedTable,
    ids: HashMap<Rule, u32>,
    /// The rule from the last row on.
    current: Rule,
}

impl Layout {
    /// An empty table of so many pages of code from `base` on.
    pub(super) fn new(base: u64, pages: u64) -> Self {
        let table = OwnedTable { base, ..OwnedTable::default() };
        Self { pages, table, ids: HashMap::new(), current: Rule::default() }
    }

    /// How many rows the table has.
    pub(super) fn len(&self) -> usize {
        self.table.rows.len()
    }

    /// `rule` holds from `address` on, which is not below that of the last row, nor above the end
    /// of the last page.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub(super) fn push(&mut self, address: u64, rule: Rule) -> Result<(), ResolveError> {
        if rule == self.current {
            return Ok(());
        }
        let page = (address - self.table.base) >> 16;
        let low = address & WITHIN_PAGE;
        self.begin_pages(if low == 0 { page } else { page + 1 })?;
        self.current = rule;
        if low == 0 { self.begin_pages(page + 1) } else { self.push_row(low, rule) }
    }

    pub(super) fn finish(mut self) -> Result<OwnedTable, ResolveError> {
        self.begin_pages(self.pages)?;
        self.end_page();
        Ok(self.table)
    }

    /// Begins pages until there are `count`, or all. A page begins with the rule that holds already.
    fn begin_pages(&mut self, count: u64) -> Result<(), ResolveError> {
        while (self.table.pages.len() as u64) < count.min(self.pages) {
            self.end_page();
            self.push_row(0, self.current)?;
        }
        Ok(())
    }

    fn end_page(&mut self) {
        self.table.pages.push(u32::try_from(self.table.rows.len()).unwrap_or(u32::MAX));
    }

    fn push_row(&mut self, low: u64, rule: Rule) -> Result<(), ResolveError> {
        let rules = &mut self.table.rules;
        let id = *self.ids.entry(rule).or_insert_with(|| {
            // More than 65,535 distinct rules do not occur; if they did, those beyond would
            // share the last, "unsupported".
            if rules.len() >= usize::from(u16::MAX) {
                return u32::from(u16::MAX);
            }
            rules.push(rule);
            (rules.len() - 1) as u32
        });
        if id == u32::from(u16::MAX) && rules.len() == usize::from(u16::MAX) {
            rules.push(Rule { cfa: Rule::UNSUPPORTED, ..Rule::default() });
        }
        self.table.rows.push(low as u32 | id << 16)
    }
}
