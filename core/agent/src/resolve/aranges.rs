//! Which units hold the addresses of a batch, by `.debug_aranges`.

use std::collections::HashMap;

use super::clock::Clock;
use super::dwarf::Dwarf;
use super::error::ResolveError;

/// What `.debug_aranges` tells: for each unit in it, whether an address of the batch lies in it.
///
/// Producers describe a unit whole or not at all (clang leaves the section out, rustc and gcc
/// write it), so a unit that is there without an address need not be read.
#[derive(Default)]
pub(crate) struct Aranges {
    units: HashMap<usize, bool>,
}

impl Aranges {
    /// Compares the ranges with `addresses`, which ascend. From damage on, units count as unknown.
    pub(crate) fn read(dwarf: &Dwarf<'_>, addresses: &[u64], clock: &mut Clock) -> Self {
        let mut aranges = Self::default();
        _ = aranges.fill(dwarf, addresses, clock);
        aranges
    }

    fn fill(
        &mut self,
        dwarf: &Dwarf<'_>,
        addresses: &[u64],
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let mut headers = dwarf.debug_aranges.headers();
        while let Ok(Some(header)) = headers.next() {
            clock.spend(4)?;
            let mut hit = false;
            let mut entries = header.entries();
            loop {
                clock.spend(1)?;
                match entries.next() {
                    Ok(Some(entry)) => {
                        let range = entry.range();
                        let first = addresses.partition_point(|&it| it < range.begin);
                        hit |= addresses.get(first).is_some_and(|&it| it < range.end);
                    }
                    Ok(None) => break,
                    // What could not be read may have held an address.
                    Err(_) => {
                        hit = true;
                        break;
                    }
                }
            }
            *self.units.entry(header.debug_info_offset().0).or_default() |= hit;
        }
        Ok(())
    }

    /// Whether the unit that starts at `offset` is known to hold none of the addresses.
    pub(crate) fn says_no_address_is_in(&self, offset: usize) -> bool {
        self.units.get(&offset) == Some(&false)
    }
}
