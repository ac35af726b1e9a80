//! Waiting time: how long each thread did not run, and in which of its functions.
//!
//! A thread of native code is charged to the stack on which it was last sampled. That of a thread of
//! Python or Java is read while it waits, without a signal: then its frames are at rest. Whether it
//! waits for Python's lock, the kernel tells: on which address it sleeps.

use super::Collector;
use crate::pipeline::cpu::nanos;
use sondage_sampler::walk::python::PythonFrame;
use sondage_sampler::{End, RawSample, SlotIndex, Source};
use std::time::Instant;

/// The number of `futex(2)`. Source: Linux `arch/x86/entry/syscalls/syscall_64.tbl` and
/// `include/uapi/asm-generic/unistd.h`.
const FUTEX: &str = if cfg!(target_arch = "x86_64") { "202" } else { "98" };

impl Collector {
    /// Charges the time that a thread has waited since the last call.
    pub(super) fn add_waited(&mut self, slot: SlotIndex, tid: i32, now: Instant) {
        let waited = nanos(self.threads.waited(slot, tid, now));
        if waited == 0 {
            return;
        }
        if self.threads.state(slot, tid).waits_in.is_none() {
            let seen = match self.interpreted.lock() {
                Some(_) => self.look_at_waiting(slot, tid),
                None => self.look_at_waiting_java(slot, tid),
            };
            self.threads.state(slot, tid).waits_in = seen;
        }
        let state = self.threads.state(slot, tid);
        self.stacks.add_waited(state.waits_in.or(state.last_stack), waited);
    }

    /// The entry of the Python stack of a thread that waits.
    fn look_at_waiting(&mut self, slot: SlotIndex, tid: i32) -> Option<u32> {
        self.interpreted.lock()?;
        self.buffer.clear();
        self.buffer.push(PythonFrame::WaitsForGil.to_word());
        let buffer = &mut self.buffer;
        let labels = self.sampler.waiting_python(slot, |index, word| {
            buffer.truncate(index + 1);
            buffer.push(word);
        })?;
        let frames = match self.waits_for_gil(tid) {
            true => self.buffer.as_slice(),
            false => &self.buffer[1..],
        };
        let (weight, end, source) = (0, End::Root, Source::Timer);
        let sample = RawSample { weight, labels, end, source, tid: None, frames };
        let name = self.threads.name(slot, tid);
        self.stacks.waiting(&sample, name)
    }

    /// The entry of the stack of a thread of Java that waits.
    fn look_at_waiting_java(&mut self, slot: SlotIndex, tid: i32) -> Option<u32> {
        self.buffer.clear();
        let buffer = &mut self.buffer;
        let (labels, end) = self.sampler.waiting_java(slot, |index, word| {
            buffer.truncate(index);
            buffer.push(word);
        })?;
        let (weight, source) = (0, Source::Timer);
        let sample = RawSample { weight, labels, end, source, tid: None, frames: &self.buffer };
        let name = self.threads.name(slot, tid);
        self.stacks.waiting(&sample, name)
    }

    /// Whether a thread sleeps on a word of the interpreter's own state, which is its lock: those
    /// of `threading` lie elsewhere.
    fn waits_for_gil(&self, tid: i32) -> bool {
        let Some(lock) = self.interpreted.lock() else { return false };
        let call = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall"));
        let call = call.unwrap_or_default();
        let mut words = call.split(' ');
        let address = words.next().filter(|number| *number == FUTEX).and_then(|_| words.next());
        let address =
            address.and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
        address.is_some_and(|address| lock.contains(&address))
    }
}
