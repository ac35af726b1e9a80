//! How to start.

use std::num::NonZeroU32;

/// How to start the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The process to sample, as this process's pid namespace numbers it.
    pub process: u32,
    /// Samples a second of each processor that runs the process. The kernel refuses more than
    /// `kernel.perf_event_max_sample_rate` says.
    pub hertz: NonZeroU32,
    /// Frames of one sample; at most 512.
    pub max_depth: u32,
    /// Room for samples between two drains, in bytes; rounded up to a power of two from 64 KiB to
    /// 1 GiB. A sample of 40 frames takes 352 bytes: 1 MiB holds 2,900 of them.
    pub ring_bytes: u32,
    /// Room for the tables of modules that are loaded later, in rows; a row takes 4 bytes, and
    /// half as much again goes to rules and page indexes. libc's table has about 28,000 rows.
    pub spare_rows: u32,
}

impl Options {
    /// Samples the own process: 99 Hz, 128 frames, 1 MiB of samples, 1.5 MiB for later tables.
    pub fn own_process() -> Self {
        Self {
            process: std::process::id(),
            hertz: NonZeroU32::MIN.saturating_add(98),
            max_depth: 128,
            ring_bytes: 1 << 20,
            spare_rows: 1 << 18,
        }
    }
}
