//! What the kernel and this user's limits allow.

use std::fs;
use std::time::Duration;

use super::check::Check;

/// Fewer sampled threads than this are worth a word.
const FEW_THREADS: u64 = 256;

/// The number of SIGURG on Linux.
const SIGURG: u32 = 23;

/// A line of `/proc/self/status`, without its name.
pub(super) fn status_line(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// A set of bits in `/proc/self/status`.
pub(super) fn status_bits(name: &str) -> Option<u64> {
    u64::from_str_radix(&status_line(name)?, 16).ok()
}

/// The signal that samples are taken by, if it is free.
pub(super) fn signal() -> Check {
    const NAME: &str = "signal";
    let is_set =
        |set: &str| status_bits(set).is_some_and(|signals| signals & (1 << (SIGURG - 1)) != 0);
    if is_set("SigBlk") {
        let remedy = "unblock SIGURG in the program that starts this one";
        return Check::warn(NAME, "SIGURG is blocked in this process", remedy);
    }
    if is_set("SigIgn") || is_set("SigCgt") {
        let remedy = "nothing needs to be done: another signal is used instead";
        return Check::warn(NAME, "SIGURG is used by others in this process", remedy);
    }
    Check::ok(NAME, "SIGURG is free")
}

/// Each timer takes one of the user's queued signals.
pub(super) fn queued_signals() -> Check {
    const NAME: &str = "queued signals";
    let Some(limit) = sondage_sampler::signal_queue_limit() else {
        return Check::ok(NAME, "RLIMIT_SIGPENDING is unlimited");
    };
    let threads = (limit / 4).max(1);
    let used = status_line("SigQ").unwrap_or_else(|| format!("?/{limit}"));
    let found = format!(
        "RLIMIT_SIGPENDING is {limit} ({used} in use): up to {threads} threads are sampled"
    );
    if threads < FEW_THREADS {
        return Check::warn(
            NAME,
            found,
            "raise it: ulimit -i 16384, or LimitSIGPENDING= of systemd",
        );
    }
    Check::ok(NAME, found)
}

/// CPU timers fire with the kernel's tick at best.
pub(super) fn tick() -> Check {
    const NAME: &str = "kernel tick";
    let tick = sondage_sampler::kernel_tick();
    let hz = 1.0 / tick.as_secs_f64();
    let found = format!("CONFIG_HZ is {hz:.0}: at most {hz:.0} samples a second for each thread");
    if tick > Duration::from_millis(10) {
        return Check::warn(NAME, found, "rates above that need a kernel with a faster tick");
    }
    Check::ok(NAME, found)
}

/// Threads and modules are found in `/proc`.
pub(super) fn proc_files() -> Check {
    const NAME: &str = "/proc";
    let maps = fs::read_to_string("/proc/self/maps").map(|maps| maps.lines().count());
    let tasks = fs::read_dir("/proc/self/task").map(|tasks| tasks.count());
    match (maps, tasks) {
        (Ok(maps), Ok(tasks)) if maps > 0 && tasks > 0 => {
            Check::ok(NAME, "modules and threads of this process can be listed")
        }
        (Err(error), _) => Check::fail(NAME, format!("/proc/self/maps: {error}"), MOUNT),
        (_, Err(error)) => Check::fail(NAME, format!("/proc/self/task: {error}"), MOUNT),
        _ => Check::fail(NAME, "/proc/self is empty", MOUNT),
    }
}

const MOUNT: &str = "mount /proc in the container or chroot";
