//! Memory of another process.

use crate::sys;
use sondage_sampler::MemoryReader;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

const PAGE: u64 = 4096;

/// Pages that are kept: 64 MiB. Beyond, all are read again.
const MAX_PAGES: usize = 16 << 10;

/// Pages that are read at once where a walk begins.
const AHEAD: u64 = 4;

/// The memory of another process, page by page as it was when first read. Copies share the pages.
///
/// What is remembered is true as long as nobody changes it: to be used while the thread is stopped
/// whose memory it is, and [`forget`](Self::forget) called before the next stop.
#[derive(Clone, Debug)]
pub struct RemoteMemory(Rc<RefCell<Pages>>);

#[derive(Debug)]
struct Pages {
    pid: u32,
    /// By index in `bytes`, in pages; `None` for what cannot be read.
    known: HashMap<u64, Option<u32>>,
    bytes: Vec<u8>,
    /// The page of the last word: most words are in the same one as the word before.
    last: Option<(u64, usize)>,
    /// Instead of the system call, where that is not permitted.
    file: Option<File>,
}

impl RemoteMemory {
    /// Of the process `pid`.
    pub fn new(pid: u32) -> Self {
        let (known, bytes) = (HashMap::new(), Vec::new());
        Self(Rc::new(RefCell::new(Pages { pid, known, bytes, last: None, file: None })))
    }

    /// Forgets the pages: they are read again.
    pub fn forget(&self) {
        let mut pages = self.0.borrow_mut();
        pages.known.clear();
        pages.bytes.clear();
        pages.last = None;
    }

    /// Reads the pages from an address on that a walk will need.
    pub(crate) fn read_ahead(&self, address: u64) {
        let mut pages = self.0.borrow_mut();
        let start = address & PAGE.wrapping_neg();
        pages.fetch(start, AHEAD);
    }

    /// The bytes from an address on; `None` if not all can be read.
    pub fn bytes(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        let read = self.0.borrow_mut().read(address, &mut bytes).ok()?;
        (read == count).then_some(bytes)
    }

    /// The bytes from an address to the first zero, at most `limit`.
    pub fn text(&self, address: u64, limit: usize) -> Option<Vec<u8>> {
        let mut memory = self.clone();
        let mut text = Vec::new();
        for at in 0..limit as u64 {
            match memory.byte(address.wrapping_add(at))? {
                0 => return Some(text),
                byte => text.push(byte),
            }
        }
        Some(text)
    }
}

impl Pages {
    /// Makes sure that `count` pages are known or known not to be there.
    fn fetch(&mut self, start: u64, count: u64) {
        if self.bytes.len() as u64 / PAGE + count > MAX_PAGES as u64 {
            self.known.clear();
            self.bytes.clear();
            self.last = None;
        }
        let before = self.bytes.len();
        self.bytes.resize(before + (count * PAGE) as usize, 0);
        let mut bytes = std::mem::take(&mut self.bytes);
        let read = self.read(start, &mut bytes[before..]).unwrap_or(0) as u64;
        self.bytes = bytes;
        for page in 0..count {
            let whole = (page + 1) * PAGE <= read;
            let index = (before as u64 / PAGE + page) as u32;
            if whole || page == 0 {
                let address = start.wrapping_add(page * PAGE);
                self.known.insert(address, whole.then_some(index));
            }
        }
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(file) = &self.file {
            return file.read_at(bytes, address);
        }
        match sys::read(self.pid as i32, address, bytes) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
                let file = File::open(format!("/proc/{}/mem", self.pid))?;
                self.file.insert(file).read_at(bytes, address)
            }
            read => read,
        }
    }

    fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        let page = address & PAGE.wrapping_neg();
        let at = match self.last {
            Some((last, at)) if last == page => at,
            _ => {
                if !self.known.contains_key(&page) {
                    self.fetch(page, 1);
                }
                let index = *self.known.get(&page)?;
                let at = index? as usize * PAGE as usize;
                self.last = Some((page, at));
                at
            }
        };
        let bytes = self.bytes.get(at + (address - page) as usize..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*bytes))
    }
}

impl MemoryReader for RemoteMemory {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.0.borrow_mut().word(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_until_they_are_forgotten_and_what_is_not_there_is_refused() {
        let mut words = vec![0u64; 4096];
        words[1000] = 7;
        let start = words.as_ptr() as u64;
        let mut memory = RemoteMemory::new(std::process::id());
        memory.read_ahead(start);
        assert_eq!(memory.word(start + 8000), Some(7));
        words[1000] = 8;
        assert_eq!(memory.clone().word(start + 8000), Some(7), "copies share what is known");
        memory.forget();
        assert_eq!(memory.word(start + 8000), Some(8));
        for refused in [0, 8, 4096, u64::MAX - 7, start + 1] {
            assert_eq!(memory.word(refused), None, "{refused:#x}");
        }
        assert_eq!(memory.bytes(start + 7999, 9).unwrap()[1], 8);
        assert_eq!(memory.bytes(16, 8), None);
    }

    #[test]
    fn without_the_system_call_memory_is_read_as_a_file() {
        let words = vec![5u64; 1024];
        let mut memory = RemoteMemory::new(std::process::id());
        memory.0.borrow_mut().file = Some(File::open("/proc/self/mem").unwrap());
        assert_eq!(memory.word(words.as_ptr() as u64 + 4096), Some(5));
        assert_eq!(memory.word(16), None);
    }
}
