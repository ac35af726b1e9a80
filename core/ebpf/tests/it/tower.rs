//! Known deep stacks: 24 functions that call each other, and work at the bottom.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

/// What the innermost function does until it is told to stop.
pub(crate) type Work = fn(&AtomicBool) -> u64;

macro_rules! levels {
    ($($name:ident $next:ident)*) => {$(
        #[inline(never)]
        pub(crate) fn $name(work: Work, stop: &AtomicBool) -> u64 {
            // Not a tail call: the result is used.
            black_box($next(black_box(work), stop)).wrapping_add(1)
        }
    )*};
}

levels! {
    level_01 level_02 level_02 level_03 level_03 level_04 level_04 level_05 level_05 level_06
    level_06 level_07 level_07 level_08 level_08 level_09 level_09 level_10 level_10 level_11
    level_11 level_12 level_12 level_13 level_13 level_14 level_14 level_15 level_15 level_16
    level_16 level_17 level_17 level_18 level_18 level_19 level_19 level_20 level_20 level_21
    level_21 level_22 level_22 level_23 level_23 level_24 level_24 bottom
}

/// How many levels there are.
pub(crate) const LEVELS: usize = 24;

#[inline(never)]
fn bottom(work: Work, stop: &AtomicBool) -> u64 {
    black_box(work(stop)).wrapping_add(1)
}

/// Computes.
#[inline(never)]
pub(crate) fn burn(stop: &AtomicBool) -> u64 {
    let mut value = 1u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            value = black_box(value.wrapping_mul(6364136223846793005).wrapping_add(1));
        }
    }
    value
}

/// Lets the kernel work: most samples find the thread inside a system call.
#[inline(never)]
pub(crate) fn read_zeros(stop: &AtomicBool) -> u64 {
    use std::io::Read;
    let mut file = std::fs::File::open("/dev/zero").unwrap();
    let mut buffer = vec![0; 1 << 18];
    while !stop.load(Ordering::Relaxed) {
        file.read_exact(&mut buffer).unwrap();
    }
    u64::from(buffer[0])
}

/// Allocates, formats, hashes and sorts: many small functions, most of them in libc and std.
#[inline(never)]
pub(crate) fn churn(stop: &AtomicBool) -> u64 {
    let mut total = 0usize;
    while !stop.load(Ordering::Relaxed) {
        let mut map = std::collections::HashMap::new();
        for number in 0..100u64 {
            map.insert(format!("{number:>4}-{:.3}", (number as f64).sqrt()), vec![number; 20]);
        }
        let mut keys: Vec<_> = map.keys().collect();
        keys.sort();
        total = total.wrapping_add(black_box(keys.len()));
    }
    total as u64
}

/// A thread in the tower. Dropping it stops and joins it.
pub(crate) struct Tower {
    pub(crate) tid: u32,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Tower {
    pub(crate) fn of(work: Work) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, receive) = mpsc::channel();
        let stop_there = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            // "PID/task/TID"
            let link = std::fs::read_link("/proc/thread-self").unwrap();
            let tid = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
            send.send(tid).unwrap();
            level_01(work, &stop_there)
        });
        Self { tid: receive.recv().unwrap(), stop, thread: Some(thread) }
    }
}

impl Drop for Tower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
