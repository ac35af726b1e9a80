//! Whether this process could leave signals for eBPF.

use super::check::Check;
use super::engines::tried;
use sondage::config::EnginePolicy;

/// The engine for where signals do not do. Without it nothing is wrong as long as they do.
pub(super) fn fallback() -> Check {
    const NAME: &str = "eBPF";
    let missing = sondage::ebpf_needs();
    if !missing.is_empty() {
        let found = "not possible: where signals do not do, `sondage host-agent` is what is left";
        return Check::warn(NAME, found, missing.join("; "));
    }
    let found = tried(EnginePolicy::Ebpf, "ebpf", "SONDAGE_ENGINE=ebpf");
    Check::ok(NAME, format!("{found}; used by itself where signals do not do"))
}
