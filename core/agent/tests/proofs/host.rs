//! What the host may rely on while it is sampled and after.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the scenarios are the host's own system calls"
)]

use crate::child::{PATIENCE, isolated, size};
use crate::stepper::{is_system_call, step_through};
use crate::sys;
use crate::workload::{self, burn, spin};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Waits on a socket and returns whether a signal ended it (`EINTR`).
type Wait = fn(c_int) -> bool;

/// Waits that a signal would interrupt.
const WAITS: [(&str, Wait); 4] = [
    ("poll", |socket| {
        let mut entry = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        interrupted(unsafe { libc::poll(&raw mut entry, 1, 1) } as isize)
    }),
    ("epoll_wait", |_| {
        thread_local!(static EPOLL: c_int = unsafe { libc::epoll_create1(0) });
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        interrupted(unsafe { libc::epoll_wait(EPOLL.with(|fd| *fd), &raw mut event, 1, 1) } as isize)
    }),
    ("recv", |socket| {
        let mut byte = 0u8;
        interrupted(unsafe { libc::recv(socket, (&raw mut byte).cast(), 1, 0) })
    }),
    ("nanosleep", |_| {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        interrupted(unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) } as isize)
    }),
];

fn interrupted(result: isize) -> bool {
    result < 0 && sys::errno() == libc::EINTR
}

/// A socket on which nothing ever arrives and on which `recv` gives up after a millisecond.
fn silent_socket() -> c_int {
    let mut pair = [0; 2];
    let timeout = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    unsafe {
        assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()), 0);
        let size = u32::try_from(size_of_val(&timeout)).unwrap();
        let value = (&raw const timeout).cast();
        let set = libc::setsockopt(pair[0], libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, size);
        assert_eq!(set, 0);
    }
    pair[0]
}

#[test]
fn no_wait_of_the_host_is_interrupted() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let calls = size(1_000, 25_000);
        let waiting: Vec<_> = WAITS
            .iter()
            .map(|(name, wait)| {
                std::thread::spawn(move || {
                    let (socket, mut count) = (silent_socket(), 0);
                    for call in 0..calls {
                        // From a blink to a tick, so that waits begin at every phase.
                        let busy = if call % 16 == 0 { 4_000 } else { 50 + call % 7 * 100 };
                        burn(Duration::from_micros(busy));
                        count += u64::from(wait(socket));
                    }
                    (*name, count, sys::thread_cpu())
                })
            })
            .collect();
        let mut sum = 0;
        for thread in waiting {
            let (name, count, cpu) = thread.join().unwrap();
            println!("{name:>10}: {count} of {calls} calls returned EINTR ({cpu:?} of CPU time)");
            sum += count;
        }
        let stats = workload::flushed(&agent, size(100, 2_000));
        println!("{} samples of {:?}", stats.samples, stats.interval);
        assert_eq!(sum, 0);
        // The test can see one: our own signal, sent to a thread that waits, does interrupt.
        assert!(interrupts_when_sent_to_a_waiting_thread());
    });
}

fn interrupts_when_sent_to_a_waiting_thread() -> bool {
    let (send, receive) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        sondage::register_thread();
        send.send(sys::tid()).unwrap();
        let mut entry = libc::pollfd { fd: -1, events: 0, revents: 0 };
        interrupted(unsafe { libc::poll(&raw mut entry, 1, 20_000) } as isize)
    });
    let timer = sys::timer_of(receive.recv().unwrap()).expect("registered threads have timers");
    while !waiting.is_finished() {
        std::thread::sleep(Duration::from_millis(100));
        timer.expire_now();
    }
    waiting.join().unwrap()
}

#[test]
fn a_blocking_read_goes_on_after_a_sample() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let mut pipe = [0; 2];
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        let (send, receive) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            sondage::register_thread();
            send.send(sys::tid()).unwrap();
            let mut byte = 0u8;
            let count = unsafe { libc::read(pipe[0], (&raw mut byte).cast(), 1) };
            (count, byte, sys::errno())
        });
        let timer = sys::timer_of(receive.recv().unwrap()).expect("registered threads have timers");
        // Those that come while one is pending are one.
        workload::work_until(Duration::from_secs(60), || {
            timer.expire_now();
            agent.flush().unwrap();
            let handled = workload::handled(&agent.stats());
            if handled >= 40 { Ok(()) } else { Err(format!("{handled} signals handled")) }
        });
        assert_eq!(unsafe { libc::write(pipe[1], c"x".as_ptr().cast(), 1) }, 1);
        let (count, byte, errno) = reading.join().unwrap();
        assert_eq!((count, byte), (1, b'x'), "errno {errno}");
        workload::flushed(&agent, 20);
    });
}

/// What a process holds: descriptors, timers, threads, and mappings by permissions and name.
fn holdings() -> [Vec<String>; 4] {
    let list = |path: &str, link: bool| {
        let entries = std::fs::read_dir(path).unwrap().flatten();
        let name = |entry: std::fs::DirEntry| match std::fs::read_link(entry.path()) {
            Ok(target) if link => target.display().to_string(),
            _ => entry.file_name().display().to_string(),
        };
        let mut names: Vec<_> = entries.map(name).filter(|name| !name.ends_with("/fd")).collect();
        names.sort();
        names
    };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut maps: Vec<_> = maps
        .lines()
        .map(|line| line.split_ascii_whitespace().skip(1).collect::<Vec<_>>().join(" "))
        .collect();
    maps.sort();
    let timers = sys::timers().iter().map(|timer| format!("{timer:?}")).collect();
    [list("/proc/self/fd", true), timers, list("/proc/self/task", false), maps]
}

#[test]
fn a_thousand_starts_and_stops_leave_no_descriptor_timer_thread_or_mapping() {
    isolated(PATIENCE, || {
        let working = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while working.load(Relaxed) {
                        spin(20_000);
                        std::thread::sleep(Duration::from_micros(500));
                    }
                });
            }
            let cycle = || {
                let agent = workload::start(1000);
                burn(Duration::from_millis(2));
                agent.stop().unwrap();
            };
            (0..8).for_each(|_| cycle());
            let before = holdings();
            (0..size(50, 1_000)).for_each(|_| cycle());
            let mut after = holdings();
            // A thread that was joined is listed a moment longer.
            let end = Instant::now() + Duration::from_secs(20);
            while before != after && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
                after = holdings();
            }
            for (kind, (before, after)) in ["descriptors", "timers", "threads", "mappings"]
                .iter()
                .zip(before.iter().zip(&after))
            {
                println!("{kind}: {} before, {} after", before.len(), after.len());
                assert_eq!(before, after, "{kind}");
            }
            let agent = workload::start(1000);
            burn(Duration::from_millis(100));
            workload::flushed(&agent, 2);
            working.store(false, Relaxed);
        });
    });
}

/// System calls that return at once; those of the allocator are the host's own. The standard library
/// seeds its hash maps with `getrandom`, told not to wait.
pub const RETURN_AT_ONCE: [i64; 12] = [
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_gettid,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_rt_sigprocmask,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
];

/// Whether a wait at `pc` is the allocator's, for its own lock: it makes the call itself, where Rust's
/// locks call `syscall`.
fn is_allocators(pc: u64, number: u64) -> bool {
    let syscall = libc::syscall as *const () as u64;
    number == libc::SYS_futex.cast_unsigned() && !(syscall..syscall + 64).contains(&pc)
}

#[test]
fn labels_and_registration_block_no_host_thread_however_contended() {
    isolated(PATIENCE, || {
        let _agent = workload::start(1000);
        let stop = AtomicBool::new(false);
        let mut calls: Vec<u64> = Vec::with_capacity(1 << 16);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let stop = &stop;
                scope.spawn(move || {
                    for number in 0u64.. {
                        let value = format!("{thread}/{number}");
                        sondage::labels([("contended", value.as_str())]).scope(|| ());
                        if stop.load(Relaxed) {
                            break;
                        }
                    }
                });
            }
            scope.spawn(|| {
                let values: Vec<String> = (0..40).map(|number| number.to_string()).collect();
                let mut work = || {
                    for value in &values {
                        sondage::register_thread();
                        sondage::labels([("stepped", value.as_str())]).scope(|| spin(3));
                    }
                };
                step_through(&mut work, &mut |registers, rax| {
                    let is_ours = unsafe { is_system_call(registers.pc) }
                        && !is_allocators(registers.pc, rax);
                    if is_ours && calls.len() < calls.capacity() {
                        calls.push(rax);
                    }
                });
                stop.store(true, Relaxed);
            });
        });
        let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
        calls.iter().for_each(|call| *counts.entry(*call).or_default() += 1);
        println!("system calls by number: {counts:?}");
        let blocking =
            |call: &&u64| !RETURN_AT_ONCE.iter().any(|at_once| at_once.cast_unsigned() == **call);
        assert_eq!(counts.keys().find(blocking), None);
    });
}
