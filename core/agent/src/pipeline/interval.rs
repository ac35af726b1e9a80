//! Times: between two samples of a thread, and between two drains of the rings.

use sondage_sampler::{Engine, MAX_EXTRA_WORDS, RING_WORDS};
use std::time::Duration;

/// The longest time between two drains. Short enough for a new thread to be found soon.
const MAX_DRAIN_INTERVAL: Duration = Duration::from_millis(100);
/// The shortest.
pub(super) const MIN_DRAIN_INTERVAL: Duration = Duration::from_millis(4);

/// A single sample may stand for this much CPU time; the rest is counted as missed. Longer gaps
/// mean a blocked signal, and the stack at its end says nothing about the time before.
const MAX_SAMPLE_WEIGHT: Duration = Duration::from_millis(100);

/// CPU timers expire with the kernel's tick: a shorter interval is not to be had of them.
pub(super) fn possible(interval: Duration, engine: Engine) -> Duration {
    match engine {
        Engine::Timer | Engine::Process => interval.max(sondage_sampler::kernel_tick()),
        Engine::Perf | Engine::None => interval,
    }
}

/// The cap on a sample's weight, in periods.
pub(super) fn weight_cap(interval: Duration) -> u32 {
    let periods = MAX_SAMPLE_WEIGHT.as_nanos() / interval.as_nanos().max(1);
    u32::try_from(periods).unwrap_or(u32::MAX).max(4)
}

/// Words of frames in one sample, at most: where there is an interpreter, its frames follow the
/// native ones, and one more word may say that there were more.
pub(super) fn deepest_sample(max_depth: u32) -> u32 {
    match crate::python::announced() {
        Some(_) => max_depth.saturating_mul(2).saturating_add(1),
        None => max_depth,
    }
}

/// Half of the time in which the deepest stacks at the set rate would fill a ring.
pub(super) fn longest_drain_interval(interval: Duration, max_depth: u32) -> Duration {
    let samples = RING_WORDS as u32 / (max_depth + MAX_EXTRA_WORDS as u32);
    (interval * samples / 2).clamp(MIN_DRAIN_INTERVAL, MAX_DRAIN_INTERVAL)
}

/// Sooner when a ring was more than half full, later when all were nearly empty.
pub(super) fn next_drain_interval(current: Duration, fullest: usize) -> Duration {
    match fullest {
        words if words > RING_WORDS / 2 => current / 2,
        words if words < RING_WORDS / 8 => current * 2,
        _ => current,
    }
}
