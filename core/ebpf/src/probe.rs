//! Finds out whether the engine can run here.

use crate::missing::{Capability, Missing};
use crate::object::OBJECT;
use crate::sys;
use aya::programs::{ProgramError, ProgramType};
use aya::sys::{BpfHelper, is_helper_supported};
use std::fs::{self, File};
use std::io;

/// Everything that the engine needs and this kernel or process does not have; empty when the
/// engine can run. Loads a few two-instruction programs to ask the kernel; takes about 1 ms.
#[must_use]
pub fn probe() -> Vec<Missing> {
    let capabilities = fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| effective_capabilities(&status))
        .unwrap_or(0);
    let mut missing = missing_capabilities(capabilities);
    if OBJECT.is_none() {
        missing.push(Missing::Processor);
    }
    if File::open("/sys/kernel/btf/vmlinux").is_err() {
        missing.push(Missing::Btf);
    }
    // Only root may read it. Where it cannot be read, loading tells.
    if fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").is_ok_and(|text| text.trim() == "0")
    {
        missing.push(Missing::Jit);
    }
    if missing_capabilities(capabilities).is_empty() {
        missing.extend(missing_helpers());
        missing.extend(
            sys::try_cpu_clock_event().err().map(|error| refused("perf_event_open", &error)),
        );
    }
    missing
}

/// Helpers that came last, with the kernel that brought them: 5.17, 5.15, 5.11, 5.7.
const HELPERS: [(&str, BpfHelper); 4] = [
    ("bpf_loop", BpfHelper::BPF_FUNC_loop),
    ("bpf_task_pt_regs", BpfHelper::BPF_FUNC_task_pt_regs),
    ("bpf_get_current_task_btf", BpfHelper::BPF_FUNC_get_current_task_btf),
    ("bpf_get_ns_current_pid_tgid", BpfHelper::BPF_FUNC_get_ns_current_pid_tgid),
];

fn missing_helpers() -> Vec<Missing> {
    let mut missing = Vec::new();
    for (name, helper) in HELPERS {
        match is_helper_supported(ProgramType::PerfEvent, helper) {
            Ok(true) => {}
            Ok(false) => missing.push(Missing::Helper(name)),
            Err(ProgramError::SyscallError(error)) => {
                return vec![refused("bpf", &error.io_error)];
            }
            Err(_) => return vec![Missing::Refused { call: "bpf", errno: 0 }],
        }
    }
    missing
}

fn refused(call: &'static str, error: &io::Error) -> Missing {
    Missing::Refused { call, errno: error.raw_os_error().unwrap_or(0) }
}

const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

fn missing_capabilities(effective: u64) -> Vec<Missing> {
    let lacks = |capability: u64| effective & (capability | CAP_SYS_ADMIN) == 0;
    let mut missing = Vec::new();
    if lacks(CAP_BPF) {
        missing.push(Missing::Capability(Capability::Bpf));
    }
    if lacks(CAP_PERFMON) {
        missing.push(Missing::Capability(Capability::Perfmon));
    }
    missing
}

/// The line `CapEff:` of `/proc/PID/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(digits.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000000c000000000\n";
        assert_eq!(effective_capabilities(status), Some(CAP_BPF | CAP_PERFMON));
        assert_eq!(effective_capabilities("CapEff:\tzz\n"), None);
        let bpf = Missing::Capability(Capability::Bpf);
        let perfmon = Missing::Capability(Capability::Perfmon);
        assert_eq!(missing_capabilities(0), [bpf.clone(), perfmon.clone()]);
        assert_eq!(missing_capabilities(CAP_BPF), [perfmon]);
        assert_eq!(missing_capabilities(CAP_PERFMON), [bpf]);
        assert_eq!(missing_capabilities(CAP_BPF | CAP_PERFMON), []);
        assert_eq!(missing_capabilities(CAP_SYS_ADMIN), []);
    }

    #[test]
    fn a_message_tells_what_is_missing_and_what_to_do() {
        let text = Missing::Capability(Capability::Bpf).to_string();
        assert!(text.starts_with("CAP_BPF is missing (grant CAP_BPF: "), "{text}");
        let text = Missing::Helper("bpf_loop").to_string();
        assert_eq!(text, "the kernel lacks the BPF helper bpf_loop (use Linux 5.17 or later)");
        let text = Missing::Refused { call: "bpf", errno: libc::EPERM }.to_string();
        assert!(text.contains("Operation not permitted") && text.contains("seccomp"), "{text}");
    }
}
