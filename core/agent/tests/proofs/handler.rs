//! What the signal handler does and does not do.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the handler is called, interrupted and painted around"
)]

use crate::child::{PATIENCE, full, isolated, size};
use crate::oracle::{CodeMap, Frames, Stack};
use crate::stepper::{is_system_call, step_through};
use crate::sys::{self, Handler, Timer};
use crate::workload::{self, deeper};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts allocations that are made on watched stacks. It looks at its own stack pointer, since a
/// thread-local of its own could be what allocates.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static WATCHED: [[AtomicU64; 2]; 2] = [const { [const { AtomicU64::new(0) }; 2] }; 2];
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

fn count() {
    let here = 0u8;
    let here = &raw const here as u64;
    let watched =
        |[low, high]: &[AtomicU64; 2]| (low.load(Relaxed)..high.load(Relaxed)).contains(&here);
    if WATCHED.iter().any(watched) {
        ALLOCATIONS.fetch_add(1, Relaxed);
    }
}

/// Counts allocations on `stack` from now on; there are two places.
fn watch(place: usize, stack: &std::ops::Range<u64>) {
    WATCHED[place][0].store(stack.start, Relaxed);
    WATCHED[place][1].store(stack.end, Relaxed);
}

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(block, layout, size) }
    }
}

/// The timer of the calling thread, once the agent has found the thread.
pub fn own_timer() -> Timer {
    let (tid, deadline) = (sys::tid(), Instant::now() + Duration::from_secs(10));
    loop {
        if let Some(timer) = sys::timer_of(tid) {
            return timer;
        }
        assert!(Instant::now() < deadline, "the agent never found this thread");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_handler_allocates_nothing_on_a_thread_that_is_sampled_ten_thousand_times() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let (signals, rounds) = (size(10_000, 100_000), size(100_000_000, 2_000_000_000));
        let sampled = std::thread::spawn(move || {
            let alternate = sys::map(64 << 10);
            sys::use_alternate_stack(alternate);
            let timer = own_timer();
            watch(0, &sys::own_stack());
            watch(1, &(alternate.as_ptr() as u64..alternate.as_ptr() as u64 + (64 << 10)));
            // That the counter sees this stack is part of the proof.
            drop(std::hint::black_box(Box::new(1)));
            let seen = ALLOCATIONS.swap(0, Relaxed);
            for _ in 0..signals {
                timer.expire_now();
            }
            workload::spin(rounds);
            let in_handler = ALLOCATIONS.load(Relaxed);
            watch(0, &(0..0));
            watch(1, &(0..0));
            (seen, in_handler)
        });
        let (seen, in_handler) = sampled.join().unwrap();
        workload::flushed(&agent, size(10_000, 100_000));
        assert!(seen > 0, "the counter works");
        assert_eq!(in_handler, 0);
    });
}

/// What stepping through the handler has shown.
#[derive(Default)]
struct Trace {
    pcs: BTreeSet<u64>,
    system_calls: BTreeMap<u64, usize>,
}

static HANDLER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static INFO: AtomicPtr<sys::TimerInfo> = AtomicPtr::new(std::ptr::null_mut());
static STEPS: AtomicPtr<Steps> = AtomicPtr::new(std::ptr::null_mut());

/// Instructions that ran, without an allocation while they run.
struct Steps {
    pcs: Vec<u64>,
    system_calls: Vec<u64>,
}

/// Calls the profiler's handler, as the kernel would, one instruction at a time.
unsafe extern "C" fn step_handler(number: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let handler: Handler = unsafe { std::mem::transmute(HANDLER.load(Relaxed)) };
    let steps = unsafe { &mut *STEPS.load(Relaxed) };
    let mut inside = false;
    let mut call = || unsafe { handler(number, INFO.load(Relaxed).cast(), context) };
    let (mut first, mut last) = (0, 0);
    step_through(&mut call, &mut |registers, rax| {
        // From the handler's first instruction until its frame is gone again.
        if registers.pc == handler as usize as u64 {
            (inside, first) = (true, registers.sp);
        }
        if !inside || registers.sp > first {
            inside = false;
            return;
        }
        if registers.pc != last && steps.pcs.len() < steps.pcs.capacity() {
            steps.pcs.push(registers.pc);
        }
        if unsafe { is_system_call(registers.pc) } && steps.system_calls.len() < 4096 {
            steps.system_calls.push(rax);
        }
        last = registers.pc;
    });
}

fn trace(handler: sys::Disposition, info: &mut sys::TimerInfo, depth: u32) -> Trace {
    HANDLER.store(handler[0] as *mut c_void, Relaxed);
    INFO.store(info, Relaxed);
    let mut steps =
        Steps { pcs: Vec::with_capacity(1 << 20), system_calls: Vec::with_capacity(4096) };
    STEPS.store(&raw mut steps, Relaxed);
    sys::install(libc::SIGUSR1, step_handler, 0);
    deeper(depth, &mut || sys::raise(libc::SIGUSR1));
    let mut trace = Trace { pcs: steps.pcs.into_iter().collect(), ..Trace::default() };
    for number in steps.system_calls {
        *trace.system_calls.entry(number).or_default() += 1;
    }
    trace
}

/// Without optimisation, the compiler moves values with the C library's `memcpy`.
fn is_unoptimised_move(pc: u64) -> bool {
    let functions =
        [libc::memcpy as *const (), libc::memmove as *const (), libc::memset as *const ()];
    let inside = |start: &*const ()| (*start as u64..*start as u64 + 2048).contains(&pc);
    cfg!(debug_assertions) && functions.iter().any(inside)
}

/// Calls the handler in several situations and checks every instruction that it ran.
fn check_scenes(map: &CodeMap, executable: &str) {
    let timer = own_timer();
    let ours = sys::disposition(timer.signal);
    let scenes: [(&str, sys::TimerInfo, u32); 4] = [
        ("a first sample, stack unproven", timer.info(), 40),
        ("a second one, stack proven", timer.info(), 70),
        ("a stranger's signal", Timer { value: 4096, ..timer }.info(), 3),
        ("a signal of a deleted timer", Timer { id: timer.id + 1, ..timer }.info(), 3),
    ];
    for (number, (name, mut info, depth)) in scenes.into_iter().enumerate() {
        let unproven = number == 0;
        if !unproven {
            // A sample from deeper than the traced one, with few enough frames to reach the root: what
            // that one needs is proven.
            deeper(depth + 30, &mut || _ = timer.expire_now());
        }
        let trace = trace(ours, &mut info, depth);
        let calls = check_scene(map, executable, name, &trace);
        let only = libc::SYS_rt_sigprocmask.cast_unsigned();
        assert!(calls.keys().all(|number| *number == only));
        let probes = calls.values().sum::<usize>();
        assert_eq!(probes > 0, unproven, "pages are probed for the first sample only");
    }
}

/// Checks every instruction of one run of the handler, and returns its system calls.
fn check_scene<'t>(
    map: &CodeMap,
    executable: &str,
    name: &str,
    trace: &'t Trace,
) -> &'t BTreeMap<u64, usize> {
    let (moves, pcs): (Vec<u64>, Vec<u64>) =
        trace.pcs.iter().partition(|pc| is_unoptimised_move(**pc));
    let places = map.places(&pcs);
    let functions: BTreeSet<&str> = places.iter().map(|(_, name)| name.as_str()).collect();
    println!(
        "{name}: {} places in {} functions, {} in memcpy, system calls {:?}",
        pcs.len(),
        functions.len(),
        moves.len(),
        trace.system_calls
    );
    if functions.len() < 9 {
        println!("  {functions:?}");
    }
    assert!(pcs.len() > 20, "the handler was stepped through");
    for (pc, (_, function)) in pcs.iter().zip(&places) {
        let code = map.find(*pc);
        assert!(code.is_some_and(|c| c.name == executable), "{}", map.describe(*pc));
        let known = ["sondage_sampler", "core::"].iter().any(|m| function.contains(m));
        let foreign = ["std::", "alloc::"].iter().any(|m| function.contains(m));
        // A linker's stub has no name; where it leads is seen by the next instruction.
        assert!((known || function.is_empty()) && !foreign, "{}", map.describe(*pc));
    }
    &trace.system_calls
}

/// Runs the handler as other engines' signals would, and checks that it makes these calls only.
pub fn check_signal(map: &CodeMap, what: &str, mut info: sys::TimerInfo, allowed: &[libc::c_long]) {
    let executable = std::env::current_exe().unwrap().display().to_string();
    let ours = sys::disposition(libc::SIGURG);
    for depth in [40, 90] {
        let trace = trace(ours, &mut info, depth);
        let calls = check_scene(map, &executable, what, &trace);
        let known = |number: &u64| allowed.iter().any(|call| call.cast_unsigned() == *number);
        assert!(calls.keys().all(known), "{calls:?}");
    }
}

#[test]
fn no_instruction_of_the_handler_lies_in_a_library_and_its_only_system_call_is_the_probe() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let executable = std::env::current_exe().unwrap().display().to_string();
        let map = CodeMap::of_this_process();
        // A thread that has not been sampled yet.
        std::thread::spawn(move || check_scenes(&map, &executable)).join().unwrap();
        workload::flushed(&agent, 2);
    });
}

extern "C" fn nothing(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {}

const PAINT: u8 = 0xa5;

/// How many bytes of a painted stack were used.
fn used(stack: &[u8]) -> usize {
    stack.len() - stack.iter().take_while(|byte| **byte == PAINT).count()
}

#[test]
fn the_handler_uses_at_most_four_kilobytes_of_stack() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let sampled = std::thread::spawn(|| {
            let timer = own_timer();
            let stack = sys::map(64 << 10);
            stack.fill(PAINT);
            sys::use_alternate_stack(stack);
            sys::install(libc::SIGUSR1, nothing, libc::SA_ONSTACK);
            sys::raise(libc::SIGUSR1);
            let kernel = used(stack);
            stack.fill(PAINT);
            for depth in (0..120).cycle().take(size(2_000, 100_000)) {
                deeper(depth, &mut || _ = timer.expire_now());
            }
            (kernel, used(stack))
        });
        let (kernel, used) = sampled.join().unwrap();
        workload::flushed(&agent, size(2_000, 100_000));
        println!("the kernel's frame and an empty handler take {kernel} bytes, ours {used}");
        assert!(kernel > 0 && used > kernel, "the handler ran on the painted stack");
        let own = used - kernel;
        println!("so the handler takes {own}");
        // Without optimisation every value has a place of its own; that is not what ships.
        assert!(own <= if cfg!(debug_assertions) { 8192 } else { 4096 }, "{own} bytes");
    });
}

#[test]
fn our_handler_blocks_every_signal_but_those_of_faults() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let [_, flags, _, mask] = sys::disposition(own_timer().signal);
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
        // 32 and 33 are the C library's own and cannot be had through it.
        for signal in sys::SIGNALS.filter(|signal| !(32..34).contains(signal)) {
            let unblockable = [libc::SIGKILL, libc::SIGSTOP].contains(&signal);
            let open = unblockable || faults.contains(&signal);
            assert_eq!(mask >> (signal - 1) & 1 == 0, open, "signal {signal}");
        }
        let restart_on_alternate_stack = (libc::SA_RESTART | libc::SA_ONSTACK) as u64;
        assert_eq!(flags & restart_on_alternate_stack, restart_on_alternate_stack);
        workload::burn(Duration::from_millis(300));
        workload::flushed(&agent, 2);
    });
}

#[test]
fn errno_and_the_vector_and_control_registers_survive_samples() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let timer = own_timer();
        let mut info = timer.info();
        let pid = unsafe { libc::getpid() };
        for round in 0..size(10_000u64, 100_000) {
            sys::set_errno(4242);
            let before: [[u64; 2]; 16] =
                std::array::from_fn(|i| [round.wrapping_mul(i as u64 + 3), !round ^ i as u64]);
            let mut after = [[0u64; 2]; 16];
            // Round towards zero and flush denormals: not the default.
            let (control, mut control_after) = (0x1f80u32 | 0x6000 | 0x8000, 0u32);
            unsafe {
                signal_between(
                    &before,
                    &mut after,
                    &control,
                    &mut control_after,
                    &mut info,
                    pid,
                    timer,
                )
            };
            assert_eq!(before, after);
            assert_eq!(control, control_after & !0x3f);
            assert_eq!(sys::errno(), 4242);
        }
        workload::flushed(&agent, size(10_000, 100_000));
    });
}

/// Loads all vector registers, sends the timer's signal to this thread and stores them.
#[allow(clippy::too_many_arguments, reason = "the operands of one piece of assembly")]
unsafe fn signal_between(
    before: &[[u64; 2]; 16],
    after: &mut [[u64; 2]; 16],
    control: &u32,
    control_after: &mut u32,
    info: &mut sys::TimerInfo,
    pid: i32,
    timer: Timer,
) {
    let default = 0x1f80u32;
    unsafe {
        std::arch::asm!(
            "ldmxcsr [{control}]",
            "movups xmm0, [{before}]", "movups xmm1, [{before} + 16]",
            "movups xmm2, [{before} + 32]", "movups xmm3, [{before} + 48]",
            "movups xmm4, [{before} + 64]", "movups xmm5, [{before} + 80]",
            "movups xmm6, [{before} + 96]", "movups xmm7, [{before} + 112]",
            "movups xmm8, [{before} + 128]", "movups xmm9, [{before} + 144]",
            "movups xmm10, [{before} + 160]", "movups xmm11, [{before} + 176]",
            "movups xmm12, [{before} + 192]", "movups xmm13, [{before} + 208]",
            "movups xmm14, [{before} + 224]", "movups xmm15, [{before} + 240]",
            "syscall",
            "movups [{after}], xmm0", "movups [{after} + 16], xmm1",
            "movups [{after} + 32], xmm2", "movups [{after} + 48], xmm3",
            "movups [{after} + 64], xmm4", "movups [{after} + 80], xmm5",
            "movups [{after} + 96], xmm6", "movups [{after} + 112], xmm7",
            "movups [{after} + 128], xmm8", "movups [{after} + 144], xmm9",
            "movups [{after} + 160], xmm10", "movups [{after} + 176], xmm11",
            "movups [{after} + 192], xmm12", "movups [{after} + 208], xmm13",
            "movups [{after} + 224], xmm14", "movups [{after} + 240], xmm15",
            "stmxcsr [{control_after}]",
            "ldmxcsr [{default}]",
            control = in(reg) control, before = in(reg) before, after = in(reg) after,
            control_after = in(reg) control_after, default = in(reg) &raw const default,
            inlateout("rax") libc::SYS_rt_tgsigqueueinfo => _,
            in("rdi") i64::from(pid), in("rsi") i64::from(timer.tid),
            in("rdx") i64::from(timer.signal), in("r10") &raw mut *info,
            out("rcx") _, out("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _,
        );
    }
}

/// The depth at which the handler's time is measured.
const FRAMES: u32 = 64;

/// Frames of the calling thread, without those of this function.
fn frames_above() -> u32 {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn count(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
        let map = unsafe { &*MAP.load(Relaxed) };
        let registers = unsafe { sys::interrupted(context) };
        let mut frames = Box::new(Frames::EMPTY);
        frames.walk(&map.entries(), registers, &mut Stack(sys::own_stack()));
        COUNT.store(frames.count, Relaxed);
    }
    static MAP: AtomicPtr<CodeMap> = AtomicPtr::new(std::ptr::null_mut());
    MAP.store(Box::into_raw(Box::new(CodeMap::of_this_process())), Relaxed);
    sys::install(libc::SIGUSR1, count, 0);
    sys::raise(libc::SIGUSR1);
    // Beside this function: `raise` and what it is made of.
    u32::try_from(COUNT.load(Relaxed)).unwrap() - 3
}

#[test]
fn a_sample_of_64_frames_takes_at_most_three_microseconds() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let timer = own_timer();
        let samples = size(5_000, 50_000);
        let mut cost = Duration::ZERO;
        deeper(FRAMES - frames_above(), &mut || {
            for _ in 0..samples / 50 {
                let start = Instant::now();
                (0..50).for_each(|_| _ = timer.expire_now());
                cost += start.elapsed();
                // Fifty samples fill less than half of the ring; the agent empties it now.
                agent.flush().unwrap();
            }
        });
        let stats = workload::flushed(&agent, samples * 9 / 10);
        let whole = cost.as_nanos() / u128::from(samples);
        println!(
            "{} samples, handler p50 {} ns; with the system call and delivery {whole} ns",
            stats.samples, stats.handler_p50
        );
        assert!(stats.samples > samples * 9 / 10, "few were dropped");
        assert!(stats.handler_p50 > 0);
        if full() && !cfg!(debug_assertions) {
            assert!(stats.handler_p50 <= 3000, "{} ns", stats.handler_p50);
        }
    });
}

#[test]
fn a_full_ring_costs_the_sample_and_is_counted() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let timer = own_timer();
        // Faster than the agent's drains: 8,192 words hold some 160 samples of 48 frames.
        deeper(40, &mut || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(500) {
                timer.expire_now();
            }
        });
        let stats = workload::flushed(&agent, 100);
        println!("{} samples, {} ns dropped", stats.samples, stats.dropped_cpu);
        assert!(stats.dropped_cpu > 0);
    });
}
