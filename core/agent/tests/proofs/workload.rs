//! Work for the sampled threads.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "loading libraries that these tests compiled themselves"
)]

use crate::sys;
use sondage::{Agent, Config, Stats};
use std::collections::HashMap;
use std::ffi::CString;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts an agent at a rate.
pub fn start(hz: u32) -> Agent {
    let config = Config {
        hz,
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        ..Config::default()
    };
    Agent::start(config).expect("an agent starts")
}

/// The counters after a flush, checked for a minimum of handled signals and for the agent's health.
pub fn flushed(agent: &Agent, at_least: u64) -> Stats {
    let stats = healthy(agent);
    assert!(handled(&stats) >= at_least, "{} signals handled", handled(&stats));
    stats
}

/// The counters once so many signals are handled. The calling thread works until they are: how many
/// a scenario itself leads to is a matter of how fast the machine gets through it, that any come
/// after it is a claim.
pub fn still_sampling(agent: &Agent, at_least: u64) -> Stats {
    work_until(Duration::from_secs(20), || {
        let stats = healthy(agent);
        let handled = handled(&stats);
        if handled >= at_least { Ok(stats) } else { Err(format!("{handled} signals handled")) }
    })
}

fn healthy(agent: &Agent) -> Stats {
    agent.flush().expect("the agent answers");
    let stats = agent.stats();
    assert_eq!(stats.failure, None);
    stats
}

/// Signals that the handler has dealt with: put into a ring, or dropped (one period each) when
/// they came faster than the agent drains.
pub fn handled(stats: &Stats) -> u64 {
    let period = u64::try_from(stats.interval.as_nanos()).unwrap().max(1);
    stats.samples + stats.dropped_cpu / period
}

/// Uses CPU time of the calling thread until `attempt` succeeds; its last error fails the test once
/// `limit` is over.
pub fn work_until<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(missing) => assert!(start.elapsed() < limit, "{missing}"),
        }
        burn(Duration::from_millis(10));
    }
}

/// Uses CPU time of the calling thread.
pub fn burn(cpu: Duration) {
    let end = sys::thread_cpu() + cpu;
    while sys::thread_cpu() < end {
        spin(5_000);
    }
}

/// A few instructions, `n` times.
#[inline(never)]
pub fn spin(n: u64) -> u64 {
    (0..n).fold(1, |a, i| black_box(a.wrapping_mul(31).wrapping_add(i)))
}

/// Allocates and frees blocks of many sizes.
#[inline(never)]
pub fn allocate(seed: u64) -> usize {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut x = seed | 1;
    for _ in 0..200 {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bytes = (x >> 33) as usize % 3000 + 1;
        if x & 3 == 0 && !blocks.is_empty() {
            let at = bytes % blocks.len();
            blocks[at].reserve(bytes);
            blocks.swap_remove(at);
        } else {
            blocks.push(Vec::with_capacity(bytes));
        }
    }
    black_box(blocks).len()
}

/// Formats numbers and structures.
#[inline(never)]
pub fn format(seed: u64) -> usize {
    let mut text = String::new();
    for i in 0..40u64 {
        let number = (seed ^ i) as f64 / 7.0;
        let _ = write!(text, "{number:.3} {i:>8x} {:?} ", (seed, Some(i), "quoted\n"));
    }
    black_box(text).len()
}

/// Fills and reads a hash table.
#[inline(never)]
pub fn hash(seed: u64) -> u64 {
    let mut table = HashMap::new();
    for i in 0..100u64 {
        *table.entry(seed.wrapping_mul(i) % 61).or_insert(0u64) += i;
    }
    (0..61).filter_map(|key| table.get(&key)).sum()
}

/// Calls into libm.
#[inline(never)]
pub fn mathematics(seed: u64) -> f64 {
    let mut sum = 0.0;
    for i in 0..60 {
        let x = black_box((seed % 97) as f64 + f64::from(i) / 3.0);
        sum += x.sin() + (x / 50.0).exp() + x.powf(1.3) + x.ln_1p() + x.atan2(2.0) + x.cbrt();
    }
    black_box(sum)
}

/// Calls into the vDSO.
#[inline(never)]
pub fn read_clock(_seed: u64) -> u64 {
    (0..60).map(|_| u64::from(cpu_nanos())).sum()
}

fn cpu_nanos() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u32::try_from(time.tv_nsec).unwrap_or(0)
}

/// Unwinds through frames with destructors.
#[inline(never)]
pub fn panic(seed: u64) -> usize {
    match std::panic::catch_unwind(|| nest(6, seed)) {
        Ok(depth) => depth,
        Err(payload) => payload.downcast_ref::<u64>().map_or(0, |n| *n as usize),
    }
}

#[inline(never)]
fn nest(depth: u32, seed: u64) -> usize {
    let on_the_way = vec![seed; 3];
    if depth == 0 {
        std::panic::resume_unwind(Box::new(seed));
    }
    nest(depth - 1, seed) + black_box(&on_the_way).len()
}

/// Calls `work` with `frames` frames above.
#[inline(never)]
pub fn deeper(frames: u32, work: &mut dyn FnMut()) {
    if frames == 0 {
        return work();
    }
    deeper(frames - 1, work);
    black_box(frames);
}

/// Compiles C into a shared library and returns its path.
pub fn compile(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let stem = format!("{name}-{}", std::process::id());
    let (code, library) = (folder.join(format!("{stem}.c")), folder.join(format!("{stem}.so")));
    std::fs::write(&code, source).expect("the build folder is writable");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(&code).args(flags);
    if flags.contains(&"-fuse-ld=lld") {
        command.arg(format!("-B{}", folder_of_lld().display()));
    }
    let output = command.output().expect("the C compiler that rustc links with");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags:?}: {message}");
    let _ = std::fs::remove_file(&code);
    library
}

/// The linker that comes with the Rust toolchain, as C compilers look for it.
fn folder_of_lld() -> PathBuf {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc");
    let sysroot = String::from_utf8(output.stdout).expect("a path in UTF-8");
    let target = format!("lib/rustlib/{}-unknown-linux-gnu", std::env::consts::ARCH);
    Path::new(sysroot.trim()).join(target).join("bin/gcc-ld")
}

/// A loaded library.
#[derive(Debug)]
pub struct Library(usize);

impl Library {
    /// Loads one that [`compile`] made.
    pub fn open(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{path:?} loads");
        Self(handle as usize)
    }

    /// A function `long f(long)` of the library.
    pub fn function(&self, name: &str) -> extern "C" fn(i64) -> i64 {
        let name = CString::new(name).unwrap();
        let address = unsafe { libc::dlsym(self.0 as *mut _, name.as_ptr()) };
        assert!(!address.is_null(), "{name:?} exists");
        unsafe { std::mem::transmute(address) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        unsafe { libc::dlclose(self.0 as *mut _) };
    }
}
