//! The list of modules, and the guard that lets it be rewritten under a running program.

use crate::arena::{Placed, RULE_WORDS};
use crate::error::{Error, ErrorKind};
use crate::sys::SharedWords;
use sondage_sampler::ModuleEntry;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU32, fence};

/// `MAX_MODULES` in `bpf/sample.h`.
pub(crate) const MAX_MODULES: usize = 2048;

/// Words of `struct module` in `bpf/sample.h`.
pub(crate) const MODULE_WORDS: usize = 16;

/// Words of `struct control` in `bpf/sample.h`: generation, number of modules, a 64-bit fence.
pub(crate) const CONTROL_WORDS: usize = 4;

/// The maps `modules` and `control`. Writing is a sequence lock: the generation is odd while the
/// list is written, and a program that saw it move throws its sample away and counts it.
#[derive(Debug)]
pub(crate) struct ModuleList {
    modules: SharedWords,
    control: SharedWords,
}

impl ModuleList {
    pub(crate) fn new(modules: SharedWords, control: SharedWords) -> Self {
        Self { modules, control }
    }

    /// Replaces the list. `modules` must be sorted by address.
    ///
    /// # Errors
    /// [`ErrorKind::Full`]; the old list stays.
    pub(crate) fn replace(
        &mut self,
        modules: &[(ModuleEntry<'_>, Option<Placed>)],
    ) -> Result<(), Error> {
        if modules.len() > MAX_MODULES {
            let message = format!("{} modules, but at most {MAX_MODULES} fit", modules.len());
            return Err(Error::new(ErrorKind::Full, message));
        }
        let [generation, count, ..] = self.control.words() else { return Ok(()) };
        let before = generation.load(Relaxed);
        generation.store(before.wrapping_add(1), Relaxed);
        fence(Release);
        let slots = self.modules.words().chunks_exact(MODULE_WORDS);
        for (slot, (entry, placed)) in slots.zip(modules) {
            store(slot, module_words(entry, placed.as_ref()));
        }
        count.store(modules.len() as u32, Relaxed);
        generation.store(before.wrapping_add(2), Release);
        Ok(())
    }
}

fn store(slots: &[AtomicU32], words: [u32; MODULE_WORDS]) {
    for (slot, word) in slots.iter().zip(words) {
        slot.store(word, Relaxed);
    }
}

/// `struct module`: four addresses, then first and count of pages, rows and rules.
fn module_words(entry: &ModuleEntry<'_>, placed: Option<&Placed>) -> [u32; MODULE_WORDS] {
    let mut words = [0; MODULE_WORDS];
    let base = placed.map_or(0, |placed| placed.base);
    let addresses = [entry.start, entry.end, entry.bias, base];
    for (pair, address) in words.chunks_exact_mut(2).zip(addresses) {
        pair.copy_from_slice(&[address as u32, (address >> 32) as u32]);
    }
    if let (Some(placed), Some(table)) = (placed, words.get_mut(8..14)) {
        table.copy_from_slice(&[
            placed.pages.start as u32,
            placed.pages.len().saturating_sub(1) as u32,
            placed.rows.start as u32,
            placed.rows.len() as u32,
            (placed.rules.start / RULE_WORDS) as u32,
            (placed.rules.len() / RULE_WORDS) as u32,
        ]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_laid_out_as_the_program_reads_it() {
        let entry = ModuleEntry { start: 0x1_0000_1000, end: 3, bias: 5, table: None };
        let placed = Placed { base: 0x20000, rows: 100..130, pages: 7..10, rules: 12..20 };
        assert_eq!(
            module_words(&entry, Some(&placed)),
            [0x1000, 1, 3, 0, 5, 0, 0x20000, 0, 7, 2, 100, 30, 6, 4, 0, 0]
        );
        assert_eq!(module_words(&entry, None)[6..], [0; 10]);
    }
}
