//! The labels of a virtual thread: those of platform threads are in cells of their own, but a virtual
//! thread has no place that a handler knows, so it is found by what the thread itself has: its map of
//! `ThreadLocal`s, with the object of the binding that holds the number of its label set.

use super::chunk::Pointers;
use super::code_cache::Code;
use super::step::Running;
use crate::labels::Labels;
use crate::memory::MemoryReader;
use core::sync::atomic::{AtomicU64, Ordering};

/// Entries of a map that are looked at: its table is never more than two thirds full.
const MAX_STEPS: u32 = 64;

/// Elements of a table.
const MAX_TABLE: u32 = 1 << 16;

/// What the object that holds a label set has in its field `mark`.
pub const LABELS_MARK: u64 = u64::from_be_bytes(*b"SDGLABEL");

/// Where a thread of Java keeps its map of `ThreadLocal`s: offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadLocals {
    /// In a `JavaThread`: a pointer to where the thread is pointed to that it runs.
    pub runs: u16,
    /// The same for the thread that it is.
    pub is: u16,
    /// In a thread: its map.
    pub map: u16,
    /// In that: the table.
    pub table: u16,
    /// In an entry of it: the value.
    pub value: u16,
    /// In an array: how many elements it has.
    pub array_length: u16,
    /// Its first element.
    pub array_first: u16,
    /// How objects are pointed to.
    pub pointers: Pointers,
}

/// Where labels are: by which `ThreadLocal`, and offsets in bytes in its value and beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelPlace {
    /// The hash of the `ThreadLocal`.
    pub hash: u32,
    /// In its value: a `long` that is [`LABELS_MARK`].
    pub mark: u16,
    /// An `int`, the number of the set.
    pub set: u16,
    /// The object with the ids of a span, which never changes, or none.
    pub ids: u16,
    /// In that, as `long`: the id of the span.
    pub span: u16,
    /// That of the trace, its high half.
    pub trace_high: u16,
    /// Its low half.
    pub trace_low: u16,
}

/// The place in two words, as a handler can read it: the first is 0 before the binding has said it.
static PLACE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Says where the labels of virtual threads are: once in a process.
pub fn labels_are_at(place: LabelPlace) {
    let word = |a: u16, b: u16| u64::from(a) << 16 | u64::from(b);
    let [first, second] = &PLACE;
    let ids = word(place.ids, place.span) << 32 | word(place.trace_high, place.trace_low);
    second.store(ids, Ordering::Relaxed);
    let holder = u64::from(place.hash) << 32 | word(place.mark, place.set);
    first.store(holder, Ordering::Release);
}

impl LabelPlace {
    #[inline(always)]
    fn told() -> Option<Self> {
        let [first, second] = &PLACE;
        let holder = first.load(Ordering::Acquire);
        if holder == 0 {
            return None;
        }
        let ids = second.load(Ordering::Relaxed);
        Some(Self {
            hash: (holder >> 32) as u32,
            mark: (holder >> 16) as u16,
            set: holder as u16,
            ids: (ids >> 48) as u16,
            span: (ids >> 32) as u16,
            trace_high: (ids >> 16) as u16,
            trace_low: ids as u16,
        })
    }
}

impl<M: MemoryReader> Running<'_, M> {
    /// The labels of the virtual thread that runs; `None` where none does.
    #[inline(always)]
    pub(crate) fn labels(&mut self) -> Option<Labels> {
        let locals = self.thread_locals?;
        let place = LabelPlace::told()?;
        if self.thread == 0 {
            return None;
        }
        let thread = self.thread;
        let mut object = |handle| {
            let handle = self.code.pointer(thread, handle)?;
            self.code.memory.word(handle)
        };
        let (runs, is) = (object(locals.runs)?, object(locals.is)?);
        if runs == is {
            return None;
        }
        Some(self.code.labels_of(locals, runs, place).unwrap_or(Labels::NONE))
    }
}

impl<M: MemoryReader> Code<'_, M> {
    #[cold]
    fn labels_of(
        &mut self,
        locals: &ThreadLocals,
        thread: u64,
        place: LabelPlace,
    ) -> Option<Labels> {
        let pointers = locals.pointers;
        let map = self.object(pointers, thread, locals.map.into())?;
        let table = self.object(pointers, map, locals.table.into())?;
        let length = self.half(table, locals.array_length)?;
        if !length.is_power_of_two() || length > MAX_TABLE {
            return None;
        }
        for step in 0..length.min(MAX_STEPS) {
            let index = u64::from(place.hash.wrapping_add(step) & length.wrapping_sub(1));
            let at =
                u64::from(locals.array_first).wrapping_add(index.wrapping_mul(pointers.size()));
            let entry = self.object(pointers, table, at)?;
            if entry == 0 {
                return None;
            }
            let value = self.object(pointers, entry, locals.value.into())?;
            if value >= 4096 && self.word(value, place.mark) == Some(LABELS_MARK) {
                return self.labels_in(pointers, value, place);
            }
        }
        None
    }

    fn labels_in(&mut self, pointers: Pointers, value: u64, place: LabelPlace) -> Option<Labels> {
        let set = self.half(value, place.set)?;
        let ids = self.object(pointers, value, place.ids.into())?;
        if ids == 0 {
            return Some(Labels { set, ..Labels::NONE });
        }
        let high = u128::from(self.word(ids, place.trace_high)?);
        let trace = high << 64 | u128::from(self.word(ids, place.trace_low)?);
        Some(Labels { set, span: self.word(ids, place.span)?, trace })
    }
}
