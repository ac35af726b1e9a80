//! Whether an engine's signals arrive, and what one costs.

use crate::clock::Clock;
use crate::process::{current_tid, with_signals_unblocked};
use crate::sampler::Sampler;
use crate::signal;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// Signals whose cost is looked at.
const SIGNALS: usize = 8;

/// What [`Sampler::probe`] has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// Periods that the signals stood for which interrupted the thread that ran.
    pub landed: u64,
    /// CPU time of that thread in the same time.
    pub cpu: Duration,
    /// CPU time that a signal took from the thread: the kernel's part, the handler and the way back.
    /// A quarter of the signals took less. Waiting for a processor, which signals with the kernel's
    /// tick often come with, does not count, but the switch to another thread does.
    pub cost: Duration,
}

impl Sampler {
    /// Computes on the calling thread until 8 signals have interrupted it, or `limit` of its CPU
    /// time is used. The thread must not be sampled yet, and is not afterwards; what was sampled of
    /// it is thrown away. Meant for a sampler that was started to be probed.
    pub fn probe(&self, limit: Duration) -> Landing {
        let tid = current_tid();
        let Ok(index) = self.add_thread(tid) else { return Landing::default() };
        let clock = || Clock::Thread(tid).now().unwrap_or(Duration::MAX);
        let samples = || {
            let slot = self.slot(index);
            slot.map_or(0, |slot| slot.tally.samples.load(Ordering::Relaxed))
        };
        let landing =
            with_signals_unblocked(signal::set(signal::number()), || watch(clock, samples, limit));
        let weight = self.slot(index).map_or(0, |slot| slot.tally.weight.load(Ordering::Relaxed));
        self.remove_thread(index, |_| {});
        Landing { landed: weight, ..landing }
    }
}

/// Reads the clock all the time. Where a sample was taken between two readings, they are that much
/// further apart than usual.
fn watch(clock: impl Fn() -> Duration, samples: impl Fn() -> u64, limit: Duration) -> Landing {
    let (mut gaps, mut len) = ([Duration::ZERO; SIGNALS], 0usize);
    let start = clock();
    let (mut last, mut seen, mut usual) = (start, samples(), Duration::MAX);
    while len < SIGNALS && last.saturating_sub(start) < limit {
        let now = clock();
        let mut gap = now.saturating_sub(last);
        last = now;
        let count = samples();
        if count == seen {
            usual = usual.min(gap);
            continue;
        }
        seen = count;
        // The signal came before the clock was read, or after.
        last = clock();
        gap = gap.max(last.saturating_sub(now));
        if let Some(entry) = gaps.get_mut(len) {
            *entry = gap;
            len = len.wrapping_add(1);
        }
    }
    let taken = gaps.get_mut(..len).unwrap_or_default();
    taken.sort_unstable();
    let quartile = taken.get(len / 4).copied().unwrap_or_default();
    Landing {
        landed: seen,
        cpu: clock().saturating_sub(start),
        cost: quartile.saturating_sub(usual),
    }
}
