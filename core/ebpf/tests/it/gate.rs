//! Whether the tests can run here, and one at a time: each engine samples the whole process.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Waits for its turn. `None`, after a line that no capture hides, where the engine cannot run;
/// with `SONDAGE_REQUIRE_EBPF=1` that is a failure.
pub(crate) fn enter(test: &str) -> Option<MutexGuard<'static, ()>> {
    has_ebpf(test).then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Whether the engine can run; says so, past any capture, where it cannot. With
/// `SONDAGE_REQUIRE_EBPF=1` that is a failure.
pub(crate) fn has_ebpf(test: &str) -> bool {
    let missing = super::probe();
    if missing.is_empty() {
        return true;
    }
    let reasons: Vec<String> = missing.iter().map(ToString::to_string).collect();
    skip(test, &format!("eBPF is not available here\n    {}", reasons.join("\n    ")));
    false
}

/// Says, past any capture, why a test does not run. With `SONDAGE_REQUIRE_EBPF=1` that is a failure.
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("SONDAGE_REQUIRE_EBPF").is_none_or(|value| value != "1"),
        "SONDAGE_REQUIRE_EBPF=1, but {test} cannot run: {reason}"
    );
    // Not `eprintln`: the test harness would swallow it.
    let line = format!("\n*** SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
