//! Samples that came before the code of their process was known, with a copy of the stack.

use sondage_ebpf::{Record, StackCopy};
use sondage_sampler::{Labels, RawSample};

/// A sample whose stack is walked when the unwind tables of its process are there.
#[derive(Clone, Debug)]
pub(crate) struct Unwalked {
    pub(crate) copy: StackCopy,
    /// The kernel's frames, which are known.
    pub(crate) kernel: Vec<u64>,
    pub(crate) weight: u32,
    pub(crate) labels: Labels,
    pub(crate) thread: String,
}

impl Unwalked {
    /// `None` of a record without a copy.
    pub(crate) fn of(record: &Record<'_>, labels: Labels, thread: &str) -> Option<Self> {
        let copy = StackCopy::of(record)?;
        let (sample, _) = RawSample::read(record.words)?;
        let (_, kernel) = sample.frames.split_last()?;
        let (kernel, thread) = (kernel.to_vec(), thread.to_owned());
        Some(Self { copy, kernel, weight: sample.weight, labels, thread })
    }
}
