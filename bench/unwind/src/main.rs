//! Unwinders side by side: 36 frames, walked inside a signal handler from the registers that the
//! signal interrupted. Prints the table of docs/performance.md.
//!
//! *Warm* is the best of 25 series of 400 walks inside one handler. *First* is the first walk of
//! the process by that method. *Cold* is one walk a signal, after 64 MiB of other memory were
//! touched; the median of 60.

mod code;

use bench_load::{chain, clock, signal::ProfilingSignal};
use code::CodeMap;
use framehop::Unwinder;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use sondage_sampler::walk::walk;
use sondage_sampler::{ModuleEntry, Registers, SelfMemory};
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};

const DEPTH: usize = 256;

/// How to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Compact,
    CompactProbing,
    Framehop,
    Backtrace,
}

const METHODS: [(Method, &str); 4] = [
    (Method::Compact, "compact table, proven stack (Sondage)"),
    (Method::CompactProbing, "compact table, pages probed (Sondage)"),
    (Method::Framehop, "framehop 0.16, cache, no allocation"),
    (Method::Backtrace, "backtrace::trace_unsynchronized"),
];

type Framehop = UnwinderX86_64<Vec<u8>, framehop::MustNotAllocateDuringUnwind>;
type Cache = CacheX86_64<framehop::MustNotAllocateDuringUnwind>;

/// What the handler works with. Only the one thread that gets signals touches it.
struct State<'a> {
    method: Method,
    walks: u32,
    ticks: u64,
    frames: usize,
    stack: Range<u64>,
    entries: Vec<ModuleEntry<'a>>,
    framehop: Framehop,
    cache: Cache,
    out: [u64; DEPTH],
}

static STATE: AtomicPtr<State<'static>> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the state outlives every signal, and the interrupted code does not hold it.
    let Some(state) = (unsafe { STATE.load(Ordering::Relaxed).as_mut() }) else { return };
    // SAFETY: the kernel's own context.
    let registers = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let register = |index: i32| registers[index as usize] as u64;
    let registers = Registers {
        pc: register(libc::REG_RIP),
        sp: register(libc::REG_RSP),
        fp: register(libc::REG_RBP),
        lr: None,
    };
    let start = clock::ticks();
    for _ in 0..state.walks {
        state.frames = state.walk(registers);
    }
    state.ticks = clock::ticks() - start;
}

impl State<'_> {
    fn walk(&mut self, registers: Registers) -> usize {
        let out = &mut self.out;
        match self.method {
            Method::Compact => {
                // SAFETY: the range is this thread's stack from the signal up, all of it mapped.
                let mut memory = unsafe { SelfMemory::trusting(registers.sp..self.stack.end) };
                let walked = walk(&self.entries, registers, &mut memory, DEPTH, |at, frame| {
                    out[at] = frame;
                });
                walked.frames
            }
            Method::CompactProbing => {
                let mut memory = SelfMemory::probing();
                let walked = walk(&self.entries, registers, &mut memory, DEPTH, |at, frame| {
                    out[at] = frame;
                });
                walked.frames
            }
            Method::Framehop => {
                let Registers { pc, sp, fp, .. } = registers;
                let trusted = sp..self.stack.end;
                let mut read = |address: u64| match trusted.contains(&address) {
                    // SAFETY: inside this thread's stack.
                    true => Ok(unsafe { *(address as *const u64) }),
                    false => Err(()),
                };
                let start = UnwindRegsX86_64::new(pc, sp, fp);
                let mut frames = 0;
                let mut iter = self.framehop.iter_frames(pc, start, &mut self.cache, &mut read);
                while let Ok(Some(frame)) = iter.next()
                    && frames < DEPTH
                {
                    out[frames] = frame.address();
                    frames += 1;
                }
                frames
            }
            Method::Backtrace => {
                let mut frames = 0;
                let each = |frame: &backtrace::Frame| {
                    out[frames] = frame.ip() as u64;
                    frames += 1;
                    frames < DEPTH
                };
                // SAFETY: one thread only.
                unsafe { backtrace::trace_unsynchronized(each) };
                frames
            }
        }
    }
}

fn install() {
    // SAFETY: sigaction is plain data; all zero is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler is a function of the right kind.
    let result = unsafe { libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// One method's figures of one run, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Figures {
    frames: usize,
    first: f64,
    warm: f64,
    cold: f64,
}

fn measure(signal: &ProfilingSignal, method: Method, scale: f64) -> Figures {
    let state = STATE.load(Ordering::Relaxed);
    let shoot = |walks: u32| {
        // SAFETY: no signal runs now; `send` returns when its handler has.
        unsafe { (*state).method = method };
        // SAFETY: as above.
        unsafe { (*state).walks = walks };
        signal.send();
        // SAFETY: as above.
        let ticks = unsafe { (*state).ticks };
        ticks as f64 * scale / f64::from(walks)
    };
    let first = shoot(1);
    let warm = (0..25).map(|_| shoot(400)).fold(f64::INFINITY, f64::min);
    let mut cache = vec![1u8; 64 << 20];
    let mut cold: Vec<f64> = (0..60)
        .map(|_| {
            cache.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
            shoot(1)
        })
        .collect();
    black_box(&cache);
    cold.sort_by(f64::total_cmp);
    // SAFETY: as above.
    let frames = unsafe { (*state).frames };
    Figures { frames, first, warm, cold: cold[30] }
}

/// One process. Each has another stack, since caches like some addresses better than others, and
/// another order of methods, since the first to walk pays for cold pages.
fn run(order: usize) {
    let map = Box::leak(Box::new(CodeMap::of_this_process()));
    let stack = map.stack.clone();
    let state = State {
        method: Method::Compact,
        walks: 1,
        ticks: 0,
        frames: 0,
        stack,
        entries: map.entries(),
        framehop: map.framehop(),
        cache: Cache::new_in(),
        out: [0; DEPTH],
    };
    STATE.store(Box::leak(Box::new(state)), Ordering::Relaxed);
    install();
    let signal = ProfilingSignal::of_this_thread();
    let scale = clock::nanos_per_tick();
    chain::descend(24, 5 + order as u64, &mut || {
        for index in 0..METHODS.len() {
            let index = (index + order) % METHODS.len();
            let Figures { frames, first, warm, cold } = measure(&signal, METHODS[index].0, scale);
            println!("{index} {frames} {first} {warm} {cold}");
        }
        0
    });
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("once") => run(arguments.next().and_then(|order| order.parse().ok()).unwrap_or(0)),
        _ => table(),
    }
}

fn table() {
    let mut runs: [Vec<Figures>; METHODS.len()] = Default::default();
    for order in 0..8 {
        let own = std::env::current_exe().expect("own path");
        let output = std::process::Command::new(own).args(["once", &order.to_string()]).output();
        let output = output.expect("it runs").stdout;
        for line in String::from_utf8_lossy(&output).lines() {
            let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [index, frames, first, warm, cold] = numbers[..] else { continue };
            runs[index as usize].push(Figures { frames: frames as usize, first, warm, cold });
        }
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average {}\n", load.split(' ').next().unwrap_or("?"));
    println!(
        "| method | frames | warm, ns a walk | ns a frame | first walk, µs | cold, ns a walk |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for ((_, name), runs) in METHODS.iter().zip(&runs) {
        let show = |decimals: usize, value: &dyn Fn(&Figures) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            let (low, high) = (values[0], values[values.len() - 1]);
            let median = values[values.len() / 2];
            format!("{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
        };
        let frames = runs.iter().map(|run| run.frames).max().unwrap_or(0);
        println!(
            "| {name} | {frames} | {} | {} | {} | {} |",
            show(0, &|run| run.warm),
            show(1, &|run| run.warm / run.frames as f64),
            show(1, &|run| run.first / 1e3),
            show(0, &|run| run.cold),
        );
    }
}
