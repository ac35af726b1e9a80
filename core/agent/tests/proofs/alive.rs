//! The host stays alive, and its time accounted, where profilers die.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "hostile memory is mapped and walked on purpose"
)]

use crate::child::{PATIENCE, isolated, size};
use crate::oracle::{CodeMap, DEPTH, Frames};
use crate::sys;
use crate::workload::{self, Library};
use sondage::profile::LossCause;
use sondage_sampler::{Registers, SelfMemory};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const LIBRARY: &str = r"
__attribute__((noinline)) static long inner(long n) {
    volatile long sum = 0;
    for (long i = 0; i < n; i++) sum += i;
    return sum;
}
long work(long n) { return inner(n) + 1; }
";

fn load_and_unload(path: &Path) -> i64 {
    let library = Library::open(path);
    library.function("work")(20_000)
}

#[test]
fn panics_and_library_churn_on_eight_threads_harm_nobody_and_lose_less_than_a_percent() {
    isolated(PATIENCE, || {
        let path = workload::compile("churn", LIBRARY, &["-O1"]);
        let agent = workload::start(999);
        // By CPU time, so that a busy machine makes it longer and not easier: a minute on two
        // processors.
        let each = Duration::from_millis(size(400, 15_000));
        let (panics, loads) = (AtomicU64::new(0), AtomicU64::new(0));
        let cpu: Duration = std::thread::scope(|scope| {
            let churn = |loader: bool| {
                let mut seed = 0;
                while sys::thread_cpu() < each {
                    seed += 1;
                    workload::panic(seed);
                    panics.fetch_add(1, Relaxed);
                    if loader {
                        load_and_unload(&path);
                        loads.fetch_add(1, Relaxed);
                    }
                }
                sys::thread_cpu()
            };
            let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || churn(i % 4 == 0))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let stats = workload::flushed(&agent, size(200, 10_000));
        let sampled = Duration::from_nanos(stats.sampled_cpu);
        let share = sampled.as_secs_f64() / cpu.as_secs_f64();
        println!(
            "{panics:?} panics, {loads:?} loads, {cpu:?} of CPU time, {sampled:?} sampled: {:.2} %, {} samples",
            share * 100.0,
            stats.samples,
        );
        let _ = std::fs::remove_file(path);
        // What a thread used since its last tick is not sampled: milliseconds a thread, which
        // weigh more in a short run.
        assert!(share >= size(0.93, 0.99), "{share}");
        assert!(share <= 1.05, "{share}");
    });
}

/// Work that takes locks, unwinds, maps, unmaps and starts threads.
fn mixture(path: &Path, seed: u64) {
    match seed % 8 {
        0 => drop(std::thread::spawn(move || workload::allocate(seed)).join()),
        1 => _ = load_and_unload(path),
        2 | 3 => _ = workload::panic(seed),
        4 => _ = workload::format(seed),
        5 => _ = workload::hash(seed),
        _ => _ = workload::allocate(seed),
    }
}

#[test]
fn a_storm_of_signals_on_threads_that_allocate_panic_load_and_spawn_is_survived_and_counted() {
    isolated(PATIENCE, || {
        let path = workload::compile("storm", LIBRARY, &["-O1"]);
        let agent = workload::start(1000);
        let goal = size(50_000, 1_000_000);
        let stop = AtomicBool::new(false);
        let (handled, sent) = std::thread::scope(|scope| {
            let path = path.as_path();
            for thread in 0..4u64 {
                let stop = &stop;
                scope.spawn(move || {
                    (thread..)
                        .step_by(5)
                        .take_while(|_| !stop.load(Relaxed))
                        .for_each(|seed| mixture(path, seed));
                });
            }
            let storm = scope.spawn(|| {
                let mut sent = 0u64;
                while !stop.load(Relaxed) {
                    let me = sys::tid();
                    let timers: Vec<_> =
                        sys::timers().into_iter().filter(|timer| timer.tid != me).collect();
                    for _ in 0..200 {
                        sent += timers.iter().filter(|timer| timer.expire_now()).count() as u64;
                    }
                }
                sent
            });
            let mut handled = 0;
            while handled < goal {
                std::thread::sleep(Duration::from_millis(100));
                handled = workload::handled(&workload::flushed(&agent, 0));
            }
            stop.store(true, Relaxed);
            (handled, storm.join().unwrap())
        });
        println!("{handled} signals handled of {sent} sent; the others merged with a pending one");
        let _ = std::fs::remove_file(path);
    });
}

/// Code that runs on a stack segment which the walk crosses, as deep recursions are given one, and
/// then with a frame pointer that points into the guard page between the two stacks.
const SEGMENT: &str = r#"
static long top, guard;
long set_top(long address) { return top = address; }
long set_guard(long address) { return guard = address; }
__attribute__((noinline)) static long spin(long n) {
    volatile long sum = 0;
    for (long i = 0; i < n; i++) sum += i;
    return sum;
}
__attribute__((noinline)) static long lead_astray(long n) {
    volatile long needs_a_frame = n;
    __asm__ volatile("push %%rbp; mov %1, %%rbp; 1: dec %0; jnz 1b; pop %%rbp"
                     : "+r"(n) : "r"(guard) : "memory", "cc");
    return n + needs_a_frame;
}
__attribute__((noinline)) static long on_segment(long n) { return spin(n) + lead_astray(n); }
long work(long n) {
    long result;
    __asm__ volatile("mov %%rsp, %%rbx; mov %2, %%rsp; mov %1, %%rdi; call *%3;"
                     "mov %%rbx, %%rsp"
                     : "=a"(result) : "r"(n), "r"(top), "r"(on_segment)
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}
"#;

#[test]
fn a_stack_segment_does_not_make_the_gap_above_it_trusted() {
    isolated(PATIENCE, || {
        let flags = ["-O1", "-fno-omit-frame-pointer", "-mno-red-zone"];
        let path = workload::compile("segment", SEGMENT, &flags);
        let library = Library::open(&path);
        let agent = workload::start(1000);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sondage::register_thread();
                let stack = sys::own_stack();
                let segments = std::iter::repeat_with(|| sys::map(1 << 20));
                let mut tops = segments.take(100).map(|segment| segment.as_ptr_range().end as u64);
                let top = tops.find(|top| *top < stack.start).expect("a mapping below the stack");
                library.function("set_top")(top.cast_signed());
                library.function("set_guard")((stack.start - 64).cast_signed());
                let work = library.function("work");
                while sys::thread_cpu() < Duration::from_secs(1) {
                    work(10_000_000);
                }
            });
        });
        let profile = agent.flush().unwrap();
        let losses = profile.losses();
        let truncated = losses.iter().filter(|loss| loss.cause == LossCause::Truncated);
        let astray = Duration::from_nanos(truncated.map(|loss| loss.value).sum());
        println!("{astray:?} of walks that were led astray");
        assert!(astray > Duration::from_millis(50));
        let _ = std::fs::remove_file(path);
    });
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.next() as usize % items.len()]
    }
}

/// Memory with holes, filled with addresses of code, of itself, of the holes, and noise.
fn hostile_memory(map: &CodeMap, random: &mut Random) -> std::ops::Range<u64> {
    const PAGE: u64 = 4096;
    let memory = sys::map(64 * PAGE as usize);
    let base = memory.as_ptr() as u64;
    for word in memory.chunks_exact_mut(8) {
        let code = &map.code[random.next() as usize % map.code.len()].range;
        let value = match random.next() % 6 {
            0 | 1 => code.start + random.next() % (code.end - code.start),
            2 | 3 => base + random.next() % (64 * PAGE),
            4 => random.next() % 5000,
            _ => random.next(),
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
    for page in (3..64).step_by(5) {
        sys::protect(base + page * PAGE..base + (page + 1) * PAGE);
    }
    base..base + 64 * PAGE
}

static REGISTERS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

unsafe extern "C" fn note_registers(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Registers { pc, sp, fp, .. } = unsafe { sys::interrupted(context) };
    REGISTERS.iter().zip([pc, sp, fp]).for_each(|(place, value)| place.store(value, Relaxed));
}

/// The registers of a thread with that many frames on its stack, which stays as it is.
fn registers_at_depth(frames: u32) -> Registers {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        sys::install(libc::SIGUSR1, note_registers, 0);
        workload::deeper(frames, &mut || {
            sys::raise(libc::SIGUSR1);
            send.send(()).unwrap();
            std::thread::park();
        });
    });
    receive.recv().unwrap();
    let [pc, sp, fp] = [0, 1, 2].map(|register| REGISTERS[register].load(Relaxed));
    Registers { pc, sp, fp, lr: None }
}

#[test]
fn a_hundred_thousand_random_register_sets_never_fault_the_walker() {
    isolated(PATIENCE, || {
        let map = CodeMap::of_this_process();
        let modules = map.entries();
        let mut random = Random(42);
        let memory = hostile_memory(&map, &mut random);
        let own = sys::own_stack();
        let (mut frames, mut ends) = (Frames::EMPTY, BTreeMap::new());
        let mut deepest = 0;
        let real = registers_at_depth(60);
        for round in 0..size(20_000u64, 1_000_000) {
            let code = &map.code[random.next() as usize % map.code.len()].range;
            let pc = code.start + random.next() % (code.end - code.start);
            let anywhere = random.next();
            let here = memory.start + random.next() % (memory.end - memory.start);
            let edges = [0, 8, 4088, u64::MAX - 7, 1 << 47, (1 << 47) - 8, own.start, own.end - 8];
            let edge = random.of(&edges);
            let stack = own.start + random.next() % (own.end - own.start);
            let any = [here, here & !7, here & !7, anywhere, anywhere & !7, edge, stack & !7];
            let mut registers = Registers {
                pc: random.of(&[pc, pc, pc, pc, anywhere, edge]),
                sp: random.of(&any),
                fp: random.of(&any),
                lr: None,
            };
            // Every fourth is a real one of which one register is off.
            match round % 12 {
                0 => registers = Registers { pc: registers.pc, ..real },
                4 => registers = Registers { sp: real.sp + random.next() % 64 * 8, ..real },
                8 => registers = Registers { fp: registers.fp, ..real },
                _ => {}
            }
            let walked = frames.walk(&modules, registers, &mut SelfMemory::probing());
            assert!((1..=DEPTH).contains(&walked.frames));
            deepest = deepest.max(walked.frames);
            *ends.entry(format!("{:?}", walked.end)).or_insert(0) += 1;
        }
        println!("{ends:?}, deepest {deepest}");
        assert!(deepest > 60, "walks went somewhere");
        assert!(ends.len() >= 5, "they ended in every way: {ends:?}");
    });
}

#[test]
fn threads_that_come_and_go_by_the_thousand_leave_timers_only_for_those_that_live() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let started = AtomicU64::new(0);
        let goal = size(1_000, 10_000);
        while started.load(Relaxed) < goal {
            std::thread::scope(|scope| {
                for i in 0..64 {
                    let started = &started;
                    scope.spawn(move || {
                        // Half of them are found by the agent, half announce themselves.
                        if i % 2 == 0 {
                            sondage::labels([("half", "announced")])
                                .scope(|| workload::spin(50_000));
                        } else {
                            workload::spin(50_000);
                        }
                        started.fetch_add(1, Relaxed);
                    });
                }
            });
        }
        let stats = workload::flushed(&agent, 1);
        println!("{started:?} threads, {} samples", stats.samples);
        // The agent looks at all threads once a second; only its own have no timer.
        workload::work_until(Duration::from_secs(60), || {
            let threads = sys::threads().iter().filter(|name| !name.starts_with("sondage")).count();
            let timers = sys::timers();
            let differ = || format!("{threads} threads of the host, {timers:?}");
            if timers.len() == threads { Ok(()) } else { Err(differ()) }
        });
        assert_eq!(stats.refused_threads, 0, "{:?}", stats.last_refusal);
    });
}

#[test]
fn starting_and_stopping_while_threads_announce_themselves_harms_nobody() {
    isolated(PATIENCE, || {
        let stop = AtomicBool::new(false);
        let announced = AtomicU64::new(0);
        let mut left = None;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        std::thread::scope(|inner| {
                            for _ in 0..8 {
                                inner.spawn(|| {
                                    sondage::labels([("a", "b")]).scope(|| workload::spin(3_000));
                                    announced.fetch_add(1, Relaxed);
                                });
                            }
                        });
                    }
                });
            }
            let cycle = |_| {
                let agent = workload::start(1000);
                std::thread::sleep(Duration::from_micros(500));
                drop(agent);
                sys::timers()
            };
            left = (0..size(20, 1_000)).map(cycle).find(|timers| !timers.is_empty());
            stop.store(true, Relaxed);
        });
        assert_eq!(left, None, "a timer outlived its agent: its next signal kills the process");
        println!("{announced:?} threads announced themselves");
        let agent = workload::start(1000);
        workload::burn(Duration::from_millis(300));
        workload::flushed(&agent, 2);
    });
}
