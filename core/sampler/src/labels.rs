//! What a thread works on, and the cell in which it says so to its signal handler.

use crate::memory::MemoryReader;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

/// What a thread works on: labels, and the span of a trace. Zero is none, as OpenTelemetry and W3C
/// have it, whose ids are never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The interned label set; 0 is the empty one.
    pub set: u32,
    /// The span's id.
    pub span: u64,
    /// The trace's id.
    pub trace: u128,
}

impl Labels {
    /// Neither labels nor a span.
    pub const NONE: Self = Self { set: 0, span: 0, trace: 0 };

    /// The label set alone.
    pub const fn without_span(self) -> Self {
        Self { set: self.set, ..Self::NONE }
    }
}

/// The labels of one thread, changed by the thread and read by the signal handlers that interrupt
/// it, which see those before a change or those after it, never a part of each: a change is written
/// beside what is current, and then one store makes it current.
///
/// That is no protection against other threads, which must not use the cell, nor against a signal
/// handler that changes labels.
#[derive(Debug, Default)]
#[repr(C)]
pub struct LabelCell {
    /// Which record is current: 0 or 1.
    current: AtomicU32,
    records: [Record; 2],
}

/// Labels in words that a handler can be allowed to read at any time.
#[derive(Debug, Default)]
#[repr(C)]
struct Record {
    set: AtomicU32,
    span: AtomicU64,
    trace_high: AtomicU64,
    trace_low: AtomicU64,
}

impl LabelCell {
    /// A cell without labels.
    pub const fn new() -> Self {
        Self { current: AtomicU32::new(0), records: [Record::new(), Record::new()] }
    }

    #[inline(always)]
    fn record(&self, number: u32) -> &Record {
        let [first, _] = &self.records;
        // The mask makes it a computed address, without a branch and without the other record.
        self.records.get((number & 1) as usize).unwrap_or(first)
    }

    /// The current labels.
    #[inline(always)]
    pub fn get(&self) -> Labels {
        let current = self.current.load(Ordering::Relaxed);
        // What is read below was written before that store.
        compiler_fence(Ordering::Acquire);
        self.record(current).get()
    }

    /// Makes `labels` current and returns those that were: five loads and five stores, no locked
    /// instruction.
    #[inline(always)]
    pub fn replace(&self, labels: Labels) -> Labels {
        let current = self.current.load(Ordering::Relaxed);
        let next = current ^ 1;
        let before = self.record(current).get();
        // The last change stands before the record that it left is written again.
        compiler_fence(Ordering::AcqRel);
        self.record(next).set(labels);
        // A handler between these two stores sees the old record, which nobody has touched.
        compiler_fence(Ordering::Release);
        self.current.store(next, Ordering::Relaxed);
        before
    }
}

/// The label set of a thread that does not run; its cell may be gone.
pub(crate) fn read_cell<M: MemoryReader>(memory: &mut M, cell: u64) -> Labels {
    let set = |memory: &mut M| {
        let current = memory.half(cell.wrapping_add(offset_of!(LabelCell, current) as u64))?;
        let record = u64::from(current & 1).wrapping_mul(size_of::<Record>() as u64);
        let records = cell.wrapping_add(offset_of!(LabelCell, records) as u64);
        let record = records.wrapping_add(record);
        memory.half(record.wrapping_add(offset_of!(Record, set) as u64))
    };
    let set = if cell == 0 { None } else { set(memory) };
    Labels { set: set.unwrap_or(0), ..Labels::NONE }
}

impl Record {
    const fn new() -> Self {
        Self {
            set: AtomicU32::new(0),
            span: AtomicU64::new(0),
            trace_high: AtomicU64::new(0),
            trace_low: AtomicU64::new(0),
        }
    }

    #[inline(always)]
    fn get(&self) -> Labels {
        let high = u128::from(self.trace_high.load(Ordering::Relaxed));
        Labels {
            set: self.set.load(Ordering::Relaxed),
            span: self.span.load(Ordering::Relaxed),
            trace: high << 64 | u128::from(self.trace_low.load(Ordering::Relaxed)),
        }
    }

    #[inline(always)]
    fn set(&self, labels: Labels) {
        self.set.store(labels.set, Ordering::Relaxed);
        self.span.store(labels.span, Ordering::Relaxed);
        self.trace_high.store((labels.trace >> 64) as u64, Ordering::Relaxed);
        self.trace_low.store(labels.trace as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_set_of_another_thread_is_read_from_its_cell() {
        let cell = LabelCell::new();
        let mut memory = crate::memory::SelfMemory::probing();
        let address = &raw const cell as u64;
        for set in [0, 7, 8] {
            cell.replace(Labels { set, span: 9, trace: 9 });
            assert_eq!(read_cell(&mut memory, address), Labels { set, ..Labels::NONE });
        }
        assert_eq!(read_cell(&mut memory, 0), Labels::NONE);
        assert_eq!(read_cell(&mut memory, 64), Labels::NONE, "nothing is there");
    }

    #[test]
    fn a_cell_hands_back_each_of_many_labels_whole() {
        let cell = LabelCell::new();
        assert_eq!(cell.get(), Labels::NONE);
        let numbered = |n: u64| Labels {
            set: n as u32,
            span: n << 40 | 1,
            trace: u128::from(n) << 70 | u128::from(n),
        };
        let mut last = Labels::NONE;
        for labels in (1..100).map(numbered) {
            assert_eq!(cell.replace(labels), last);
            assert_eq!(cell.get(), labels);
            last = labels;
        }
    }
}
