//! Whether an engine's signals arrive, and what one costs.

use crate::arch;
use crate::clock::Clock;
use crate::process::{current_tid, with_signal_unblocked};
use crate::sampler::Sampler;
use crate::signal;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// Signals whose cost is looked at. The lower quartile counts: on a busy machine many of them are
/// where the thread had to wait for a processor.
const SIGNALS: usize = 16;

/// What [`Sampler::probe`] has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// Signals that interrupted the thread that ran.
    pub landed: u64,
    /// CPU time of that thread in the same time.
    pub cpu: Duration,
    /// Ticks of [`crate::ticks`] that a signal took from the thread, from the instruction before it
    /// to the one after: the kernel's part, the handler and the way back. A quarter of the signals
    /// took less.
    pub cost_ticks: u64,
}

impl Sampler {
    /// Computes on the calling thread until 16 signals have interrupted it, or `limit` of its CPU
    /// time is used. The thread must not be sampled yet, and is not afterwards; what was sampled of
    /// it is thrown away. Meant for a sampler that was started to be probed.
    pub fn probe(&self, limit: Duration) -> Landing {
        let tid = current_tid();
        let Ok(index) = self.add_thread(tid) else { return Landing::default() };
        let landing = with_signal_unblocked(signal::number(), || {
            let clock = || Clock::Thread(tid).now().unwrap_or(limit);
            let start = clock();
            let mut gaps = Gaps::default();
            let count =
                || self.slot(index).map_or(0, |slot| slot.tally.samples.load(Ordering::Relaxed));
            while gaps.len < SIGNALS && clock().saturating_sub(start) < limit {
                gaps.watch(&count);
            }
            Landing {
                landed: count(),
                cpu: clock().saturating_sub(start),
                cost_ticks: gaps.quartile(),
            }
        });
        self.remove_thread(index, |_| {});
        landing
    }
}

/// Gaps in a run of readings of the tick counter, where a signal was in between.
#[derive(Default)]
struct Gaps {
    all: [u64; SIGNALS],
    len: usize,
    seen: u64,
}

impl Gaps {
    /// Reads the counter some thousand times.
    fn watch(&mut self, count: &impl Fn() -> u64) {
        const READINGS: u32 = 4096;
        let mut last = arch::ticks();
        for _ in 0..READINGS {
            let now = arch::ticks();
            let gap = now.wrapping_sub(last);
            last = now;
            let samples = count();
            if samples != self.seen {
                self.seen = samples;
                // The signal came before the counter was read, or after.
                let later = arch::ticks().wrapping_sub(now);
                if let Some(entry) = self.all.get_mut(self.len) {
                    *entry = gap.max(later);
                    self.len = self.len.wrapping_add(1);
                }
                last = arch::ticks();
            }
        }
    }

    fn quartile(&mut self) -> u64 {
        let taken = self.all.get_mut(..self.len).unwrap_or_default();
        taken.sort_unstable();
        taken.get(taken.len() / 4).copied().unwrap_or(0)
    }
}
