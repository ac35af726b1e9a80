//! Resident memory, from /proc.

/// The process' resident memory now and at its highest since [`reset_peak`], in kB.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Now.
    pub now: u64,
    /// At its highest.
    pub peak: u64,
}

/// Reads both.
pub fn resident() -> Resident {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a known field");
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
    };
    Resident { now: field("VmRSS:"), peak: field("VmHWM:") }
}

/// Makes the present the highest.
pub fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("own process");
}
