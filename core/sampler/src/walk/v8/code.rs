//! Machine code that V8 made: which one an address is in.

use super::definition::Tier;
use super::heap::{Heap, untag};
use super::isolate::Isolate;
use crate::memory::MemoryReader;
use core::sync::atomic::Ordering;

/// Code lies in pages of this size; what is larger has pages of its own.
const PAGE: u64 = 256 << 10;

/// Code begins at multiples of this.
const ALIGNMENT: u64 = 32;

/// A code object.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeObject {
    pub(super) object: u64,
    pub(super) start: u64,
    pub(super) size: u32,
    pub(super) flags: u32,
    pub(super) kind: Kind,
}

/// What made the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sparkplug.
    Baseline,
    /// An optimising compiler.
    Optimized(Tier),
    /// Regular expressions and wrappers.
    Other,
}

impl<M: MemoryReader> Heap<'_, M> {
    /// The code that an address is in.
    pub(super) fn code_at(&mut self, isolate: &Isolate, pc: u64) -> Option<CodeObject> {
        if let Some(start) = isolate.remembered_start(pc)
            && let Some(code) = self.code_with(isolate, start, pc)
        {
            return Some(code);
        }
        let code = self.search(isolate, pc)?;
        isolate.remember_start(pc, code.start);
        Some(code)
    }

    /// Looks backwards for the header that precedes all code.
    #[cold]
    fn search(&mut self, isolate: &Isolate, pc: u64) -> Option<CodeObject> {
        let header = u64::from(self.layout.stream_header);
        let page = pc & PAGE.wrapping_neg();
        let mut start = pc & ALIGNMENT.wrapping_neg();
        while start > page.wrapping_add(header) {
            let map = self.memory.word(start.wrapping_sub(header))?;
            if self.is_stream_map(isolate, map) {
                return self.code_with(isolate, start, pc);
            }
            start = start.wrapping_sub(ALIGNMENT);
        }
        None
    }

    /// Whether a word is the map of machine code, which never moves. The first time it is told by
    /// what the map says of itself; instructions that happen to look like a pointer to its page are
    /// rare.
    #[inline(always)]
    fn is_stream_map(&mut self, isolate: &Isolate, map: u64) -> bool {
        match isolate.stream_map.load(Ordering::Relaxed) {
            0 => {
                let page = isolate.map_page.load(Ordering::Relaxed);
                page != 0
                    && map & PAGE.wrapping_neg() == page
                    && self.type_in(untag(map)) == Some(self.layout.type_stream)
            }
            known => known == map,
        }
    }

    /// The code object whose machine code begins at `start`, if it holds `pc`.
    #[inline(always)]
    fn code_with(&mut self, isolate: &Isolate, start: u64, pc: u64) -> Option<CodeObject> {
        let layout = self.layout;
        let stream = start.wrapping_sub(u64::from(layout.stream_header));
        let map = self.word(stream, 0)?;
        if !self.is_stream_map(isolate, map) {
            return None;
        }
        let object = self.object(stream, layout.stream_code)?;
        if self.word(object, layout.code_instruction_start)? != start
            || !self.is(object, layout.type_code)
        {
            return None;
        }
        let size = self.half(object, layout.code_instruction_size)?;
        if pc.wrapping_sub(start) >= u64::from(size) {
            return None;
        }
        isolate.stream_map.store(map, Ordering::Relaxed);
        let flags = self.half(object, layout.code_flags)?;
        let baseline = u32::from(layout.code_kind_baseline);
        let kind = match (flags & layout.code_kind_mask).checked_sub(baseline) {
            Some(0) => Kind::Baseline,
            Some(1) => Kind::Optimized(Tier::Maglev),
            Some(2) => Kind::Optimized(Tier::Turbofan),
            _ => Kind::Other,
        };
        Some(CodeObject { object, start, size, flags, kind })
    }

    /// What closures share of the function that optimised code was made for.
    pub(super) fn optimized_shared(&mut self, code: u64) -> Option<u64> {
        let layout = self.layout;
        let data = self.object(code, layout.code_deoptimization)?;
        let found = untag(self.element(data, layout.optimized_shared)?);
        let mut shared = self.current(found);
        if layout.shared_is_wrapped {
            shared = self.object(shared, layout.wrapper_shared)?;
        }
        self.is(shared, layout.type_shared).then_some(shared)
    }
}
