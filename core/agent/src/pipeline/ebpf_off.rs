//! What stands for the eBPF engine in a build without it.

use sondage_sampler::ModuleEntry;
use std::convert::Infallible;
use std::time::Duration;

const MISSING: &str = "this build has no eBPF engine: build with the feature `ebpf`";

/// Never made.
#[derive(Debug)]
pub(super) struct Ebpf(Infallible);

/// What this process, kernel or build lacks for the eBPF engine, each with what to do about it; empty
/// where it can run.
pub fn ebpf_needs() -> Vec<String> {
    vec![MISSING.to_owned()]
}

pub(super) fn possible(interval: Duration) -> Duration {
    interval
}

impl Ebpf {
    pub(super) fn start(
        _interval: Duration,
        _max_depth: u32,
        _modules: Vec<ModuleEntry<'_>>,
    ) -> Result<Self, String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn set_modules(&mut self, _modules: Vec<ModuleEntry<'_>>) -> bool {
        match self.0 {}
    }

    pub(super) fn set_label_cells(&mut self, _cells: impl Iterator<Item = (i32, u64)>) {
        match self.0 {}
    }

    pub(super) fn discard(&mut self) {
        match self.0 {}
    }

    pub(super) fn drain(&mut self, _take: impl FnMut(i32, &[u64])) {
        match self.0 {}
    }

    pub(super) fn take_lost(&mut self) -> u64 {
        match self.0 {}
    }

    pub(super) fn interval(&self) -> Duration {
        match self.0 {}
    }
}
