//! What this kernel or this process lacks, and what to do about it.

use std::fmt;

/// A right that the engine needs. CAP_SYS_ADMIN contains both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To create BPF maps and load programs.
    Bpf,
    /// To sample all processors and to read the sampled thread's memory.
    Perfmon,
}

/// One thing that the engine needs and does not have. Displays as what is missing and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// There is no program for this processor.
    Processor,
    /// The process does not have a capability.
    Capability(Capability),
    /// The kernel does not describe its types, so the program cannot be fitted to it.
    Btf,
    /// The kernel does not compile BPF programs, which ours needs.
    Jit,
    /// The kernel lacks a BPF helper function.
    Helper(&'static str),
    /// The kernel refuses a system call although the capabilities are there.
    Refused {
        /// `bpf` or `perf_event_open`.
        call: &'static str,
        /// The error number, 0 when there was none.
        errno: i32,
    },
}

impl Missing {
    /// What to do about it, as a sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Processor => "use the timer engine; only x86_64 has a program so far",
            Self::Capability(Capability::Bpf) => {
                "grant CAP_BPF: `setcap cap_bpf,cap_perfmon+ep PROGRAM`, `docker run --cap-add BPF \
                 --cap-add PERFMON`, or `capabilities: {add: [BPF, PERFMON]}` in Kubernetes"
            }
            Self::Capability(Capability::Perfmon) => {
                "grant CAP_PERFMON: `setcap cap_bpf,cap_perfmon+ep PROGRAM`, `docker run --cap-add \
                 BPF --cap-add PERFMON`, or `capabilities: {add: [BPF, PERFMON]}` in Kubernetes"
            }
            Self::Btf => {
                "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, and make /sys/kernel/btf/vmlinux \
                 readable in the container"
            }
            Self::Jit => "switch it on: `sysctl net.core.bpf_jit_enable=1`",
            Self::Helper(_) => "use Linux 5.17 or later",
            Self::Refused { call: "bpf", errno: libc::ENOSYS } => {
                "use a kernel built with CONFIG_BPF_SYSCALL=y"
            }
            Self::Refused { errno: libc::ENOSYS, .. } => {
                "use a kernel built with CONFIG_PERF_EVENTS=y"
            }
            Self::Refused { .. } => {
                "allow the call in the seccomp profile, and note that capabilities inside a user \
                 namespace (rootless containers) do not count for it"
            }
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor => write!(f, "no eBPF program for this processor")?,
            Self::Capability(Capability::Bpf) => write!(f, "CAP_BPF is missing")?,
            Self::Capability(Capability::Perfmon) => write!(f, "CAP_PERFMON is missing")?,
            Self::Btf => write!(f, "the kernel's BTF (/sys/kernel/btf/vmlinux) is missing")?,
            Self::Jit => write!(f, "the kernel's BPF compiler is switched off")?,
            Self::Helper(name) => write!(f, "the kernel lacks the BPF helper {name}")?,
            Self::Refused { call, errno } => {
                let error = std::io::Error::from_raw_os_error(*errno);
                write!(
                    f,
                    "the kernel refuses {call} although the capabilities are there: {error}"
                )?;
            }
        }
        write!(f, " ({})", self.remedy())
    }
}
