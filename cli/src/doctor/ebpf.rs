//! Whether this process could load eBPF programs.

use std::path::Path;

use super::check::Check;
use super::system::status_bits;

/// Numbers of capabilities.
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// Types of the running kernel, by which programs adapt to it.
const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn capabilities() -> Check {
    const NAME: &str = "eBPF";
    let effective = status_bits("CapEff").unwrap_or(0);
    let has = |capability: u32| effective & (1 << capability) != 0;
    if !(has(SYS_ADMIN) || has(BPF) && has(PERFMON)) {
        let missing: Vec<_> = [(BPF, "CAP_BPF"), (PERFMON, "CAP_PERFMON")]
            .iter()
            .filter(|(number, _)| !has(*number))
            .map(|(_, name)| *name)
            .collect();
        let missing = missing.join(" and ");
        let found = format!("not possible: {missing} missing; the timer engine needs none");
        let remedy = "docker run --cap-add BPF --cap-add PERFMON, securityContext.capabilities.add \
                      in Kubernetes, or AmbientCapabilities= of systemd";
        return Check::warn(NAME, found, remedy);
    }
    if !Path::new(BTF).exists() {
        let found = format!("capabilities are there, but {BTF} is not");
        return Check::warn(NAME, found, "use a kernel with CONFIG_DEBUG_INFO_BTF");
    }
    Check::ok(NAME, "capabilities and kernel types are there")
}
