//! When to leave signals for eBPF, and when to come back: decided from what flushes have shown.
//!
//! It does nothing itself, so that every way through it can be tested. Time is counted in flushes
//! that had something to say: a process that idles does not show whether it is sampled well.

use std::fmt;

/// Why signals do not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The kernel refuses CPU timers: a limit of queued signals, or a filter of system calls.
    Timers(String),
    /// Every signal that could be taken has a handler of the host.
    Signal,
    /// The settings forbid signals.
    Policy,
    /// Much CPU time was in threads that signals do not reach; in percent.
    Unsampled(u64),
    /// The other engine was asked for.
    Asked,
}

impl Cause {
    /// Whether signals take no sample at all: then less than they would show is better than nothing.
    fn is_total(&self) -> bool {
        !matches!(self, Self::Unsampled(_))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timers(reason) => write!(f, "no CPU timers: {reason}"),
            Self::Signal => {
                f.write_str("the host handles SIGURG, SIGPROF and every real-time signal itself")
            }
            Self::Policy => f.write_str("signals are forbidden by the settings"),
            Self::Unsampled(percent) => {
                write!(f, "{percent} % of the CPU time was in threads that signals do not reach")
            }
            Self::Asked => f.write_str("asked for"),
        }
    }
}

/// What one flush has shown; CPU time in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Of the host's threads.
    pub(super) host: u64,
    /// Of it, what no sample covers.
    pub(super) unsampled: u64,
    /// Between two samples.
    pub(super) period: u64,
    /// Threads for which the kernel refused a timer.
    pub(super) refused: u64,
}

impl Seen {
    /// Whether samples cover most of the CPU time.
    pub(super) fn is_well_sampled(self) -> bool {
        self.unsampled_percent().is_some_and(|percent| percent <= REFUSED_PERCENT)
    }

    /// The unsampled share in percent; `None` for too little CPU time to tell.
    fn unsampled_percent(self) -> Option<u64> {
        (self.host >= self.period.saturating_mul(ENOUGH_PERIODS) && self.host > 0)
            .then(|| self.unsampled.saturating_mul(100) / self.host)
    }
}

/// What to do after a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing.
    None,
    /// To eBPF.
    Out(Cause),
    /// To signals.
    Back,
}

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Signals.
    Inside,
    /// The eBPF engine.
    Outside(Cause),
    /// Nothing works in this process; it waits for signals, or for the host's agent.
    Nowhere(Cause),
}

/// CPU time of so many samples shows whether they cover it.
const ENOUGH_PERIODS: u64 = 20;

/// More than this share of unsampled CPU time, in percent, is high; so many flushes in a row are a
/// habit.
const HIGH_PERCENT: u64 = 50;
const HIGH_FLUSHES: u32 = 3;

/// The same where the kernel refuses timers to some threads: they will not get any by waiting.
const REFUSED_PERCENT: u64 = 10;
const REFUSED_FLUSHES: u32 = 2;

/// Flushes between two looks whether the cause is gone: each that finds it still there waits twice
/// as long for the next.
const SHORTEST_PAUSE: u32 = 3;
const LONGEST_PAUSE: u32 = 32;

/// A move that comes sooner than so many pauses after the last doubles the pause: who goes to and fro
/// does so ever more seldom.
const SETTLED_PAUSES: u32 = 4;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Switch {
    /// Whether signals may be left at all.
    may_leave: bool,
    /// Whether that would lose frames of a runtime: then only where there would be none at all.
    keeps_frames: bool,
    place: Place,
    /// Flushes in a row with much unsampled, and with refused threads.
    high: u32,
    refused: u32,
    /// Flushes to wait for, at the beginning and still.
    pause: u32,
    wait: u32,
    /// Flushes since the last move back, or the last one that could not be made.
    settled: u32,
}

impl Switch {
    /// Starts with signals.
    pub(super) fn new(may_leave: bool, keeps_frames: bool) -> Self {
        Self {
            may_leave,
            keeps_frames,
            place: Place::Inside,
            high: 0,
            refused: 0,
            pause: SHORTEST_PAUSE,
            wait: 0,
            settled: u32::MAX,
        }
    }

    /// Why signals take no samples now, if they do not.
    pub(super) fn cause(&self) -> Option<&Cause> {
        match &self.place {
            Place::Inside => None,
            Place::Outside(cause) | Place::Nowhere(cause) => Some(cause),
        }
    }

    /// Whether signals are to take samples now.
    pub(super) fn is_inside(&self) -> bool {
        self.place == Place::Inside
    }

    /// Whether a cause that shows at once is one to leave signals for.
    pub(super) fn leaves_for(&self, cause: &Cause) -> bool {
        self.may_leave && self.is_inside() && (cause.is_total() || !self.keeps_frames)
    }

    /// What to do after a flush. `is_over` looks whether a cause is gone, and is asked when it is
    /// time.
    pub(super) fn flushed(&mut self, seen: Seen, is_over: impl FnOnce(&Cause) -> bool) -> Move {
        self.settled = self.settled.saturating_add(1);
        self.count(seen);
        self.wait = self.wait.saturating_sub(1);
        let fails_outside = self.high >= HIGH_FLUSHES;
        match &self.place {
            Place::Inside => self.leave(seen),
            _ if self.wait > 0 => Move::None,
            // Where eBPF does not see the time either, signals are no worse.
            Place::Outside(Cause::Unsampled(_)) if fails_outside => {
                self.pause = LONGEST_PAUSE;
                Move::Back
            }
            Place::Outside(cause) | Place::Nowhere(cause) => {
                if is_over(cause) {
                    return Move::Back;
                }
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.wait = self.pause;
                Move::None
            }
        }
    }

    fn count(&mut self, seen: Seen) {
        let Some(percent) = seen.unsampled_percent() else { return };
        let next = |count: u32, is_so: bool| if is_so { count.saturating_add(1) } else { 0 };
        self.high = next(self.high, percent > HIGH_PERCENT);
        self.refused = next(self.refused, seen.refused > 0 && percent > REFUSED_PERCENT);
    }

    fn leave(&mut self, seen: Seen) -> Move {
        if self.settled >= self.pause.saturating_mul(SETTLED_PAUSES) {
            self.pause = SHORTEST_PAUSE;
        }
        if self.wait > 0 {
            return Move::None;
        }
        let cause = if self.refused >= REFUSED_FLUSHES {
            Cause::Timers(format!("refused to {} threads", seen.refused))
        } else if self.high >= HIGH_FLUSHES {
            Cause::Unsampled(seen.unsampled_percent().unwrap_or(0))
        } else {
            return Move::None;
        };
        // Some threads have timers: frames of a runtime are not given up for the others.
        if self.may_leave && !self.keeps_frames { Move::Out(cause) } else { Move::None }
    }

    /// Samples come from eBPF now.
    pub(super) fn went_out(&mut self, cause: Cause) {
        if self.settled < self.pause.saturating_mul(SETTLED_PAUSES) {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.arrive(Place::Outside(cause));
    }

    /// There is no eBPF here. Where signals take no samples either, nothing does.
    pub(super) fn could_not_go(&mut self, cause: Cause, signals_work: bool) {
        self.pause = if signals_work { (self.pause * 2).min(LONGEST_PAUSE) } else { self.pause };
        self.settled = 0;
        self.arrive(if signals_work { Place::Inside } else { Place::Nowhere(cause) });
    }

    /// Samples come from signals now.
    pub(super) fn came_back(&mut self) {
        self.settled = 0;
        self.arrive(Place::Inside);
        // Threads that have just got their timers have had no time to be sampled.
        self.wait = if self.pause == LONGEST_PAUSE { LONGEST_PAUSE } else { 0 };
    }

    fn arrive(&mut self, place: Place) {
        self.place = place;
        (self.high, self.refused) = (0, 0);
        self.wait = self.pause;
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
