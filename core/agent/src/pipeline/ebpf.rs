//! The eBPF engine as the collector drains it.

use sondage_ebpf::{Engine, ErrorKind, Options};
use sondage_sampler::ModuleEntry;
use std::num::NonZeroU32;
use std::time::Duration;

/// How long the ring must hold samples: the longest time between two drains, and as much again for an
/// agent thread that is late.
const RING_TIME: f64 = 0.2;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Ebpf {
    engine: Engine,
    options: Options,
    /// Losses of the engine's that are told already.
    told: u64,
}

/// What this process, kernel or build lacks for the eBPF engine, each with what to do about it; empty
/// where it can run. Asks the kernel, which takes about a millisecond.
///
/// ```
/// for lack in sondage::ebpf_needs() {
///     println!("{lack}"); // "CAP_BPF is missing (grant CAP_BPF: …)"
/// }
/// ```
pub fn ebpf_needs() -> Vec<String> {
    sondage_ebpf::probe().iter().map(ToString::to_string).collect()
}

/// The interval that the engine has where this one is asked for: a whole number of samples a second,
/// and no multiple of ten, which would keep step with the kernel's tick and see threads that are
/// preempted by it too often or too seldom.
pub(super) fn possible(interval: Duration) -> Duration {
    Duration::from_secs(1) / hertz(interval).get()
}

fn hertz(interval: Duration) -> NonZeroU32 {
    let hertz = (1.0 / interval.as_secs_f64().max(1e-6)).round() as u32;
    NonZeroU32::new(if hertz.is_multiple_of(10) { hertz.saturating_sub(1) } else { hertz })
        .unwrap_or(NonZeroU32::MIN)
}

impl Ebpf {
    /// Starts to sample. What is sampled before it is wanted, [`Ebpf::discard`] throws away.
    pub(super) fn start(
        interval: Duration,
        max_depth: u32,
        modules: Vec<ModuleEntry<'_>>,
    ) -> Result<Self, String> {
        let hertz = hertz(interval);
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
        let samples = (f64::from(hertz.get()) * cpus as f64 * RING_TIME) as u32;
        let deepest = 64 + max_depth.min(512) * 8;
        let ring_bytes = samples.saturating_mul(deepest).clamp(256 << 10, 16 << 20);
        let options = Options { hertz, max_depth, ring_bytes, ..Options::own_process() };
        let engine = Engine::start(&options, modules).map_err(|error| error.to_string())?;
        Ok(Self { engine, options, told: 0 })
    }

    /// Replaces the list of modules. `false`: there is no room, start the engine again.
    pub(super) fn set_modules(&mut self, modules: Vec<ModuleEntry<'_>>) -> bool {
        !self.engine.set_modules(modules).is_err_and(|error| error.kind() == ErrorKind::Full)
    }

    /// Says which threads keep labels, and where.
    pub(super) fn set_label_cells(&mut self, cells: impl Iterator<Item = (i32, u64)>) {
        let cells = cells.filter_map(|(tid, address)| Some((u32::try_from(tid).ok()?, address)));
        // What finds no room has no labels.
        let _ = self.engine.set_label_cells(cells);
    }

    /// Throws away what was sampled so far, and what was lost of it.
    pub(super) fn discard(&mut self) {
        self.engine.drain(|_, _| {});
        self.take_lost();
    }

    /// Hands out samples: the thread, and the words of a `RawSample`.
    pub(super) fn drain(&mut self, mut take: impl FnMut(i32, &[u64])) {
        self.engine.drain(|tid, words| take(tid.cast_signed(), words));
    }

    /// Samples lost since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        let losses = self.engine.losses().unwrap_or_default();
        let lost = losses.ring_full.saturating_add(losses.modules_changed);
        let fresh = lost.saturating_sub(self.told);
        self.told = self.told.max(lost);
        fresh
    }

    /// CPU time between two samples.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.options.hertz.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_whole_rates() {
        let second = Duration::from_secs(1);
        for (asked, had) in [(100, 99), (99, 99), (97, 97), (10, 9), (5000, 4999), (1, 1)] {
            assert_eq!(possible(second / asked), second / had);
            assert_eq!(possible(second / had), second / had, "what it has stays");
        }
        assert_eq!(possible(second / 97 * 2), second / 49);
        assert_eq!(possible(9 * second), second);
    }
}
