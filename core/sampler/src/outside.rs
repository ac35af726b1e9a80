//! Walks over stopped threads of other processes, by the same walkers as in a handler.

use crate::arch::{self, Registers};
use crate::errno::Errno;
use crate::interner::{Interned, Interner};
use crate::memory::MemoryReader;
use crate::pool;
use crate::sample::End;
use crate::table::ModuleEntry;
use crate::walk::{Code, hotspot, python, v8, walk_with};

/// How many words of registers a stopped thread may give.
pub const CONTENTS: usize = arch::CONTENTS;

/// Numbers of the code that walks over one process have met, with copies of what names and lines
/// need. Takes 34 MiB of address space, of which what is used is resident.
#[derive(Debug)]
pub struct Numbers {
    known: Interner,
    memory: *mut u8,
}

// SAFETY: the mapping belongs to the value alone, and is changed by it only.
unsafe impl Send for Numbers {}

impl Numbers {
    const BYTES: usize = size_of::<Interned>().saturating_mul(Interner::TABLES);

    /// Without any.
    ///
    /// # Errors
    /// That of the kernel, if there is no memory.
    pub fn new() -> Result<Self, Errno> {
        let memory = pool::map(Self::BYTES)?;
        Ok(Self { known: Interner::new(memory.cast()), memory })
    }

    /// The copy that a number in a frame stands for.
    pub fn copy(&self, number: u32) -> Option<&[u8]> {
        self.known.copy(number)
    }

    /// A number that changes whenever numbers are given out anew.
    pub fn generation(&self) -> u64 {
        u64::from(self.known.generation())
    }

    /// Whether it is time to give all frames their names, and then to call [`Numbers::turn`].
    pub fn fill(&self) -> bool {
        self.known.is_half_full()
    }

    /// Makes room: numbers that were given before the last turn become invalid.
    pub fn turn(&mut self) {
        let (other, bytes) = self.known.other();
        // SAFETY: a whole table of our mapping, which nobody reads now; it is zero afterwards.
        unsafe { libc::madvise(other.cast(), bytes, libc::MADV_DONTNEED) };
        self.known.turn();
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        pool::unmap(self.memory, Self::BYTES);
    }
}

/// What a stopped thread's registers hold.
#[derive(Clone, Copy, Debug)]
pub struct StoppedRegisters {
    /// Those that a walk starts from.
    pub walk: Registers,
    /// All that may hold pointers.
    pub contents: [u64; CONTENTS],
    /// Those of V8's interpreter: r9, r12 and r15.
    pub v8: [u64; 3],
    /// Those of HotSpot's: r13, rbx and rax.
    pub hotspot: [u64; 3],
}

/// The runtimes whose frames the thread may have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runtimes<'r> {
    /// CPython, and the thread's state in it.
    pub python: Option<(&'r python::Outside, u64)>,
    /// HotSpot, and the thread's `JavaThread`, or 0.
    pub hotspot: Option<(&'r hotspot::Facts, u64)>,
    /// V8, and the isolate that the thread runs.
    pub v8: Option<(&'r v8::Layout, &'r v8::OutsideIsolate)>,
}

/// The outcome of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkedOutside {
    /// Words written: native frames leaf first, with those of V8 and HotSpot among them, then
    /// Python's, as in a sample.
    pub frames: usize,
    /// Why the walk over native frames stopped.
    pub end: End,
    /// Whether frames of a runtime could not be read.
    pub lost: bool,
}

/// Walks the stacks of a stopped thread into `words`, at most half of them native frames.
///
/// `modules` must be sorted by address. `memory` must be the process', which is read through two
/// or three copies of it at once.
pub fn walk_outside<M: MemoryReader + Clone>(
    modules: &[ModuleEntry<'_>],
    registers: &StoppedRegisters,
    runtimes: Runtimes<'_>,
    (numbers, memory): (&Numbers, &M),
    words: &mut [u64],
) -> WalkedOutside {
    let known = &numbers.known;
    let v8 = runtimes.v8.map(|(layout, isolate)| {
        // What was remembered may have moved since.
        let isolate = isolate.anew();
        v8::Running::new(layout, isolate, known, memory.clone()).interrupted(registers.v8)
    });
    let [r13, rbx, rax] = registers.hotspot;
    let hotspot = runtimes.hotspot.map(|(facts, thread)| {
        hotspot::Running::new(facts, known, thread, memory.clone())
            .interrupted(hotspot::Interrupted { r13, rbx, rax })
    });
    let mut compiled = (v8, hotspot);
    let mut stack = memory.clone();
    let code = Code { modules: crate::rules::Modules::new(modules), runtime: &mut compiled };
    let limit = words.len() / 2;
    let walked = walk_with(code, registers.walk, &mut stack, limit, |index, frame| {
        put(words, index, frame);
    });
    let mut lost = compiled.0.is_some_and(|v8| v8.lost > 0);
    lost |= compiled.1.is_some_and(|hotspot| hotspot.lost > 0);
    let mut frames = walked.frames;
    if let Some((python, state)) = runtimes.python {
        let room = words.len().saturating_sub(frames).saturating_sub(1);
        let thread = (state, registers.contents.as_slice());
        let found = python.walk(&mut stack, thread, (known, room), |index, frame| {
            put(words, walked.frames.wrapping_add(index), frame);
        });
        frames = frames.saturating_add(found.frames).min(words.len());
        lost |= found.lost;
    }
    WalkedOutside { frames, end: walked.end, lost }
}

fn put(words: &mut [u64], index: usize, word: u64) {
    if let Some(place) = words.get_mut(index) {
        *place = word;
    }
}
