//! Pausing the signals while another engine takes the samples, and going on with them.

use crate::engine::{self, Engine};
use crate::errno::Errno;
use crate::process::current_tid;
use crate::registration;
use crate::sampler::{Sampler, StartError};
use crate::signal;
use crate::timer::Timer;
use core::sync::atomic::Ordering;

/// Timers that are tried at once, at most.
const TRIED: usize = 64;

impl Sampler {
    /// Stops what sends signals, and keeps the rest: threads have slots, and new ones get some, so
    /// that their labels are known. Returns `false`, with nothing changed, when a thread is just
    /// being registered: try again.
    pub fn suspend(&self) -> bool {
        // A thread that registers meanwhile would get a timer.
        let Some(_held) = registration::hold() else { return false };
        self.stop_timers();
        engine::change(Engine::None, signal::number());
        true
    }

    /// Goes on with an engine, after [`Sampler::suspend`] or a start with [`Engine::None`]. A thread
    /// for which the kernel refuses a timer loses its slot at the next look.
    ///
    /// # Errors
    /// `None` inside when a thread is just being registered: try again; otherwise why there can
    /// be no signals, with nothing changed.
    pub fn resume(&self, engine: Engine) -> Result<(), Option<StartError>> {
        let _held = registration::hold().ok_or(None)?;
        self.try_signals(1)?;
        self.guard();
        if !signal::is_ours() {
            signal::install().ok_or(StartError::NoFreeSignal)?;
        }
        engine::change(engine, signal::number());
        for (index, tid) in self.threads() {
            if let Some(slot) = self.slot(index) {
                let _ = engine::start(slot, index, tid);
            }
        }
        engine::start_process(self.pool()).map_err(|errno| Some(StartError::Timer(errno)))
    }

    /// Whether there is a signal to take, and whether the kernel gives timers for so many threads;
    /// 64 are tried at most. Nothing is changed.
    ///
    /// # Errors
    /// [`StartError::NoFreeSignal`] or [`StartError::Timer`].
    pub fn try_signals(&self, threads: usize) -> Result<(), StartError> {
        let signal = signal::choose().ok_or(StartError::NoFreeSignal)?;
        let mut timers = [None; TRIED];
        let mut outcome = Ok(());
        for place in timers.iter_mut().take(threads.max(1)) {
            match Timer::create(current_tid(), signal, 0) {
                Ok(timer) => *place = Some(timer),
                Err(Errno(errno)) => {
                    outcome = Err(StartError::Timer(Errno(errno)));
                    break;
                }
            }
        }
        timers.into_iter().flatten().for_each(Timer::delete);
        outcome
    }

    /// The signal that is ours, if one is.
    pub fn signal(&self) -> Option<i32> {
        Some(signal::number()).filter(|signal| *signal != 0)
    }

    /// The threads that keep labels, and the addresses of their
    /// [cells](crate::LabelCell), for an engine that reads them from outside.
    pub fn label_cells(&self) -> impl Iterator<Item = (i32, u64)> {
        self.threads().filter_map(|(index, tid)| {
            let cell = self.slot(index)?.labels.load(Ordering::Relaxed);
            (!cell.is_null()).then_some((tid, cell as u64))
        })
    }
}
