//! The threads of Java of another process, by the virtual machine's own list.

use super::layout::{Facts, Unsupported};
use super::vm_structs::VmStructs;
use crate::memory::MemoryReader;

/// Threads that are looked at.
const MAX_THREADS: u32 = 1 << 17;

/// Where the list is: `ThreadsSMRSupport::_java_thread_list`, which is replaced as a whole.
#[derive(Clone, Copy, Debug)]
pub struct JavaThreads {
    list: u64,
    length: u16,
    threads: u16,
}

impl JavaThreads {
    /// As the virtual machine says: `symbol` finds what libjvm exports.
    ///
    /// # Errors
    /// See [`Unsupported`].
    pub fn find<M: MemoryReader>(
        memory: &mut M,
        symbol: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Self, Unsupported> {
        let tables = VmStructs::read(memory, symbol).ok_or(Unsupported::NoTables)?;
        Ok(Self {
            list: tables.address("ThreadsSMRSupport", "_java_thread_list")?,
            length: tables.offset("ThreadsList", "_length")?,
            threads: tables.offset("ThreadsList", "_threads")?,
        })
    }

    /// Hands out each thread's number in the process' own namespace, and its `JavaThread`.
    pub fn each<M: MemoryReader>(
        &self,
        memory: &mut M,
        facts: &Facts,
        mut take: impl FnMut(i32, u64),
    ) -> Option<()> {
        let list = memory.word(self.list)?;
        let length = memory.half(list.wrapping_add(self.length.into()))?;
        let threads = memory.word(list.wrapping_add(self.threads.into()))?;
        for index in 0..length.min(MAX_THREADS) {
            let place = threads.wrapping_add(u64::from(index).wrapping_mul(8));
            let thread = memory.word(place)?;
            if let Some(number) = facts.thread_number(memory, thread) {
                take(number, thread);
            }
        }
        Some(())
    }
}
