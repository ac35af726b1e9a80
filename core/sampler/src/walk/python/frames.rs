//! The walk over the running thread's Python frames.

use super::interpreter::Interpreter;
use super::layout::{Entry, Instruction, Root};
use super::word::PythonFrame;
use crate::memory::MemoryReader;

/// The highest owner of a frame with code: `FRAME_OWNED_BY_FRAME_OBJECT`.
const LAST_OWNER: u8 = 2;

/// At least what `PyThreadState` has in 3.11 and 3.12.
const THREAD_STATE_BYTES: u64 = 1024;

/// C stack between a call of the evaluation function and the one before, at most.
const MAX_CALL_BYTES: u64 = 1 << 20;

/// What a walk hands its findings to.
pub trait Frames<M> {
    /// The number of a frame's code object, whose type was checked; `None` if it cannot have one.
    fn code(&mut self, memory: &mut M, frame: u64, code: u64) -> Option<u32>;
    /// One frame's word; `index` counts from the leaf. A walk that starts again starts at 0.
    fn put(&mut self, index: usize, word: u64);
}

/// A thread whose frames are walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread<'r> {
    /// The calling thread's state.
    pub(crate) state: u64,
    /// What the registers held where it was interrupted; see [`Root::CFrame`].
    pub(crate) registers: &'r [u64],
}

/// The outcome of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkedPython {
    /// Words handed out.
    pub frames: usize,
    /// Whether some frames could not be read, or their code found no room.
    pub lost: bool,
    /// Whether there were more than the limit.
    pub truncated: bool,
    /// Whether the running frame could not be had, and the walk began at the call before it.
    pub restarted: bool,
}

/// The word at `offset` of a structure.
#[inline(always)]
pub(crate) fn field<M: MemoryReader>(memory: &mut M, base: u64, offset: u16) -> Option<u64> {
    memory.word(base.wrapping_add(u64::from(offset)))
}

/// Walks the frames of `thread`, the calling one, leaf first, at most `limit` of them:
/// one more word says when there were more, or when some could not be read.
#[inline(always)]
pub(crate) fn walk<M: MemoryReader, F: Frames<M>>(
    python: &Interpreter,
    memory: &mut M,
    thread: Thread<'_>,
    limit: usize,
    sink: &mut F,
) -> WalkedPython {
    let offsets = python.layout.offsets;
    let top = field(memory, thread.state, offsets.thread_frame);
    match (python.layout.root, top) {
        (_, None) => unreadable(sink, 0),
        (Root::ThreadState, Some(frame)) => {
            let start = Start { frame, caller: None };
            Walk::new(python, limit)
                .run(memory, start, sink)
                .unwrap_or_else(|Lost { frames, .. }| unreadable(sink, frames))
        }
        (Root::CFrame, Some(cframe)) => by_cframe(python, memory, (thread, cframe), limit, sink),
    }
}

/// See [`Root::CFrame`]: what is found there is believed only if the call's first frame has the
/// caller that the call before it has, and otherwise the walk starts at the call before, if that is
/// found.
#[inline(always)]
fn by_cframe<M: MemoryReader, F: Frames<M>>(
    python: &Interpreter,
    memory: &mut M,
    (thread, cframe): (Thread<'_>, u64),
    limit: usize,
    sink: &mut F,
) -> WalkedPython {
    // The first such structure is a part of the thread state and has neither a frame nor one before
    // it; what is garbage may look the same.
    let offsets = python.layout.offsets;
    let is_first = |cframe: u64| cframe.wrapping_sub(thread.state) < THREAD_STATE_BYTES;
    let frame = field(memory, cframe, offsets.cframe_frame);
    if is_first(cframe) {
        return if frame == Some(0) { WalkedPython::default() } else { unreadable(sink, 0) };
    }
    let previous = field(memory, cframe, offsets.cframe_previous);
    // A greenlet that starts or ends, as a thread that enters its first call: nothing below either.
    if let Some(first) = previous.filter(|previous| frame == Some(0) && is_first(*previous))
        && field(memory, first, offsets.cframe_frame) == Some(0)
    {
        return WalkedPython::default();
    }
    // While the structure is being filled in, the one before is still in a register. It lies above
    // on the same stack; what lies elsewhere could fault, which takes microseconds.
    let is_above = |other: &&u64| (8..MAX_CALL_BYTES).contains(&other.wrapping_sub(cframe));
    let others = thread.registers.iter().filter(is_above).map(|other| Some(*other));
    let mut lost = 0;
    for (attempt, from) in [Some(cframe), previous].into_iter().chain(others).enumerate() {
        let start = from.and_then(|from| Start::of_cframe(python, memory, from));
        let Some(start) = start else { continue };
        match Walk::new(python, limit).run(memory, start, sink) {
            Ok(walked) => return WalkedPython { restarted: attempt != 0, ..walked },
            // Beyond the first call the structure has proven itself; the rest is lost for good.
            Err(Lost { frames, believed: true }) => return unreadable(sink, frames),
            Err(Lost { frames, .. }) => lost = frames,
        }
    }
    unreadable(sink, lost)
}

/// Ends a walk with a word for what could not be read.
#[cold]
fn unreadable<M, F: Frames<M>>(sink: &mut F, frames: usize) -> WalkedPython {
    sink.put(frames, PythonFrame::Unreadable.to_word());
    WalkedPython { frames: frames.wrapping_add(1), lost: true, ..WalkedPython::default() }
}

/// Where a walk starts.
#[derive(Clone, Copy)]
struct Start {
    frame: u64,
    /// What must be the caller of the frame for which the evaluation function was entered.
    caller: Option<u64>,
}

impl Start {
    #[inline(always)]
    fn of_cframe<M: MemoryReader>(
        python: &Interpreter,
        memory: &mut M,
        cframe: u64,
    ) -> Option<Self> {
        let offsets = python.layout.offsets;
        let frame = field(memory, cframe, offsets.cframe_frame)?;
        let previous = field(memory, cframe, offsets.cframe_previous)?;
        let caller = Some(field(memory, previous, offsets.cframe_frame)?);
        (frame != 0).then_some(Self { frame, caller })
    }
}

/// What ends a walk before the root.
struct Lost {
    /// Words handed out before.
    frames: usize,
    /// Whether the start has been proven right.
    believed: bool,
}

/// What one frame says.
enum Read {
    /// A frame of Python code.
    Code { word: PythonFrame, entry: bool },
    /// The caller of the evaluation function, which has no code.
    Shim,
}

struct Walk<'p> {
    python: &'p Interpreter,
    limit: usize,
    frames: usize,
    /// The last frame, which may still turn out to be the first of its call.
    pending: Option<PythonFrame>,
}

impl<'p> Walk<'p> {
    #[inline(always)]
    fn new(python: &'p Interpreter, limit: usize) -> Self {
        Self { python, limit, frames: 0, pending: None }
    }

    #[inline(always)]
    fn run<M: MemoryReader, F: Frames<M>>(
        mut self,
        memory: &mut M,
        start: Start,
        sink: &mut F,
    ) -> Result<WalkedPython, Lost> {
        let Start { mut frame, caller: mut expected } = start;
        // As many frames without code as with, and some: a chain in a circle ends.
        let steps = self.limit.saturating_mul(2).saturating_add(2);
        for _ in 0..steps {
            if frame == 0 {
                self.flush(sink, true);
                return Ok(WalkedPython { frames: self.frames, ..WalkedPython::default() });
            }
            let lost = |frames| Lost { frames, believed: expected.is_none() };
            let Some((read, caller)) = self.read(memory, frame, sink) else {
                self.flush(sink, false);
                return Err(lost(self.frames));
            };
            let entered = match read {
                Read::Shim => {
                    self.flush(sink, true);
                    true
                }
                Read::Code { word, entry } => {
                    self.flush(sink, false);
                    if self.frames >= self.limit {
                        break;
                    }
                    self.pending = Some(word);
                    entry
                }
            };
            if entered && expected.take_if(|expected| *expected != caller).is_some() {
                return Err(Lost { frames: 0, believed: false });
            }
            if entered {
                expected = None;
            }
            frame = caller;
        }
        self.flush(sink, false);
        sink.put(self.frames, PythonFrame::Truncated.to_word());
        let frames = self.frames.wrapping_add(1);
        Ok(WalkedPython { frames, truncated: true, ..WalkedPython::default() })
    }

    /// Hands out the last frame, now that it is known whether it is the first of its call.
    #[inline(always)]
    fn flush<M, F: Frames<M>>(&mut self, sink: &mut F, entered: bool) {
        if let Some(frame) = self.pending.take() {
            let word = match frame {
                PythonFrame::Code { code, unit, entry } => {
                    PythonFrame::Code { code, unit, entry: entry || entered }
                }
                other => other,
            };
            sink.put(self.frames, word.to_word());
            self.frames = self.frames.wrapping_add(1);
        }
    }

    /// Reads one frame, and which one called it.
    #[inline(always)]
    fn read<M: MemoryReader, F: Frames<M>>(
        &self,
        memory: &mut M,
        frame: u64,
        sink: &mut F,
    ) -> Option<(Read, u64)> {
        let layout = &self.python.layout;
        let offsets = layout.offsets;
        let at = |offset: u16| frame.wrapping_add(u64::from(offset));
        let caller = memory.word(at(offsets.frame_previous))?;
        let entry = match layout.entry {
            Entry::Always => true,
            Entry::Flag => {
                if memory.byte(at(offsets.frame_owner))? > LAST_OWNER {
                    return None;
                }
                memory.byte(at(offsets.frame_entry))? != 0
            }
            Entry::Below(last) => match memory.byte(at(offsets.frame_owner))? {
                0..=LAST_OWNER => false,
                owner if owner <= last => return Some((Read::Shim, caller)),
                _ => return None,
            },
        };
        let tag = (1u64 << (layout.tag_bits & 63)).wrapping_sub(1);
        let code = memory.word(at(offsets.frame_code))? & !tag;
        if !self.python.is_code(memory, code) {
            return None;
        }
        let unit = self.instruction(memory, frame, code)?;
        let word = match sink.code(memory, frame, code) {
            Some(number) => PythonFrame::Code { code: number, unit, entry },
            None => return None,
        };
        Some((Read::Code { word, entry }, caller))
    }

    /// The instruction of a frame in code units; before its first instruction, that one.
    #[inline(always)]
    fn instruction<M: MemoryReader>(&self, memory: &mut M, frame: u64, code: u64) -> Option<u32> {
        let offsets = self.python.layout.offsets;
        let at = frame.wrapping_add(u64::from(offsets.frame_instruction));
        let units = match self.python.layout.instruction {
            Instruction::Bytes => i64::from(memory.half(at)? as i32) / 2,
            Instruction::Units => i64::from(memory.half(at)? as i32),
            Instruction::Pointer => {
                let start = code.wrapping_add(u64::from(offsets.code_start));
                let bytes = memory.word(at)?.wrapping_sub(start) as i64;
                if bytes & 1 != 0 {
                    return None;
                }
                bytes / 2
            }
        };
        Some(u32::try_from(units.max(0)).unwrap_or(u32::MAX))
    }
}
