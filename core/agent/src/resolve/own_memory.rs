//! Memory of this process, or of another one, that may not be there.

use sondage_sampler::MemoryReader;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;

/// The `count` bytes at an address of the process `pid`, or of this one; `None` where there is
/// nothing any more.
pub(super) fn read_memory(pid: Option<u32>, start: u64, count: usize) -> Option<Vec<u8>> {
    let memory = match pid {
        None => open()?,
        Some(pid) => File::open(format!("/proc/{pid}/mem")).ok()?,
    };
    read(&memory, start, count)
}

fn open() -> Option<File> {
    File::open("/proc/self/mem").ok()
}

fn read(memory: &File, start: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    memory.read_exact_at(&mut bytes, start).ok()?;
    Some(bytes)
}

/// Pages of this process as they were when first read: for what does not change, and is read word by
/// word.
#[derive(Debug)]
pub struct OwnPages {
    memory: Option<File>,
    pages: HashMap<u64, Option<Vec<u8>>>,
}

impl Default for OwnPages {
    fn default() -> Self {
        Self { memory: open(), pages: HashMap::new() }
    }
}

impl MemoryReader for OwnPages {
    fn word(&mut self, address: u64) -> Option<u64> {
        if !address.is_multiple_of(8) {
            return None;
        }
        let start = address & !(PAGE - 1);
        let memory = self.memory.as_ref()?;
        let page = self.pages.entry(start).or_insert_with(|| read(memory, start, PAGE as usize));
        let word = page.as_ref()?.get((address - start) as usize..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_what_is_not_there_is_refused() {
        let words = [1u64, 2, 3];
        let start = words.as_ptr() as u64;
        let mut pages = OwnPages::default();
        assert_eq!(pages.word(start + 16), Some(3));
        assert_eq!(pages.word(start + 1), None, "unaligned");
        assert_eq!(pages.word(16), None);
        assert_eq!(pages.word(!7), None);
    }
}
