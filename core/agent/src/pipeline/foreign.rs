//! Stacks that a binding took itself, where no signal can: a queue before the agent thread.

use super::stacks::ThreadNameId;
use crate::labels::LabelSet;
use sondage_sampler::Labels;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Stacks that wait for the agent thread, which takes them ten times a second.
const QUEUE: usize = 4_096;

/// A frame of a [`ForeignStack`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ForeignFrame {
    /// The function's name.
    pub name: Arc<str>,
    /// The source file, or the empty string.
    pub file: Arc<str>,
    /// The line that runs, 0 when unknown.
    pub line: u32,
    /// The first line of the function, 0 when unknown.
    pub start_line: u32,
}

/// A stack that was not taken by the sampler, and the time that it stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForeignStack {
    /// How it was taken; the profile names it beside its own sources: `python-thread`.
    pub source: &'static str,
    /// The frames, leaf first.
    pub frames: Vec<ForeignFrame>,
    /// The labels that were current.
    pub labels: LabelSet,
    /// The thread's name, or the empty string.
    pub thread: Arc<str>,
    /// Samples that it stands for; 0 counts as one where it has CPU time.
    pub samples: u32,
    /// CPU time. What is told here no longer counts as unsampled: the sampler must not have
    /// counted it too.
    pub cpu: Duration,
    /// Waiting time, shown in profiles of wall time.
    pub waited: Duration,
}

/// A stack as a binding handed it over, leaf first.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedStack<'a> {
    pub(super) frames: &'a [ForeignFrame],
    pub(super) labels: Labels,
    pub(super) thread: ThreadNameId,
}

/// The sending end; what is cloned reaches the same queue.
#[derive(Clone, Debug)]
pub(crate) struct ForeignSender {
    queue: SyncSender<ForeignStack>,
    dropped: Arc<Dropped>,
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct ForeignStacks {
    queue: Receiver<ForeignStack>,
    dropped: Arc<Dropped>,
}

/// What found the queue full since it was last asked for.
#[derive(Debug, Default)]
struct Dropped {
    stacks: AtomicU64,
    cpu: AtomicU64,
}

/// A queue of stacks.
pub(crate) fn foreign_queue() -> (ForeignSender, ForeignStacks) {
    let (sender, queue) = sync_channel(QUEUE);
    let dropped = Arc::new(Dropped::default());
    (ForeignSender { queue: sender, dropped: dropped.clone() }, ForeignStacks { queue, dropped })
}

impl ForeignSender {
    /// Hands over stacks and returns how many of them found room. Waits for nobody.
    pub(crate) fn send(&self, stacks: impl IntoIterator<Item = ForeignStack>) -> usize {
        let mut sent = 0;
        for stack in stacks {
            let cpu = super::cpu::nanos(stack.cpu);
            if self.queue.try_send(stack).is_ok() {
                sent += 1;
            } else {
                self.dropped.stacks.fetch_add(1, Ordering::Relaxed);
                self.dropped.cpu.fetch_add(cpu, Ordering::Relaxed);
            }
        }
        sent
    }
}

impl ForeignStacks {
    /// The stacks that wait, at most as many as the queue holds.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = ForeignStack> {
        self.queue.try_iter().take(QUEUE)
    }

    /// Forgets the stacks that wait, and those that found no room.
    pub(crate) fn discard(&self) {
        self.waiting().for_each(drop);
        self.take_dropped();
    }

    /// Stacks that found no room since this was last asked, and their CPU time in nanoseconds.
    pub(crate) fn take_dropped(&self) -> (u64, u64) {
        let take = |number: &AtomicU64| number.swap(0, Ordering::Relaxed);
        (take(&self.dropped.stacks), take(&self.dropped.cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_with_its_time_and_nobody_waits() {
        let (sender, stacks) = foreign_queue();
        let stack = || ForeignStack { cpu: Duration::from_nanos(10), ..ForeignStack::default() };
        let all = (0..QUEUE + 3).map(|_| stack());
        assert_eq!(sender.send(all), QUEUE);
        assert_eq!(stacks.take_dropped(), (3, 30));
        assert_eq!(stacks.take_dropped(), (0, 0));
        assert_eq!(stacks.waiting().count(), QUEUE);
        assert_eq!(sender.send([stack()]), 1);
        stacks.discard();
        assert_eq!((stacks.waiting().count(), stacks.take_dropped()), (0, (0, 0)));
        drop(stacks);
        assert_eq!(sender.send([stack()]), 0, "nobody takes it any more");
    }
}
