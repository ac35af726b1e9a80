//! Memory of a process that is stopped, and what walks over it find.

use sondage_ebpf::RecordedPython;
use sondage_sampler::MemoryReader;
use sondage_sampler::walk::python::{CodeIdentity, Frames, Outside, PythonFrame, RecordedFrame};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

pub(crate) const PAGE: u64 = 4096;

/// Pages as they were when the process was stopped. Which words were read is remembered.
#[derive(Default)]
pub(crate) struct Frozen {
    file: Option<File>,
    pub(crate) pages: HashMap<u64, Option<Vec<u64>>>,
    pub(crate) read: HashSet<u64>,
}

impl Frozen {
    pub(crate) fn of(pid: u32) -> Self {
        let file = File::open(format!("/proc/{pid}/mem")).unwrap();
        Self { file: Some(file), ..Self::default() }
    }

    fn page(&mut self, page: u64) -> Option<&mut Vec<u64>> {
        if !self.pages.contains_key(&page) {
            let mut bytes = vec![0; PAGE as usize];
            let read = self.file.as_ref()?.read_exact_at(&mut bytes, page).is_ok();
            let words = |bytes: &[u8]| {
                bytes
                    .chunks_exact(8)
                    .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
                    .collect()
            };
            self.pages.insert(page, read.then(|| words(&bytes)));
        }
        self.pages.get_mut(&page)?.as_mut()
    }

    /// Takes the neighbours of what was read as well: the program reads in larger pieces. From now
    /// on there is nothing else.
    pub(crate) fn seal(&mut self) {
        let known: Vec<u64> = self.pages.keys().copied().collect();
        for page in known {
            self.page(page.wrapping_sub(PAGE));
            self.page(page.wrapping_add(PAGE));
        }
        self.file = None;
    }

    /// Changes a word of a page that is there. Returns what it was.
    pub(crate) fn put(&mut self, address: u64, word: u64) -> u64 {
        let page = self.page(address & PAGE.wrapping_neg()).unwrap();
        std::mem::replace(&mut page[(address % PAGE / 8) as usize], word)
    }
}

impl MemoryReader for Frozen {
    fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        self.read.insert(address);
        Some(self.page(address & PAGE.wrapping_neg())?[(address % PAGE / 8) as usize])
    }
}

/// A walk's frames, and whether it began at another start than the first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) frames: Vec<RecordedPython>,
    pub(crate) restarted: bool,
}

struct Sink<'p> {
    python: &'p Outside,
    codes: Vec<CodeIdentity>,
    frames: Vec<RecordedPython>,
}

impl Frames<Frozen> for Sink<'_> {
    fn code(&mut self, memory: &mut Frozen, _: u64, code: u64) -> Option<u32> {
        self.codes.push(self.python.check(memory, code)?);
        u32::try_from(self.codes.len() - 1).ok()
    }

    fn put(&mut self, index: usize, word: u64) {
        self.frames.truncate(index);
        assert_eq!(self.frames.len(), index);
        self.frames.push(match PythonFrame::from_word(word).unwrap() {
            PythonFrame::Code { code, unit, entry } => {
                let CodeIdentity { address, check } = self.codes[code as usize];
                let check = check & CodeIdentity::RECORDED;
                // A record has the bits of an address that programs can have.
                let address = address & ((1 << 47) - 1);
                RecordedPython::Code(RecordedFrame { address, check, unit, entry })
            }
            other => RecordedPython::Other(other),
        });
    }
}

/// The walk in Rust.
pub(crate) fn walk(
    python: &Outside,
    memory: &mut Frozen,
    thread: (u64, &[u64]),
    limit: usize,
) -> Stack {
    let mut sink = Sink { python, codes: Vec::new(), frames: Vec::new() };
    let walked = python.frames(memory, thread, limit, &mut sink);
    sink.frames.truncate(walked.frames);
    Stack { frames: sink.frames, restarted: walked.restarted }
}
