//! The calling thread's frames, for the self-test of a binding.

use super::heap::{Heap, untag};
use super::isolate::Isolate;
use super::layout::Layout;
use super::registry::{self, Attached};
use super::step::Running;
use super::word::V8Frame;
use crate::arch::Registers;
use crate::errno::Errno;
use crate::interner::{Interned, Interner};
use crate::labels::Labels;
use crate::memory::{MemoryReader, SelfMemory};
use crate::pool;
use crate::walk::runtime::Runtime;

/// Frames that are captured.
const MAX_FRAMES: usize = 64;

/// Frames of JavaScript of the calling thread, and what they name.
#[derive(Debug)]
pub struct Capture {
    words: [u64; MAX_FRAMES],
    count: usize,
    known: Interner,
    memory: *mut u8,
}

impl Capture {
    const BYTES: usize = size_of::<Interned>().saturating_mul(Interner::TABLES);

    /// Reads them by a layout, right or wrong, from where V8 was left: `registers` are those of its
    /// first frame, as they will be after the return to it.
    ///
    /// # Errors
    /// That of the kernel, if there is no memory.
    pub fn take(layout: &Layout, attached: &Attached, registers: Registers) -> Result<Self, Errno> {
        let memory = pool::map(Self::BYTES)?;
        let known = Interner::new(memory.cast());
        let mut capture = Self { words: [0; MAX_FRAMES], count: 0, known, memory };
        capture.read(layout, attached.isolate(), registers);
        Ok(capture)
    }

    /// To the last frame without native code between.
    fn read(&mut self, layout: &Layout, isolate: &Isolate, mut registers: Registers) {
        let (words, count) = (&mut self.words, &mut self.count);
        let mut put = |word| {
            if let Some(place) = words.get_mut(*count) {
                *place = word;
                *count = count.wrapping_add(1);
            }
        };
        let mut stack = SelfMemory::probing();
        isolate.forget();
        let mut running = Running::new(layout, isolate, &self.known, SelfMemory::probing());
        for _ in 0..MAX_FRAMES {
            let inside = registers.pc.wrapping_sub(1);
            if !running.covers(inside)
                || running.step(&mut registers, false, &mut stack, &mut put).is_err()
            {
                break;
            }
        }
    }

    /// The frames, leaf first.
    pub fn frames(&self) -> impl Iterator<Item = V8Frame> {
        self.words.iter().take(self.count).filter_map(|word| V8Frame::from_word(*word))
    }

    /// The copy that a number in a frame stands for; see [`Definition`](super::Definition).
    pub fn definition(&self, number: u32) -> Option<&[u8]> {
        self.known.copy(number)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        pool::unmap(self.memory, Self::BYTES);
    }
}

/// The characters of a string, as a layout says: bytes of each of them and all bytes, of one or two
/// parts. `string` is the tagged pointer to it.
pub fn read_text(layout: &Layout, string: u64, mut take: impl FnMut(u8, u8)) -> bool {
    let mut heap = Heap { memory: SelfMemory::probing(), layout, moving: false };
    let Some(text) = heap.text(untag(string)) else { return false };
    text.runs.iter().all(|run| {
        (0..run.bytes() as u64).all(|at| {
            let byte = heap.memory.byte(run.start.wrapping_add(at));
            byte.map(|byte| take(run.width, byte)).is_some()
        })
    })
}

/// The labels of what the calling thread runs, read by a layout, right or wrong.
pub fn current_labels(layout: &Layout, attached: &Attached) -> Labels {
    registry::labels_of(layout, attached.isolate())
}
