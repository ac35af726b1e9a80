//! One step of a walk: a frame of V8 on the native stack.
//!
//! Every frame has the same beginning: below the saved frame pointer lies what it runs on (a
//! context), which is a pointer, or which kind of frame it is, which is a small integer. The former
//! are frames of JavaScript and have their function next.
//!
//! Which code runs is told by the pc, not by the function: that may have other code by now. A frame
//! of which only a part stands, at the first and the last instructions of a function, is recognised
//! by its function not being the one that the code was made for.

use super::code::{CodeObject, Kind};
use super::heap::{Heap, small, untag};
use super::identify::Identify;
use super::isolate::Isolate;
use super::labels;
use super::layout::Layout;
use super::word::V8Frame;
use crate::arch::Registers;
use crate::interner::Interner;
use crate::labels::Labels;
use crate::memory::MemoryReader;
use crate::sample::End;
use crate::walk::runtime::Runtime;
use core::sync::atomic::Ordering;

/// The largest frame.
const MAX_FRAME: u64 = 16 << 20;

/// Words above the stack pointer among which a return address is looked for, where a function
/// without a frame was called: its arguments may lie below.
const FRAMELESS_WORDS: u64 = 4;

/// More than the size of any handler of the interpreter: 5,728 bytes in V8 14.
const MAX_HANDLER: u64 = 8192;

/// Maps lie in pages of this size.
const PAGE: u64 = 256 << 10;

/// A thread that runs V8: the calling one.
#[derive(Debug)]
pub(crate) struct Running<'p, M> {
    isolate: &'p Isolate,
    known: &'p Interner,
    heap: Heap<'p, M>,
    /// What makes remembered frames true.
    era: u64,
    /// Whether it was said that garbage is collected.
    told: bool,
    /// What the interpreter's registers held where the thread was interrupted: the offset of the
    /// running instruction, the bytecode, and the table of handlers.
    registers: [u64; 3],
    /// Where the thread was interrupted in code of V8's own that has a frame, while its caller's is
    /// read.
    called: Option<u64>,
    /// Frames that could not be read.
    pub(crate) lost: u32,
}

/// A frame on the stack.
#[derive(Clone, Copy, Debug)]
struct Frame {
    fp: u64,
    context: u64,
    function: u64,
}

/// Where a frame is in its code.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// An address in the instruction that runs: that of a call, for a frame that called.
    pc: u64,
    builtin: bool,
}

/// The frame where the thread was interrupted.
struct Top<'r> {
    registers: &'r mut Registers,
    frame: Frame,
    place: Place,
}

impl<'p, M: MemoryReader> Running<'p, M> {
    /// The isolate of the calling thread, whose heap is read by `memory`.
    #[inline(always)]
    pub(crate) fn new(
        layout: &'p Layout,
        isolate: &'p Isolate,
        known: &'p Interner,
        memory: M,
    ) -> Self {
        let moving = isolate.is_collecting();
        let heap = Heap { memory, layout, moving };
        let era = isolate.era(known.serial());
        Self { isolate, known, heap, era, told: false, registers: [0; 3], called: None, lost: 0 }
    }

    /// Where the thread was interrupted, and what it held then in the registers of the interpreter:
    /// the offset of the running instruction, the bytecode, and the table of handlers.
    #[inline(always)]
    pub(crate) fn interrupted(self, registers: [u64; 3]) -> Self {
        Self { registers, ..self }
    }

    /// The labels of what runs; `None` where they are not kept in the isolate.
    #[inline(always)]
    pub(crate) fn labels(&mut self) -> Option<Labels> {
        let found = labels::labels(&mut self.heap, self.isolate)?;
        Some(if self.heap.moving { self.isolate.labels_before_collection() } else { found })
    }

    #[inline(always)]
    fn identify(&mut self) -> Identify<'_, 'p, M> {
        let isolate = self.isolate.number.load(Ordering::Relaxed);
        Identify { heap: &mut self.heap, known: self.known, isolate }
    }

    /// The frame that the frame pointer points to, if there is one.
    #[inline(always)]
    fn frame<S: MemoryReader>(&self, registers: &Registers, stack: &mut S) -> Option<Frame> {
        let Registers { sp, fp, .. } = *registers;
        if fp & 7 != 0 || fp < sp.wrapping_sub(8) || fp.wrapping_sub(sp) > MAX_FRAME {
            return None;
        }
        let layout = self.heap.layout;
        let mut at = |offset: i16| stack.word(fp.wrapping_add(i64::from(offset) as u64));
        let (context, function) = (at(layout.frame_context)?, at(layout.frame_function)?);
        Some(Frame { fp, context, function })
    }

    /// Takes a step out of code that was interrupted and has no frame of its own, or not yet, or not
    /// any more. `false` if it has one.
    fn leave_frameless<S: MemoryReader>(
        &mut self,
        top: Top<'_>,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> bool {
        self.learn_maps_of(&top.frame);
        match top.place.builtin {
            true => self.leave_builtin(top, stack, put),
            false => self.leave_unfinished(top, stack, put),
        }
    }

    /// A function of V8's own without a frame, called by compiled code whose frame this is.
    fn leave_builtin<S: MemoryReader>(
        &mut self,
        Top { registers, frame, place }: Top<'_>,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> bool {
        if frame.context & 1 == 0 || self.bytecode_of(&frame, stack).is_some() {
            return false;
        }
        for word in 0..FRAMELESS_WORDS {
            let slot = registers.sp.wrapping_add(word.wrapping_mul(8));
            if slot >= frame.fp {
                break;
            }
            let Some(address) = stack.word(slot) else { break };
            let call = address.wrapping_sub(1);
            if !self.isolate.covers(call) || self.isolate.is_builtin(call) {
                continue;
            }
            if let Some(code) = self.heap.code_at(self.isolate, call)
                && self.is_of(&code, &frame, stack)
            {
                put(self.isolate.in_file(place.pc));
                *registers = Registers { pc: address, sp: slot.wrapping_add(8), ..*registers };
                return true;
            }
        }
        false
    }

    /// Compiled code whose own frame does not stand.
    fn leave_unfinished<S: MemoryReader>(
        &mut self,
        Top { registers, frame, place }: Top<'_>,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> bool {
        let Some(code) = self.heap.code_at(self.isolate, place.pc) else { return false };
        if code.kind == Kind::Other || self.is_of(&code, &frame, stack) {
            return false;
        }
        let Registers { sp, fp, .. } = *registers;
        let (Some(first), Some(second)) = (stack.word(sp), stack.word(sp.wrapping_add(8))) else {
            return false;
        };
        let is_return = |address: u64| self.isolate.covers(address.wrapping_sub(1));
        let (pc, slot) = match (is_return(first), is_return(second)) {
            (true, _) => (first, sp),
            (false, true) => (second, sp.wrapping_add(8)),
            (false, false) => return false,
        };
        let word = match self.heap.optimized_shared(code.object) {
            Some(shared) if matches!(code.kind, Kind::Optimized(_)) => {
                self.code_word(&code, shared, place)
            }
            _ => self.lost(),
        };
        put(word);
        // The frame pointer was set already, and what lies there is the one before.
        let fp = if fp == sp { first } else { fp };
        *registers = Registers { pc, sp: slot.wrapping_add(8), fp, lr: None };
        true
    }

    /// Whether a frame is one of the function that compiled code was made for.
    fn is_of<S: MemoryReader>(&mut self, code: &CodeObject, frame: &Frame, stack: &mut S) -> bool {
        if code.kind == Kind::Baseline {
            let made_of =
                self.heap.object(code.object, self.heap.layout.code_deoptimization).unwrap_or(0);
            return self.bytecode_slot(frame, stack) == Some(made_of);
        }
        let Some(running) = self.shared_of(frame) else { return false };
        let Some(made_for) = self.heap.optimized_shared(code.object) else { return false };
        running == made_for
    }

    fn shared_of(&mut self, frame: &Frame) -> Option<u64> {
        let function = self.heap.current(untag(frame.function));
        if !self.heap.is_function(function) {
            return None;
        }
        self.heap.shared_of(function)
    }

    #[inline(always)]
    fn bytecode_slot<S: MemoryReader>(&mut self, frame: &Frame, stack: &mut S) -> Option<u64> {
        let offset = i64::from(self.heap.layout.frame_bytecode) as u64;
        let slot = untag(stack.word(frame.fp.wrapping_add(offset))?);
        Some(self.heap.current(slot))
    }

    /// The bytecode that a frame runs and where it is in it, if it is one of the interpreter.
    #[inline(always)]
    fn bytecode_of<S: MemoryReader>(&mut self, frame: &Frame, stack: &mut S) -> Option<(u64, u32)> {
        let layout = self.heap.layout;
        let bytecode = self.bytecode_slot(frame, stack)?;
        let at = i64::from(layout.frame_bytecode_offset) as u64;
        let offset = small(stack.word(frame.fp.wrapping_add(at))?)?;
        if !self.heap.is(bytecode, layout.type_bytecode) {
            return None;
        }
        // Counted from the tagged pointer to the object.
        let first = i32::from(layout.bytecode_data).wrapping_sub(1);
        let offset = u32::try_from(offset.wrapping_sub(first).max(0)).ok()?;
        Some((bytecode, offset))
    }

    /// The word of a frame of JavaScript.
    #[inline(always)]
    fn word<S: MemoryReader>(&mut self, frame: &Frame, place: Place, stack: &mut S) -> u64 {
        if place.builtin {
            return self.interpreted_word(frame, stack);
        }
        if let Some(word) = self.remembered(place.pc) {
            return word;
        }
        let word = self.compiled_word(frame, place);
        self.remember(place.pc, word);
        word
    }

    /// The word of a frame with this code that was met since code and bytecode could last move.
    #[inline(always)]
    fn remembered(&self, key: u64) -> Option<u64> {
        if self.isolate.is_compacting() { None } else { self.isolate.remembered(key, self.era) }
    }

    fn remember(&self, key: u64, word: u64) {
        let is_code = matches!(V8Frame::from_word(word), Some(V8Frame::Code { .. }));
        if !self.heap.moving && is_code {
            self.isolate.remember(key, self.era, word);
        }
    }

    #[cold]
    fn compiled_word(&mut self, frame: &Frame, place: Place) -> u64 {
        let Some(shared) = self.shared_of(frame) else { return self.lost() };
        self.learn_maps(shared);
        match self.heap.code_at(self.isolate, place.pc) {
            Some(code) if code.kind != Kind::Other => self.code_word(&code, shared, place),
            _ => self.function_word(shared),
        }
    }

    fn code_word(&mut self, code: &CodeObject, running: u64, place: Place) -> u64 {
        let offset = u32::try_from(place.pc.wrapping_sub(code.start)).ok();
        match self.identify().code(code, running) {
            Some(number) => V8Frame::Code { code: number, offset }.to_word(),
            None => self.lost(),
        }
    }

    /// The word of a frame of the interpreter, or of a function of V8's own.
    #[inline(always)]
    fn interpreted_word<S: MemoryReader>(&mut self, frame: &Frame, stack: &mut S) -> u64 {
        let Some((bytecode, offset)) = self.bytecode_of(frame, stack) else {
            return match self.shared_of(frame) {
                Some(shared) => self.function_word(shared),
                None => self.lost(),
            };
        };
        let offset = self.running_offset(bytecode).unwrap_or(offset);
        let known = self.remembered(bytecode);
        let word = known.unwrap_or_else(|| self.bytecode_word(frame, bytecode));
        match V8Frame::from_word(word) {
            Some(V8Frame::Code { code, .. }) => {
                V8Frame::Code { code, offset: Some(offset) }.to_word()
            }
            _ => word,
        }
    }

    /// The offset of the instruction that ran when the thread was interrupted, if that was in the
    /// interpreter: it writes it down in the frame only before it calls something.
    #[inline(always)]
    fn running_offset(&mut self, bytecode: u64) -> Option<u32> {
        let [offset, running, handlers] = core::mem::take(&mut self.registers);
        if untag(running) != bytecode {
            return None;
        }
        let length = self.heap.small(bytecode, self.heap.layout.bytecode_length)?;
        let first = u64::from(self.heap.layout.bytecode_data).wrapping_sub(1);
        let offset = offset.checked_sub(first)?;
        if offset >= u64::try_from(length).ok()? {
            return None;
        }
        if let Some(pc) = self.called.take() {
            let data = bytecode.wrapping_add(self.heap.layout.bytecode_data.into());
            let operation = self.heap.memory.bytes_from(data.wrapping_add(offset))?.to_le() as u8;
            if !self.is_handler(pc, handlers, operation) {
                return None;
            }
        }
        Some(offset as u32)
    }

    /// Whether V8's own code at `pc` is what runs an operation of bytecode. What has a frame may use
    /// the registers of the interpreter for something else.
    #[cold]
    fn is_handler(&mut self, pc: u64, handlers: u64, operation: u8) -> bool {
        let pc = self.isolate.in_file(pc);
        // One part of the table each for operands of one, two and four bytes.
        (0..3u64).any(|size| {
            let index = size.wrapping_mul(256).wrapping_add(operation.into());
            let entry = self.heap.memory.word(handlers.wrapping_add(index.wrapping_mul(8)));
            entry.is_some_and(|entry| {
                let start = self.isolate.in_file(entry);
                self.isolate.is_builtin(start) && pc.wrapping_sub(start) < MAX_HANDLER
            })
        })
    }

    #[cold]
    fn bytecode_word(&mut self, frame: &Frame, bytecode: u64) -> u64 {
        let Some(shared) = self.shared_of(frame) else { return self.lost() };
        self.learn_maps(shared);
        match self.identify().bytecode(shared, bytecode) {
            Some(code) => {
                let word = V8Frame::Code { code, offset: None }.to_word();
                self.remember(bytecode, word);
                word
            }
            None => self.lost(),
        }
    }

    fn function_word(&mut self, shared: u64) -> u64 {
        match self.identify().function(shared) {
            Some(code) => V8Frame::Code { code, offset: None }.to_word(),
            None => self.lost(),
        }
    }

    /// Learns from a frame of JavaScript where maps lie that never move: without them no code is
    /// found.
    #[inline(always)]
    fn learn_maps_of(&mut self, frame: &Frame) {
        if self.isolate.map_page.load(Ordering::Relaxed) == 0
            && let Some(shared) = self.shared_of(frame)
        {
            self.learn_maps(shared);
        }
    }

    /// Learns where maps lie that never move, from that of what closures share.
    #[inline(always)]
    fn learn_maps(&mut self, shared: u64) {
        if self.isolate.map_page.load(Ordering::Relaxed) == 0
            && let Some(map) = self.heap.word(shared, 0)
        {
            self.isolate.map_page.store(map & PAGE.wrapping_neg(), Ordering::Relaxed);
        }
    }

    #[cold]
    fn lost(&mut self) -> u64 {
        self.lost = self.lost.saturating_add(1);
        V8Frame::Lost.to_word()
    }
}

impl<M: MemoryReader> Runtime for Running<'_, M> {
    #[inline(always)]
    fn covers(&self, address: u64) -> bool {
        self.isolate.covers(address)
    }

    #[inline(always)]
    fn has_frame_pointers(&self) -> bool {
        true
    }

    #[inline(always)]
    fn step<S: MemoryReader>(
        &mut self,
        registers: &mut Registers,
        interrupted: bool,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        if self.heap.moving && !self.told {
            self.told = true;
            put(V8Frame::GarbageCollector.to_word());
        }
        if !interrupted && self.called.is_none() {
            self.registers = [0; 3];
        }
        let pc = if interrupted { registers.pc } else { registers.pc.wrapping_sub(1) };
        let place = Place { pc, builtin: self.isolate.is_builtin(pc) };
        let frame = self.frame(registers, stack).ok_or(End::Corrupt)?;
        if interrupted {
            let top = Top { registers, frame, place };
            if self.leave_frameless(top, stack, put) {
                return Ok(());
            }
        }
        let mut called = None;
        // The frame pointer was set, and what lies below it is not pushed yet.
        let unfinished = interrupted && place.builtin && frame.fp < registers.sp.wrapping_add(16);
        if unfinished {
            put(self.isolate.in_file(pc));
            called = Some(pc);
        } else if frame.context & 1 == 1 {
            put(self.word(&frame, place, stack));
        } else if frame.context >> 1 == u64::from(self.heap.layout.frame_of_regexp) {
            put(V8Frame::Regexp.to_word());
        } else if interrupted && place.builtin {
            put(self.isolate.in_file(pc));
            called = Some(pc);
        }
        self.called = called;
        let caller = stack.word(frame.fp.wrapping_add(8)).ok_or(End::Memory)?;
        let fp = stack.word(frame.fp).ok_or(End::Memory)?;
        if caller < 4096 {
            return Err(End::Corrupt);
        }
        *registers = Registers { pc: caller, sp: frame.fp.wrapping_add(16), fp, lr: None };
        Ok(())
    }
}
