//! Threads that use the processor in known ways.

use crate::signal::ProfilingSignal;
use crate::{chain, clock, spin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a thread does until it is stopped.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Uses the processor in its own `spin` function, 20 frames deep.
    Busy,
    /// The same, but threads with odd numbers sleep 3 ms after every 3 ms of work.
    Bursty,
    /// Short work at the end of ever different stacks: 250 of them, this deep.
    Deep(u32),
    /// As `Deep`, for that many rounds.
    Fixed(u32, u32),
    /// Sends itself its profiling signal 25 times a second, at the end of one of 30 stacks.
    Signals(u32),
    /// Sleeps.
    Quiet,
    /// Formats text and panics every third time, caught.
    Panics,
}

/// What one thread has done.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The kernel's number of the thread.
    pub tid: i32,
    /// CPU time from the start of the load to its end.
    pub cpu: Duration,
}

/// Threads under load. They exist before it starts and until [`Load::dismiss`].
#[derive(Debug)]
pub struct Load {
    gates: Arc<Gates>,
    threads: Vec<JoinHandle<Account>>,
}

#[derive(Debug)]
struct Gates {
    start: Barrier,
    end: Barrier,
    leave: Barrier,
    stop: AtomicBool,
}

impl Load {
    /// Makes the threads; they wait for [`Load::start`].
    pub fn gather(threads: u32, kind: Kind) -> Self {
        let barrier = || Barrier::new(threads as usize + 1);
        let gates = Arc::new(Gates {
            start: barrier(),
            end: barrier(),
            leave: barrier(),
            stop: AtomicBool::new(false),
        });
        let threads = (0..threads as usize).map(|index| {
            let gates = gates.clone();
            let body = move || {
                gates.start.wait();
                let before = clock::thread_cpu();
                work(kind, index, &gates.stop);
                let cpu = clock::thread_cpu() - before;
                gates.end.wait();
                gates.leave.wait();
                Account { tid: clock::tid(), cpu }
            };
            let builder = std::thread::Builder::new().name(format!("load-{index:02}"));
            builder.spawn(body).expect("a thread")
        });
        Self { threads: threads.collect(), gates }
    }

    /// Lets the threads begin.
    pub fn start(&self) {
        self.gates.start.wait();
    }

    /// Stops the work and waits until every thread has done so.
    pub fn stop(&self) {
        self.gates.stop.store(true, Ordering::Relaxed);
        self.gates.end.wait();
    }

    /// Waits until threads with fixed work have done it.
    pub fn finish(&self) {
        self.gates.end.wait();
    }

    /// Ends the threads.
    pub fn dismiss(self) -> Vec<Account> {
        self.gates.leave.wait();
        self.threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    }
}

/// CPU time of the threads that are neither under load nor the calling one: a profiler's own.
pub fn cpu_elsewhere() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let name = |tid: &i32| std::fs::read_to_string(format!("/proc/self/task/{tid}/comm"));
    tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .filter(|tid| *tid != clock::tid())
        .filter(|tid| name(tid).is_ok_and(|name| !name.starts_with("load-")))
        .map(clock::cpu_of)
        .sum()
}

fn work(kind: Kind, index: usize, stop: &AtomicBool) {
    let running = || !stop.load(Ordering::Relaxed);
    match kind {
        Kind::Busy => {
            chain::descend(20, index as u64, &mut || {
                (0..).take_while(|_| running()).fold(0, |sum, _| sum ^ spin::spin(index, 10_000))
            });
        }
        Kind::Bursty => {
            chain::descend(20, index as u64, &mut || {
                while running() {
                    burst(index);
                }
                0
            });
        }
        Kind::Deep(depth) => (0u64..).take_while(|_| running()).for_each(|round| {
            deep(depth, index, round);
        }),
        Kind::Fixed(depth, rounds) => {
            (0..u64::from(rounds)).for_each(|round| deep(depth, index, round));
        }
        Kind::Signals(depth) => {
            let signal = ProfilingSignal::of_this_thread();
            (index as u64 * 31..).take_while(|_| running()).for_each(|round| {
                chain::descend(depth, round % 30, &mut || {
                    signal.send();
                    0
                });
                std::thread::sleep(Duration::from_millis(40));
            });
        }
        Kind::Quiet => {
            while running() {
                std::thread::sleep(Duration::from_millis(40));
            }
        }
        Kind::Panics => (0u64..).take_while(|_| running()).for_each(panics),
    }
}

fn burst(index: usize) {
    let until = clock::thread_cpu() + Duration::from_millis(3);
    while clock::thread_cpu() < until {
        spin::spin(index, 20_000);
    }
    if index % 2 == 1 {
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// About 20 µs of work at the end of one of 250 stacks.
fn deep(depth: u32, index: usize, round: u64) {
    chain::descend(depth, round % 250, &mut || spin::spin(index, (round % 64 + 1) * 600));
}

/// Work that is in the unwinder much of the time.
#[inline(never)]
fn panics(round: u64) {
    let texts: Vec<String> = (0..20).map(|number| format!("{round}-{number}")).collect();
    let result = std::panic::catch_unwind(|| {
        if round.is_multiple_of(3) {
            std::panic::resume_unwind(Box::new(1u32));
        }
        texts.len()
    });
    std::hint::black_box(result.is_ok());
}
