//! Which rule unwinds the code at an address.
//!
//! A search through the list of modules and through a table reads some ten cache lines, all of them
//! cold when samples are a hundredth of a second apart, and stacks repeat: what was found is
//! remembered by address, in one line.

use crate::table::{ModuleEntry, Rule, find_module};
use core::sync::atomic::{AtomicU64, Ordering};

/// Entries, a power of two.
const ENTRIES: usize = 4096;

/// Odd numbers that spread the bits of what they are multiplied with.
const SPREAD_ADDRESS: u64 = 0x9e37_79b9_7f4a_7c15;
const SPREAD_VERSION: u64 = 0xd6e8_feb8_6659_fd93;

/// Rules by address, for all threads. All zero is an empty one.
///
/// Nobody waits for anybody: the two words of an entry are written one after the other, and one
/// that is made of two threads' halves is recognised, and found by neither.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct RuleCache {
    entries: [Entry; ENTRIES],
}

#[derive(Debug)]
#[repr(C, align(16))]
struct Entry {
    /// What the entry is for, exclusive-or the rule.
    check: AtomicU64,
    rule: AtomicU64,
}

/// The modules of a process, and what was found in them before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modules<'m, 't> {
    /// Sorted by address.
    list: &'m [ModuleEntry<'t>],
    cache: Option<&'m RuleCache>,
    /// Tells this list from every other one that the cache was used with.
    version: u64,
}

impl<'m, 't> Modules<'m, 't> {
    /// A list that nothing is remembered of.
    pub(crate) fn new(list: &'m [ModuleEntry<'t>]) -> Self {
        Self { list, cache: None, version: 0 }
    }

    /// A list, and what is remembered of the one with this version.
    #[inline(always)]
    pub(crate) fn remembered(
        list: &'m [ModuleEntry<'t>],
        cache: &'m RuleCache,
        version: u64,
    ) -> Self {
        Self { list, cache: Some(cache), version }
    }

    /// The rule for an address of the process; `None` where no module is. `last` is the module that
    /// was found before.
    #[inline(always)]
    pub(crate) fn rule(
        &self,
        address: u64,
        last: &mut Option<&'m ModuleEntry<'t>>,
    ) -> Option<Rule> {
        if let Some(cache) = self.cache
            && let Some(rule) = cache.get(address, self.version)
        {
            return Some(rule);
        }
        let module = match last {
            Some(module) if (module.start..module.end).contains(&address) => *module,
            _ => find_module(self.list, address)?,
        };
        *last = Some(module);
        let in_file = address.wrapping_sub(module.bias);
        let rule = module.table.map_or_else(Rule::default, |table| table.lookup(in_file));
        if let Some(cache) = self.cache {
            cache.put(address, self.version, rule);
        }
        Some(rule)
    }
}

impl RuleCache {
    #[inline(always)]
    fn entry(&self, spread: u64) -> Option<&Entry> {
        // The upper bits depend on all bits of the address.
        self.entries.get((spread >> 52) as usize & ENTRIES.wrapping_sub(1))
    }

    #[inline(always)]
    fn get(&self, address: u64, version: u64) -> Option<Rule> {
        let spread = address.wrapping_mul(SPREAD_ADDRESS);
        let entry = self.entry(spread)?;
        let rule = entry.rule.load(Ordering::Relaxed);
        let check = spread ^ version.wrapping_mul(SPREAD_VERSION) ^ rule;
        // Nothing was put into an entry that is all zero.
        let is_it = entry.check.load(Ordering::Relaxed) == check && check != 0;
        is_it.then(|| Rule::from_word(rule))
    }

    #[inline(always)]
    fn put(&self, address: u64, version: u64, rule: Rule) {
        let spread = address.wrapping_mul(SPREAD_ADDRESS);
        let Some(entry) = self.entry(spread) else { return };
        let rule = rule.to_word();
        let check = spread ^ version.wrapping_mul(SPREAD_VERSION) ^ rule;
        entry.check.store(check, Ordering::Relaxed);
        entry.rule.store(rule, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use std::boxed::Box;

    const SP16: Rule = Rule { cfa: Rule::SP, ra: 0, fp: -2, offset: 16 };
    const FP32: Rule = Rule { cfa: Rule::FP, ra: -1, fp: 0, offset: -32 };

    fn cache() -> Box<RuleCache> {
        // SAFETY: all zero is an empty one.
        unsafe { Box::new_zeroed().assume_init() }
    }

    fn entry(rules: &'static [Rule]) -> [ModuleEntry<'static>; 1] {
        let table = Table { base: 0, pages: &[0, 1], rows: &[0], rules };
        [ModuleEntry { start: 0x10000, end: 0x20000, bias: 0x10000, table: Some(table) }]
    }

    #[test]
    fn a_rule_is_remembered_until_the_list_changes() {
        let cache = cache();
        let (first, second) = (entry(&[SP16]), entry(&[FP32]));
        let rule =
            |list, version| Modules::remembered(list, &cache, version).rule(0x12345, &mut None);
        assert_eq!(rule(&first[..], 1), Some(SP16));
        assert_eq!(rule(&[], 1), Some(SP16), "remembered");
        assert_eq!(rule(&second[..], 2), Some(FP32));
        assert_eq!(rule(&[], 1), None);
        assert_eq!(rule(&[], 2), Some(FP32));
    }

    #[test]
    fn an_address_without_a_module_is_not_remembered() {
        let cache = cache();
        let list = entry(&[SP16]);
        let rule = |list| Modules::remembered(list, &cache, 1).rule(0x20000, &mut None);
        assert_eq!(rule(&list[..]), None);
        let longer = [ModuleEntry { end: 0x30000, ..list[0] }];
        assert_eq!(rule(&longer[..]), Some(Rule::default()));
    }

    #[test]
    fn halves_of_two_threads_are_no_entry() {
        let cache = cache();
        // Another address of the same entry.
        let place = |address: u64| address.wrapping_mul(SPREAD_ADDRESS) >> 52;
        let one = 0x40_1000u64;
        let two = (one + 1..).find(|it| place(*it) == place(one)).unwrap();
        cache.put(one, 1, SP16);
        let stale = cache.entry(one.wrapping_mul(SPREAD_ADDRESS)).unwrap();
        let rule = stale.rule.load(Ordering::Relaxed);
        cache.put(two, 1, FP32);
        assert_eq!(cache.get(two, 1), Some(FP32));
        stale.rule.store(rule, Ordering::Relaxed);
        assert_eq!((cache.get(one, 1), cache.get(two, 1)), (None, None));
    }

    #[test]
    fn an_empty_cache_knows_nothing() {
        assert_eq!(cache().get(0, 0), None);
    }

    #[test]
    fn a_rule_survives_being_a_word() {
        for rule in [SP16, FP32, Rule::default()] {
            assert_eq!(Rule::from_word(rule.to_word()), rule);
        }
    }
}
