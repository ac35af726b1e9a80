//! What the program counted.

use crate::error::Error;
use aya::maps::{Array, MapData};

/// Samples that were taken but could not be handed out, by cause, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The ring had no room: drain more often or make it larger.
    pub ring_full: u64,
    /// The list of the process' mappings was replaced while the stack was walked.
    pub modules_changed: u64,
    /// Stops of threads that found no room, where those are looked at.
    pub threads_full: u64,
}

/// Samples put into the ring since the start, and what is special about some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All of them.
    pub samples: u64,
    /// Threads of the kernel's, also those that it runs for a process (io_uring workers): they have
    /// no stack in user space.
    pub without_user_stack: u64,
    /// Of processes of which no mappings were known: the leaf, and a copy of the stack. Not in `samples`.
    pub unknown_process: u64,
    /// The kernel was running on behalf of the thread. Counts lost samples too.
    pub in_kernel: u64,
}

/// `enum counter` in `bpf/sample.h`.
const SAMPLES: u32 = 0;
const RING_FULL: u32 = 1;
const MODULES_CHANGED: u32 = 2;
const NO_USER_STACK: u32 = 3;
const IN_KERNEL: u32 = 4;
const UNKNOWN_PROCESS: u32 = 5;
const THREADS_FULL: u32 = 6;

/// The map `counters`.
pub(crate) struct CounterMap(pub(crate) Array<MapData, u64>);

impl CounterMap {
    pub(crate) fn losses(&self) -> Result<Losses, Error> {
        Ok(Losses {
            ring_full: self.read(RING_FULL)?,
            modules_changed: self.read(MODULES_CHANGED)?,
            threads_full: self.read(THREADS_FULL)?,
        })
    }

    pub(crate) fn counters(&self) -> Result<Counters, Error> {
        Ok(Counters {
            samples: self.read(SAMPLES)?,
            without_user_stack: self.read(NO_USER_STACK)?,
            unknown_process: self.read(UNKNOWN_PROCESS)?,
            in_kernel: self.read(IN_KERNEL)?,
        })
    }

    fn read(&self, index: u32) -> Result<u64, Error> {
        self.0.get(&index, 0).map_err(|error| Error::kernel("cannot read the counters", error))
    }
}
