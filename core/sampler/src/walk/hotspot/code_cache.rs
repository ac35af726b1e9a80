//! Blobs of code: the compiled methods, the stubs and the interpreter, found by an address in them.

use super::layout::{CodeCache, Layout};
use crate::memory::MemoryReader;

/// Words of one frame of compiled code.
const MAX_FRAME_WORDS: u32 = 1 << 20;

/// Steps back through a map of segments; each is up to 254 segments.
const MAX_STEPS: usize = 4096;

/// What a map of segments has for one that no block is in.
const FREE: u8 = 0xff;

/// What a blob is, by the first letters of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A method of Java, compiled.
    Compiled,
    /// What calls a method in another language.
    Native,
    /// Stubs that fetch frames of a virtual thread from the heap.
    Fetching,
    /// A stub, an adapter, a part of the runtime.
    Other,
}

/// A blob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob {
    pub(super) address: u64,
    pub(super) kind: Kind,
    /// Words of its frames; 0 where there are none.
    pub(super) frame_words: u32,
    /// Where its code begins.
    pub(super) code: u64,
}

impl Blob {
    /// Whether it is of one method.
    pub(super) fn is_method(&self) -> bool {
        matches!(self.kind, Kind::Compiled | Kind::Native)
    }
}

/// Memory in which code of HotSpot lies, and how.
#[derive(Debug)]
pub(super) struct Code<'f, M> {
    pub(super) memory: M,
    pub(super) layout: &'f Layout,
    pub(super) cache: &'f CodeCache,
}

impl<M: MemoryReader> Code<'_, M> {
    /// The word at an offset of a structure.
    #[inline(always)]
    pub(super) fn word(&mut self, start: u64, offset: u16) -> Option<u64> {
        self.memory.word(start.wrapping_add(u64::from(offset)))
    }

    /// The 4 bytes at an offset of a structure.
    #[inline(always)]
    pub(super) fn half(&mut self, start: u64, offset: u16) -> Option<u32> {
        self.memory.half(start.wrapping_add(u64::from(offset)))
    }

    /// The 2 bytes at an offset of a structure, which is a multiple of 2.
    #[inline(always)]
    pub(super) fn short(&mut self, start: u64, offset: u16) -> Option<u16> {
        let address = start.wrapping_add(u64::from(offset));
        if address & 1 != 0 {
            return None;
        }
        Some(self.memory.bytes_from(address)? as u16)
    }

    /// A pointer at an offset of a structure.
    #[inline(always)]
    pub(super) fn pointer(&mut self, start: u64, offset: u16) -> Option<u64> {
        self.word(start, offset).filter(|address| *address >= 4096 && address & 7 == 0)
    }

    /// Whether an address is in code that HotSpot made.
    #[inline(always)]
    pub(super) fn covers(&self, address: u64) -> bool {
        self.cache.range.contains(&address)
    }

    /// The blob that holds an address.
    #[inline(always)]
    pub(super) fn blob(&mut self, pc: u64) -> Option<Blob> {
        let address = self.find(pc)?;
        let name = self.word(address, self.layout.blob_name)?;
        let kind = match &self.start_of(name)? {
            b"nmet" => Kind::Compiled,
            b"nati" => Kind::Native,
            // "StubRoutines (continuation stubs)"
            b"Stub" if self.is_text(name.wrapping_add(14), b"con") => Kind::Fetching,
            _ => Kind::Other,
        };
        // Where frames are of no one size, that is negative.
        let frame_words = self.half(address, self.layout.blob_frame_size)?;
        let frame_words = if frame_words > MAX_FRAME_WORDS { 0 } else { frame_words };
        let code = if self.layout.tables_are_apart {
            let offset = self.half(address, self.layout.blob_code)?;
            address.wrapping_add(u64::from(offset))
        } else {
            self.word(address, self.layout.blob_code)?
        };
        Some(Blob { address, kind, frame_words, code })
    }

    /// The first bytes of a text.
    #[inline(always)]
    fn start_of(&mut self, text: u64) -> Option<[u8; 4]> {
        let mut bytes = self.memory.bytes_from(text)?;
        let taken = 8u64.wrapping_sub(text & 7);
        if taken < 4 {
            let next = self.memory.bytes_from(text.wrapping_add(taken)).unwrap_or(0);
            bytes |= next.wrapping_shl((taken as u32).wrapping_mul(8));
        }
        Some((bytes as u32).to_le_bytes())
    }

    pub(super) fn is_text(&mut self, start: u64, text: &[u8]) -> bool {
        let mut bytes = text.iter().zip(0..);
        bytes.all(|(byte, at)| self.memory.byte(start.wrapping_add(at)) == Some(*byte))
    }

    fn find(&mut self, pc: u64) -> Option<u64> {
        for heap in self.cache.heaps.into_iter().take_while(|heap| *heap != 0) {
            let low = self.word(heap, self.layout.heap_low)?;
            let high = self.word(heap, self.layout.heap_high)?;
            if (low..high).contains(&pc) {
                return self.find_in(heap, low, pc);
            }
        }
        None
    }

    fn find_in(&mut self, heap: u64, low: u64, pc: u64) -> Option<u64> {
        let segments = self.word(heap, self.layout.heap_segments)?;
        let shift = u32::from(self.layout.segment_shift);
        let mut segment = pc.wrapping_sub(low).checked_shr(shift)?;
        for _ in 0..MAX_STEPS {
            match self.memory.byte(segments.wrapping_add(segment))? {
                FREE => return None,
                0 => {
                    let block = low.wrapping_add(segment.checked_shl(shift)?);
                    let used = block.wrapping_add(u64::from(self.layout.block_used));
                    let used = self.memory.byte(used)? != 0;
                    return used.then(|| block.wrapping_add(u64::from(self.layout.block_header)));
                }
                back => segment = segment.checked_sub(u64::from(back))?,
            }
        }
        None
    }

    /// Whether the instruction before an address is a call.
    pub(super) fn follows_call(&mut self, address: u64) -> bool {
        let mut byte = |back: u64| self.memory.byte(address.wrapping_sub(back));
        // A direct one; or an indirect one, of 2 to 7 bytes, whose second byte has a 2 in its middle.
        byte(5) == Some(0xe8)
            || (2..=7u64).any(|length| {
                byte(length) == Some(0xff)
                    && byte(length.wrapping_sub(1)).is_some_and(|mode| mode >> 3 & 7 == 2)
            })
    }
}
