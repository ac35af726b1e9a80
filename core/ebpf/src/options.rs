//! How to start.

use std::num::NonZeroU32;

/// How to start the engine for one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The process to sample, as this process's pid namespace numbers it.
    pub process: u32,
    /// Samples a second of each processor that runs the process. The kernel refuses more than
    /// `kernel.perf_event_max_sample_rate` says.
    pub hertz: NonZeroU32,
    /// Frames of one sample; at most 512.
    pub max_depth: u32,
    /// Whether samples taken in the kernel begin with its frames.
    pub kernel_stacks: bool,
    /// Room for samples between two drains, in bytes; rounded up to a power of two from 64 KiB to
    /// 1 GiB. A sample of 40 frames takes 400 bytes: 1 MiB holds 2,600 of them.
    pub ring_bytes: u32,
    /// The most that unwind tables may take, in bytes; memory is taken by the MiB, as tables come.
    /// libc's table takes 112 KB.
    pub table_bytes: usize,
}

impl Options {
    /// Samples the own process: 99 Hz, 128 frames, no kernel frames, 1 MiB of samples, up to 64 MiB
    /// of tables.
    pub fn own_process() -> Self {
        Self {
            process: std::process::id(),
            hertz: NonZeroU32::MIN.saturating_add(98),
            max_depth: 128,
            kernel_stacks: false,
            ring_bytes: 1 << 20,
            table_bytes: 64 << 20,
        }
    }
}

/// How to start the engine for the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Samples a second of each processor.
    pub hertz: NonZeroU32,
    /// As in [`Options`]; kernel frames come on top.
    pub max_depth: u32,
    /// As in [`Options`].
    pub kernel_stacks: bool,
    /// As in [`Options`].
    pub ring_bytes: u32,
    /// As in [`Options`].
    pub table_bytes: usize,
    /// Processes that can be known at once; 24 bytes and the hash table's own each.
    pub processes: u32,
    /// Mappings of all processes together, with room for those that are being replaced; 48 bytes
    /// each.
    pub mappings: u32,
    /// Whether threads that stop running are looked at.
    pub off_cpu: bool,
    /// Stops of threads that are looked at each second on one processor, about, when there are more.
    pub off_cpu_walks: u32,
    /// Threads whose stops can be looked at; 40 bytes and the hash table's own each.
    pub threads: u32,
}

impl Default for HostOptions {
    /// 19 Hz, 128 frames and the kernel's, 1 MiB of samples, up to 64 MiB of tables, 8,192 processes
    /// with 65,536 mappings; off-CPU time is off, or 50 stops a second of 16,384 threads.
    fn default() -> Self {
        Self {
            hertz: NonZeroU32::MIN.saturating_add(18),
            max_depth: 128,
            kernel_stacks: true,
            ring_bytes: 1 << 20,
            table_bytes: 64 << 20,
            processes: 8192,
            mappings: 1 << 16,
            off_cpu: false,
            off_cpu_walks: 50,
            threads: 16384,
        }
    }
}
