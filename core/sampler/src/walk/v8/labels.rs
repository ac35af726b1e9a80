//! The labels of the running code: the store of one `AsyncLocalStorage`.
//!
//! Where promises and callbacks continue, V8 has a slot in its isolate for what the embedder wants
//! to keep; Node.js keeps a JavaScript map there, from each storage to its store. Ours has a small
//! integer, the number of a label set, or a string of 32 bytes, which has a span too.

use super::heap::{Heap, small, untag};
use super::isolate::Isolate;
use crate::labels::Labels;
use crate::memory::MemoryReader;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Entries of a map that are looked through; each is one `AsyncLocalStorage` of the program.
const MAX_ENTRIES: u64 = 256;

/// Buckets of a map that has so many entries, at most.
const MAX_BUCKETS: u64 = 4096;

/// The first bytes of a store that is a string.
pub const STORE_MAGIC: [u8; 4] = *b"SDG1";

/// Characters of a store that is a string: magic, label set, span, trace (high half first), each in
/// little-endian order.
pub const STORE_BYTES: usize = 32;

/// Where the map is, and what our store is found by in it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Continuation {
    /// Offset of the slot in the isolate; 0 for none.
    slot: AtomicU32,
    /// The address of a word that points to our storage, which the garbage collector keeps right.
    key: AtomicU64,
}

impl Continuation {
    pub(super) fn set(&self, slot: u32, key: u64) {
        self.key.store(key, Ordering::Relaxed);
        self.slot.store(slot, Ordering::Release);
    }
}

/// The labels of what runs in an isolate; `None` where they are not kept there.
#[inline(always)]
pub(super) fn labels<M: MemoryReader>(heap: &mut Heap<'_, M>, isolate: &Isolate) -> Option<Labels> {
    let slot = isolate.continuation.slot.load(Ordering::Acquire);
    if slot == 0 {
        return None;
    }
    let key = heap.memory.word(isolate.continuation.key.load(Ordering::Relaxed))?;
    let map = heap.memory.word(isolate.address().wrapping_add(u64::from(slot)))?;
    Some(store(heap, untag(map), key).unwrap_or(Labels::NONE))
}

/// The labels that a map has under a key. Its table is an array: how many entries there are, how
/// many of them were deleted, how many buckets; then the buckets, then the entries in order, each of
/// key, value and the next of its bucket.
fn store<M: MemoryReader>(heap: &mut Heap<'_, M>, map: u64, key: u64) -> Option<Labels> {
    if !heap.is(map, heap.layout.type_js_map) {
        return None;
    }
    let table = heap.object(map, heap.layout.js_map_table)?;
    let mut count = |index| u64::try_from(small(heap.element(table, index)?)?).ok();
    let (live, deleted, buckets) = (count(0)?, count(1)?, count(2)?);
    let used = live.checked_add(deleted)?;
    if buckets > MAX_BUCKETS || used > buckets.wrapping_mul(2) {
        return None;
    }
    let start = table.wrapping_add(u64::from(heap.layout.array_data));
    let entries = start.wrapping_add(buckets.wrapping_add(3).wrapping_mul(8));
    for entry in 0..used.min(MAX_ENTRIES) {
        let at = entries.wrapping_add(entry.wrapping_mul(24));
        if heap.memory.word(at)? == key {
            let value = heap.memory.word(at.wrapping_add(8))?;
            return decode(heap, value);
        }
    }
    None
}

fn decode<M: MemoryReader>(heap: &mut Heap<'_, M>, value: u64) -> Option<Labels> {
    if let Some(set) = small(value) {
        return Some(Labels { set: set as u32, ..Labels::NONE });
    }
    let run = heap.characters(untag(value))?;
    if run.width != 1 || run.count as usize != STORE_BYTES {
        return None;
    }
    let mut word = |index: u64| {
        Some(u64::from_le(heap.memory.word(run.start.wrapping_add(index.wrapping_mul(8)))?))
    };
    let (first, span, high, low) = (word(0)?, word(1)?, word(2)?, word(3)?);
    if first as u32 != u32::from_le_bytes(STORE_MAGIC) {
        return None;
    }
    let trace = u128::from(high) << 64 | u128::from(low);
    Some(Labels { set: (first >> 32) as u32, span, trace })
}
