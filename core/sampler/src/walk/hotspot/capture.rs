//! What is read of the calling thread, and of compiled code, for the self-check of a binding.

use super::layout::Facts;
use super::step::Running;
use super::word::HotspotFrame;
use crate::errno::Errno;
use crate::interner::{Interned, Interner};
use crate::memory::SelfMemory;
use crate::pool;
use crate::walk::runtime::{Recovered, Runtime};

/// Frames that are captured.
const MAX_FRAMES: usize = 64;

/// Frames of Java, and what they name.
#[derive(Debug)]
pub struct Capture {
    words: [u64; MAX_FRAMES],
    count: usize,
    known: Interner,
    memory: *mut u8,
}

impl Capture {
    const BYTES: usize = size_of::<Interned>().saturating_mul(Interner::TABLES);

    /// An empty one.
    ///
    /// # Errors
    /// That of the kernel, if there is no memory.
    pub fn new() -> Result<Self, Errno> {
        let memory = pool::map(Self::BYTES)?;
        let known = Interner::new(memory.cast());
        Ok(Self { words: [0; MAX_FRAMES], count: 0, known, memory })
    }

    /// Reads the frames of Java of the calling thread by facts, right or wrong, from where it left Java
    /// on. `thread` is its `JavaThread`.
    pub fn read_thread(&mut self, facts: &Facts, thread: u64) {
        self.count = 0;
        let mut stack = SelfMemory::probing();
        let (words, count) = (&mut self.words, &mut self.count);
        let mut put = |word| keep(words, count, word);
        let mut running = Running::new(facts, &self.known, thread, SelfMemory::probing());
        let Some(mut registers) = running.left() else { return };
        for _ in 0..MAX_FRAMES {
            let goes_on = if running.covers(registers.pc.wrapping_sub(1)) {
                running.step(&mut registers, false, &mut stack, &mut put).is_ok()
            } else {
                running.recover(&mut registers, &mut stack) == Recovered::Elsewhere
            };
            if !goes_on {
                break;
            }
        }
    }

    /// Reads the methods that run at an address of compiled code, leaf first.
    pub fn read_code(&mut self, facts: &Facts, pc: u64) {
        self.count = 0;
        let (words, count) = (&mut self.words, &mut self.count);
        let mut running = Running::new(facts, &self.known, 0, SelfMemory::probing());
        running.put_compiled(pc, &mut |word| keep(words, count, word));
    }

    /// The frames, leaf first.
    pub fn frames(&self) -> impl Iterator<Item = HotspotFrame> {
        self.words.iter().take(self.count).filter_map(|word| HotspotFrame::from_word(*word))
    }

    /// The copy that a number in a frame stands for; see [`Definition`](super::Definition).
    pub fn definition(&self, number: u32) -> Option<&[u8]> {
        self.known.copy(number)
    }
}

fn keep(words: &mut [u64], count: &mut usize, word: u64) {
    if let Some(place) = words.get_mut(*count) {
        *place = word;
        *count = count.wrapping_add(1);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        pool::unmap(self.memory, Self::BYTES);
    }
}
