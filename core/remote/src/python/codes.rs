//! Code objects of another process, by the numbers that frames get here.

use sondage::resolve::CodeSource;
use sondage_sampler::MemoryReader;
use sondage_sampler::walk::python::{
    CodeIdentity, CodeShape, LineTable, Outside, PythonFrame, RecordedFrame,
};
use std::collections::HashMap;

/// Code objects, and bytes of what was read of them, before all are forgotten.
const MAX_CODES: usize = 50_000;
const MAX_BYTES: usize = 32 << 20;

/// Code objects that could not be read and are not tried again.
const MAX_LOST: usize = 10_000;

/// The name of a frame whose code object was gone, or another, when it was to be read. It stands
/// where the frame was, so that the others keep their places among native frames.
const LOST: &[u8] = b"[python frame lost]";
const LOST_NUMBER: u32 = 0;

/// The code objects of one process that samples have met, each read when it is first met.
///
/// The process runs meanwhile. What is read is believed only if the object lives and is the one that
/// was sampled, before it is read and after. What is gone by then is lost, and counted.
///
/// Numbers are good until the next [`turn`](Self::turn). At most some 50,000 objects and 32 MiB, until
/// then twice as much.
#[derive(Debug)]
pub struct RemoteCodes {
    numbers: HashMap<(u64, u64), Option<u32>>,
    definitions: Vec<Box<[u8]>>,
    bytes: usize,
    lost: usize,
    lost_frames: u64,
    generation: u64,
}

impl RemoteCodes {
    /// Without any.
    pub fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            definitions: vec![lost()],
            bytes: 0,
            lost: 0,
            lost_frames: 0,
            generation: 0,
        }
    }

    /// The frame, as those of samples from within are. `memory` makes a reader of the process's
    /// memory as it is at that moment: nothing that was read before may be remembered in it.
    ///
    /// ```no_run
    /// # fn settle(
    /// #     codes: &mut sondage_remote::RemoteCodes,
    /// #     python: &sondage_sampler::walk::python::Outside,
    /// #     frame: sondage_sampler::walk::python::RecordedFrame,
    /// # ) {
    /// let memory = sondage_remote::RemoteMemory::new(1234);
    /// let now = || {
    ///     memory.forget();
    ///     memory.clone()
    /// };
    /// let word = codes.frame(python, now, frame).to_word();
    /// # }
    /// ```
    pub fn frame<M: MemoryReader>(
        &mut self,
        python: &Outside,
        memory: impl FnMut() -> M,
        frame: RecordedFrame,
    ) -> PythonFrame {
        let RecordedFrame { address, check, unit, entry } = frame;
        match self.number(python, memory, address, check) {
            Some(code) => PythonFrame::Code { code, unit, entry },
            None => {
                self.lost_frames += 1;
                PythonFrame::Code { code: LOST_NUMBER, unit: 0, entry }
            }
        }
    }

    /// How many frames are `[python frame lost]`: their code object was gone, or another, when it
    /// was to be read.
    pub fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    /// Whether it is time to name all frames, and then to [`turn`](Self::turn).
    pub fn fill(&self) -> bool {
        self.numbers.len() >= MAX_CODES || self.bytes >= MAX_BYTES || self.lost >= MAX_LOST
    }

    /// Forgets all: numbers that were given before become invalid.
    pub fn turn(&mut self) {
        let (lost_frames, generation) = (self.lost_frames, self.generation + 1);
        *self = Self { lost_frames, generation, ..Self::new() };
    }

    fn number<M: MemoryReader>(
        &mut self,
        python: &Outside,
        memory: impl FnMut() -> M,
        address: u64,
        check: u64,
    ) -> Option<u32> {
        if let Some(known) = self.numbers.get(&(address, check)) {
            return *known;
        }
        if self.numbers.len() >= 2 * MAX_CODES || self.bytes >= 2 * MAX_BYTES {
            return None;
        }
        let definition = read(python, memory, address, check);
        let number = definition.and_then(|definition| {
            let number = u32::try_from(self.definitions.len()).ok()?;
            self.bytes += definition.len();
            self.definitions.push(definition);
            Some(number).filter(|number| *number < PythonFrame::MAX_CODES)
        });
        self.lost += usize::from(number.is_none());
        self.numbers.insert((address, check), number);
        number
    }
}

impl Default for RemoteCodes {
    fn default() -> Self {
        Self::new()
    }
}

impl CodeSource for RemoteCodes {
    fn code(&self, id: u32) -> Option<&[u8]> {
        self.definitions.get(id as usize).map(AsRef::as_ref)
    }

    fn generation(&self) -> u64 {
        self.generation
    }
}

fn lost() -> Box<[u8]> {
    let shape = CodeShape {
        first_line: 0,
        format: LineTable::Locations,
        name: (1, LOST.len() as u32),
        file: (1, 0),
        line_table: 0,
    };
    let header = shape.header().into_iter().flat_map(u64::to_ne_bytes);
    header.chain(LOST.iter().copied()).collect()
}

/// The definition of the object with that identity, if it is there all the time.
fn read<M: MemoryReader>(
    python: &Outside,
    mut memory: impl FnMut() -> M,
    address: u64,
    check: u64,
) -> Option<Box<[u8]>> {
    let is_there = |memory: &mut M| {
        let found = python.identity(memory, address);
        found.filter(|found| found.check & CodeIdentity::RECORDED == check)
    };
    let mut before = memory();
    let identity = is_there(&mut before)?;
    let mut bytes = Vec::new();
    python.define(&mut before, address, |piece| bytes.extend_from_slice(piece))?;
    let after = is_there(&mut memory())?;
    (after == identity).then(|| bytes.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sondage::resolve::Codes;

    #[test]
    fn a_lost_frame_has_a_name_and_no_line() {
        let codes = RemoteCodes::new();
        let (function, line) = Codes::default().resolve(&codes, LOST_NUMBER, 0).unwrap();
        assert_eq!((&*function.name, &*function.file, line), ("[python frame lost]", "", 0));
    }

    #[test]
    fn a_turn_forgets_all_and_keeps_the_count() {
        let mut codes = RemoteCodes::new();
        codes.lost_frames = 3;
        codes.definitions.push(Box::from(&b"abc"[..]));
        codes.turn();
        assert_eq!((codes.generation(), codes.lost_frames(), codes.definitions.len()), (1, 3, 1));
        assert!(!codes.fill());
    }
}
