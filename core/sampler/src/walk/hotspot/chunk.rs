//! Frames of a virtual thread that lie in the heap: its stack is copied back from there frame by
//! frame, as it returns to them.
//!
//! Under the last frame that was copied stands a stub that fetches the next ones, and under that the
//! entry of the virtual thread on the carrier's stack, with its continuation. That has the stack's
//! pieces, each an object with its frames as they stood, but for pointers that are relative.

use super::compiled::At;
use super::step::{CALLER_SP, INSTRUCTION, METHOD, Running};
use super::word::Tier;
use crate::memory::MemoryReader;
use crate::sample::End;
use core::cell::Cell;
use core::ops::Range;

/// Pieces of one stack.
const MAX_CHUNKS: usize = 64;

/// Words that are handed out; a sample has no more. A stack in the heap may be far deeper.
const MAX_FRAMES: usize = 512;

/// Words of one piece.
const MAX_WORDS: u32 = 1 << 20;

/// Words above the stack pointer at which the entry may begin: arguments lie below it.
const ENTRY_WORDS: u64 = 16;

/// In a frame of the interpreter, in bytes below its frame pointer: where its variables begin, in words
/// from there. In a piece, that of the caller's stack pointer is given so, too.
const VARIABLES: u64 = 56;

/// Where continuations and the pieces of their stacks keep things, by the binding: offsets in bytes
/// in the objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Continuations {
    /// In the entry on the stack: the continuation.
    pub entry_continuation: u16,
    /// In a continuation: the first piece.
    pub tail: u16,
    /// In a piece: the next one.
    pub parent: u16,
    /// Its words.
    pub size: u16,
    /// The word at which its frames begin.
    pub sp: u16,
    /// The word at which they end, or, where `counts_arguments`, how many are behind that.
    pub bottom: u16,
    /// See `bottom`.
    pub counts_arguments: bool,
    /// Its first word.
    pub stack: u16,
    /// How objects are pointed to in fields.
    pub pointers: Pointers,
}

/// How objects are pointed to in fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pointers {
    /// By their addresses.
    #[default]
    Whole,
    /// By 32 bits, shifted, and added to a base.
    Narrow {
        /// What is added.
        base: u64,
        /// By how many bits it is shifted before.
        shift: u8,
    },
}

/// Where in a piece a frame begins.
#[derive(Clone, Copy)]
struct Place {
    /// Below this stand the saved frame pointer and the return address of the one before.
    sp: u64,
    /// Its own words: above those that the interpreter has put there for the frame before.
    values: u64,
}

impl<M: MemoryReader> Running<'_, M> {
    /// Hands out the frames of the virtual thread that are in the heap; `sp` is where its last frame
    /// on the carrier's stack ended.
    #[cold]
    pub(super) fn put_chunks<S: MemoryReader>(
        &mut self,
        layout: &Continuations,
        sp: u64,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> End {
        for word in 0..ENTRY_WORDS {
            let entry = sp.wrapping_add(word.wrapping_mul(8));
            let at = entry.wrapping_add(u64::from(layout.entry_continuation));
            let Some(continuation) = stack.word(at) else { return End::Memory };
            let Some(chunk) = self.code.object(layout.pointers, continuation, layout.tail.into())
            else {
                continue;
            };
            if self.is_chunk(layout, chunk) {
                let copied = self.copied(layout, chunk);
                return self.put_from(layout, chunk, copied, put);
            }
        }
        End::Corrupt
    }

    /// How many frames of a piece were walked already: where a virtual thread leaves its carrier, they
    /// are copied to it, and stand on the stack for a moment still.
    fn copied(&mut self, layout: &Continuations, chunk: u64) -> u32 {
        let Some((returns_to, frames)) = self.frozen else { return 0 };
        let Some((sp, end)) = self.bounds(layout, chunk) else { return 0 };
        // A new one: what lies there is left from other objects.
        if sp == end {
            return 0;
        }
        let start = chunk.wrapping_add(u64::from(layout.stack));
        let first = start.wrapping_add(u64::from(sp).wrapping_mul(8)).wrapping_sub(8);
        // The stub that was met last is none of them.
        let walked = frames.saturating_sub(1);
        if self.code.memory.word(first) == Some(returns_to) { walked } else { 0 }
    }

    /// The words of a piece, and where its frames begin and end.
    fn bounds(&mut self, layout: &Continuations, chunk: u64) -> Option<(u32, u32)> {
        let size = self.code.half(chunk, layout.size)?;
        let sp = self.code.half(chunk, layout.sp)?;
        let bottom = self.code.half(chunk, layout.bottom)?;
        let end = if layout.counts_arguments { size.checked_sub(bottom)? } else { bottom };
        let sound = (1..=MAX_WORDS).contains(&size) && sp <= end && end <= size;
        sound.then_some((sp, end))
    }

    /// Whether an object is a piece: of its first frame, the return address is in code. Arguments
    /// lead to objects of any other kind.
    fn is_chunk(&mut self, layout: &Continuations, chunk: u64) -> bool {
        if chunk < 4096 || chunk & 7 != 0 {
            return false;
        }
        let Some((sp, end)) = self.bounds(layout, chunk) else { return false };
        let first = chunk
            .wrapping_add(u64::from(layout.stack))
            .wrapping_add(u64::from(sp).wrapping_mul(8))
            .wrapping_sub(8);
        sp == end || self.code.memory.word(first).is_some_and(|pc| self.code.covers(pc))
    }

    fn put_from(
        &mut self,
        layout: &Continuations,
        mut chunk: u64,
        copied: u32,
        put: &mut impl FnMut(u64),
    ) -> End {
        let (left, copied) = (Cell::new(MAX_FRAMES), Cell::new(copied));
        let mut put = |word| {
            if copied.get() == 0 {
                left.set(left.get().saturating_sub(1));
                put(word);
            }
        };
        for _ in 0..MAX_CHUNKS {
            let Some((sp, end)) = self.bounds(layout, chunk) else { return End::Corrupt };
            let start = chunk.wrapping_add(u64::from(layout.stack));
            let at = |word: u32| start.wrapping_add(u64::from(word).wrapping_mul(8));
            match self.put_chunk(at(sp)..at(end), (&left, &copied), &mut put) {
                Some(()) if left.get() > 0 => {}
                Some(()) => return End::Depth,
                None => return End::Corrupt,
            }
            match self.code.object(layout.pointers, chunk, layout.parent.into()) {
                Some(0) => return End::Root,
                Some(parent) => chunk = parent,
                None => return End::Memory,
            }
        }
        End::Depth
    }

    /// Hands out the frames between two addresses (`StackChunkFrameStream`), or as many as are left.
    fn put_chunk(
        &mut self,
        frames: Range<u64>,
        (left, copied): (&Cell<usize>, &Cell<u32>),
        put: &mut impl FnMut(u64),
    ) -> Option<()> {
        let mut at = Place { sp: frames.start, values: frames.start };
        for _ in 0..MAX_FRAMES {
            if at.sp >= frames.end || left.get() == 0 {
                return Some(());
            }
            let pc = self.code.memory.word(at.sp.wrapping_sub(8))?;
            let next = if self.code.cache.interpreter.contains(&pc) {
                self.put_interpreted(at.sp, frames.end, put)?
            } else {
                self.put_called(pc, at.values, frames.end, put)?
            };
            if next.sp <= at.sp {
                return None;
            }
            copied.set(copied.get().saturating_sub(1));
            at = next;
        }
        left.set(0);
        Some(())
    }

    /// Hands out a frame of compiled code and returns where the next one begins. There may be one of
    /// a stub, too, of the size that it says.
    fn put_called(
        &mut self,
        pc: u64,
        values: u64,
        end: u64,
        put: &mut impl FnMut(u64),
    ) -> Option<Place> {
        let blob = self.code.blob(pc)?;
        if blob.frame_words == 0 {
            return None;
        }
        if blob.is_method() {
            let pc = self.code.original_pc(&blob, pc, values);
            self.put_methods(&blob, At::Return(pc), put);
        }
        let next = values.wrapping_add(u64::from(blob.frame_words).wrapping_mul(8));
        // Of the last one, what it would return to is not there.
        let next = if next >= end.saturating_sub(16) { end } else { next };
        Some(Place { sp: next, values: next })
    }

    /// Hands out a frame of the interpreter and returns where the next one begins.
    fn put_interpreted(&mut self, sp: u64, end: u64, put: &mut impl FnMut(u64)) -> Option<Place> {
        // The saved frame pointer of the frame before tells in words how far this one's is.
        let saved = sp.wrapping_sub(16);
        let fp = self.relative(saved, saved)?;
        let next = fp.wrapping_add(16);
        if fp < sp || next > end {
            return None;
        }
        let method = self.code.memory.word(fp.wrapping_sub(METHOD))?;
        let method = self.code.method(method)?;
        let bytecode = self.code.bytecode(&method)?;
        let at = self.code.memory.word(fp.wrapping_sub(INSTRUCTION))?;
        let place = bytecode.contains(&at).then(|| at.wrapping_sub(bytecode.start) as u16);
        put(self.word_of(&method, place, Tier::Interpreter));
        // Its first variable is the last word of it: above what the caller has left.
        let variables = self.relative(fp.wrapping_sub(VARIABLES), fp)?;
        if variables.wrapping_add(8) >= end {
            return Some(Place { sp: end, values: end });
        }
        Some(Place { sp: next, values: self.relative(fp.wrapping_sub(CALLER_SP), fp)? })
    }

    /// What stands at an address, in words from another.
    fn relative(&mut self, at: u64, from: u64) -> Option<u64> {
        Some(from.wrapping_add(self.code.memory.word(at)?.wrapping_mul(8)))
    }
}
