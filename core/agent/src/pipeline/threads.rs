//! The threads of this process: finding new ones, naming them, noticing the end of old ones.

use super::stacks::ThreadNameId;
use sondage_sampler::{Clock, Sampler, SlotIndex};
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// How often the list of threads is read even when their number has not changed.
const FULL_SCAN: Duration = Duration::from_secs(1);

/// Names kept for one profile; later ones share the last.
const MAX_NAMES: usize = 256;

/// Threads of Sondage itself, at most: an agent has about a dozen.
const MAX_OWN: usize = 128;

/// Threads of Sondage itself: not sampled, accounted apart. 0 is a free place. Without a lock, which
/// a forked child could find taken for ever.
static OWN_THREADS: [AtomicI32; MAX_OWN] = [const { AtomicI32::new(0) }; MAX_OWN];

/// The threads of Sondage itself.
pub(super) fn own_threads() -> impl Iterator<Item = i32> {
    OWN_THREADS.iter().map(|place| place.load(Ordering::Relaxed)).filter(|tid| *tid != 0)
}

/// Puts a number in the first place that holds the other one.
fn replace_own(from: i32, to: i32) {
    let replace = |place: &AtomicI32| {
        place.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    };
    OWN_THREADS.iter().any(replace);
}

/// Keeps the calling thread out of the profile while the returned value lives, and accounts its
/// CPU time as the profiler's own: for threads that serve nothing but profiling. Beyond 128 such
/// threads it does nothing.
///
/// ```
/// std::thread::spawn(|| {
///     let _own = sondage::exclude_this_thread();
///     // Write profiles somewhere.
/// });
/// ```
#[must_use = "the thread is excluded only while the value lives"]
pub fn exclude_this_thread() -> OwnThread {
    let tid = sondage_sampler::current_tid();
    replace_own(0, tid);
    OwnThread { tid }
}

/// See [`exclude_this_thread`].
#[derive(Debug)]
pub struct OwnThread {
    tid: i32,
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        replace_own(self.tid, 0);
    }
}

/// In a forked child: the parent's threads are not here; those that the child has excluded since
/// stay.
pub(crate) fn forget_own_threads() {
    let is_here = |tid: &i32| std::path::Path::new(&format!("/proc/self/task/{tid}")).exists();
    own_threads().filter(|tid| !is_here(tid)).for_each(|tid| replace_own(tid, 0));
}

/// CPU time that the threads of Sondage have used since each began, those that
/// [`exclude_this_thread`] counts as such included. Threads that have ended are not in it.
pub fn own_cpu() -> Duration {
    own_threads().filter_map(|tid| Clock::Thread(tid).now().ok()).sum()
}

/// A number that changes with the number of threads.
fn task_count() -> u64 {
    std::fs::metadata("/proc/self/task").map_or(0, |task| task.nlink())
}

/// What is known of one sampled thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadState {
    tid: i32,
    /// Its name, once it has run long enough to be sampled.
    name: Option<ThreadNameId>,
    /// The stack it was last seen on: the number of its entry.
    pub(crate) last_stack: Option<u32>,
    /// Its CPU clock and the time, when its waiting was last accounted.
    waited_until: Option<(Duration, Instant)>,
    /// The entry of the stack in which it was last seen waiting.
    pub(crate) waits_in: Option<u32>,
}

/// The sampled threads.
#[derive(Debug)]
pub(crate) struct Threads {
    states: HashMap<SlotIndex, ThreadState>,
    names: Vec<String>,
    last_scan: Option<Instant>,
    last_count: u64,
    /// Names of threads without a slot, by their ids, since the last look at all threads.
    strangers: HashMap<i32, ThreadNameId>,
    /// Threads that could not be sampled at the last scan.
    pub(crate) refused: u64,
    /// Why.
    pub(crate) last_refusal: Option<String>,
}

impl Threads {
    pub(crate) fn new() -> Self {
        Self {
            states: HashMap::new(),
            names: vec![String::new()],
            last_scan: None,
            last_count: 0,
            strangers: HashMap::new(),
            refused: 0,
            last_refusal: None,
        }
    }

    /// Whether the number of threads has changed since the last scan; costs one system call.
    pub(crate) fn have_changed(&self) -> bool {
        task_count() != self.last_count
    }

    /// Starts sampling new threads. Reads the list only when the number of threads changed or a
    /// second has passed. Returns the slots of threads that have ended.
    pub(crate) fn scan(&mut self, sampler: &Sampler, now: Instant) -> Vec<SlotIndex> {
        let count = task_count();
        let recent = self.last_scan.is_some_and(|last| now.duration_since(last) < FULL_SCAN);
        if recent && count == self.last_count {
            return Vec::new();
        }
        // First: the listing needs a descriptor, which it may be for this to get back.
        sampler.repair();
        let Ok(listing) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
        let living: HashSet<i32> =
            listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        self.last_scan = Some(now);
        self.strangers.clear();
        self.last_count = count;
        // The timer knows; the listing does not: a thread may have registered itself since.
        let threads = sampler.threads().map(|(slot, _)| slot);
        let ended = threads.filter(|slot| !sampler.is_alive(*slot)).collect();
        self.add_new(sampler, &living);
        ended
    }

    fn add_new(&mut self, sampler: &Sampler, living: &HashSet<i32>) {
        let sampled: HashSet<i32> = sampler.threads().map(|(_, tid)| tid).collect();
        let own: HashSet<i32> = own_threads().collect();
        self.refused = 0;
        for tid in living.difference(&sampled).filter(|tid| !own.contains(tid)) {
            if let Err(Some(errno)) = sampler.add_thread(*tid) {
                self.refused += 1;
                self.last_refusal = Some(errno.to_string());
            }
        }
    }

    /// The state of a slot's thread.
    pub(crate) fn state(&mut self, slot: SlotIndex, tid: i32) -> &mut ThreadState {
        let fresh =
            ThreadState { tid, name: None, last_stack: None, waited_until: None, waits_in: None };
        let state = self.states.entry(slot).or_insert(fresh);
        if state.tid != tid {
            *state = fresh;
        }
        state
    }

    /// The name of a slot's thread, read when the first sample of the thread arrives.
    pub(crate) fn name(&mut self, slot: SlotIndex, tid: i32) -> ThreadNameId {
        if let Some(name) = self.state(slot, tid).name {
            return name;
        }
        let name = self.read_name(tid);
        self.state(slot, tid).name = Some(name);
        name
    }

    /// The name of a thread that has no slot; none if it has ended already.
    pub(crate) fn name_of_stranger(&mut self, tid: i32) -> ThreadNameId {
        if let Some(name) = self.strangers.get(&tid) {
            return *name;
        }
        let name = self.read_name(tid);
        self.strangers.insert(tid, name);
        name
    }

    fn read_name(&mut self, tid: i32) -> ThreadNameId {
        let name = std::fs::read(format!("/proc/self/task/{tid}/comm")).unwrap_or_default();
        self.intern(String::from_utf8_lossy(&name).trim_end())
    }

    /// The number of a name.
    pub(crate) fn intern(&mut self, name: &str) -> ThreadNameId {
        let known = self.names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            if self.names.len() < MAX_NAMES {
                self.names.push(name.to_owned());
            }
            self.names.len() - 1
        });
        ThreadNameId(index as u32)
    }

    /// The text of a name.
    pub(crate) fn name_text(&self, id: ThreadNameId) -> &str {
        self.names.get(id.0 as usize).map_or("", String::as_str)
    }

    /// Forgets a slot whose thread has ended.
    pub(crate) fn remove(&mut self, slot: SlotIndex) {
        self.states.remove(&slot);
    }

    /// Forgets where threads were last seen: the table of stacks is about to be cleared.
    pub(crate) fn forget_stacks(&mut self) {
        self.states.values_mut().for_each(|state| {
            state.last_stack = None;
            state.waits_in = None;
        });
    }

    /// Waiting is accounted from now on: time before does not count.
    pub(crate) fn forget_waiting(&mut self) {
        self.states.values_mut().for_each(|state| state.waited_until = None);
    }

    /// How long the slot's thread has waited since this was last asked: time that passed less
    /// CPU time used.
    pub(crate) fn waited(&mut self, slot: SlotIndex, tid: i32, now: Instant) -> Duration {
        let state = self.state(slot, tid);
        let Ok(cpu) = Clock::Thread(tid).now() else { return Duration::ZERO };
        let before = state.waited_until.replace((cpu, now));
        let (cpu_before, then) = before.unwrap_or((cpu, now));
        if cpu != cpu_before {
            state.waits_in = None;
        }
        now.duration_since(then).saturating_sub(cpu.saturating_sub(cpu_before))
    }
}
