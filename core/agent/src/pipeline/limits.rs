//! What a process can afford, and what its host has taken already.

/// A quarter of the memory is for distinct stacks, of 64 frames on average; what finds no room
/// goes into `[overflow]`. 32,768 stacks at the default of 64 MiB.
pub(super) fn max_stacks(memory_bytes: u64) -> usize {
    usize::try_from(memory_bytes / 4 / (64 * 8)).unwrap_or(usize::MAX)
}

/// The signals that the main thread blocks: a host that waits for one blocks it in every thread.
pub(super) fn blocked_signals() -> u64 {
    status_of("SigBlk:").and_then(|set| u64::from_str_radix(&set, 16).ok()).unwrap_or(0)
}

/// The signals that a thread of this process blocks; `None` if it has ended.
pub(super) fn blocked_by(tid: i32) -> Option<u64> {
    let set = value_in(&format!("/proc/self/task/{tid}/status"), "SigBlk:")?;
    u64::from_str_radix(&set, 16).ok()
}

/// What the kernel says of the main thread: the value of a line of `/proc/self/status`.
pub(super) fn status_of(name: &str) -> Option<String> {
    value_in("/proc/self/status", name)
}

fn value_in(path: &str, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(path).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}

/// A timer takes one of the user's queued signals, which all processes of the user share: at most
/// a quarter of the limit is used.
pub(super) fn affordable_threads() -> u32 {
    sondage_sampler::signal_queue_limit()
        .map_or(u32::MAX, |limit| u32::try_from(limit / 4).unwrap_or(u32::MAX))
        .max(1)
}
