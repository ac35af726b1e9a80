"""Checks that a seccomp profile names system calls that there are, and none that it must not allow."""

import json
import re
import subprocess
import sys

NEVER = {
    "mount", "umount2", "pivot_root", "setns", "unshare", "chroot", "reboot", "kexec_load",
    "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon", "swapoff",
    "process_vm_writev", "add_key", "keyctl", "request_key", "open_by_handle_at", "userfaultfd",
    "io_uring_setup", "clock_settime", "settimeofday", "iopl", "ioperm", "personality",
    "execveat", "fork", "vfork", "setuid", "setgid", "setgroups", "mknod", "mknodat", "memfd_create",
}
NEEDED = {"bpf", "perf_event_open", "process_vm_readv", "ptrace", "capset", "clone3", "execve", "openat"}

profile = json.load(open(sys.argv[1]))
assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
allowed = [name for rule in profile["syscalls"] for name in rule["names"]]
assert len(allowed) == len(set(allowed)), "a name is there twice"
assert not NEVER & set(allowed), NEVER & set(allowed)
assert NEEDED <= set(allowed), NEEDED - set(allowed)
source = "#include <sys/syscall.h>\n"
try:
    run = subprocess.run(["cc", "-E", "-dM", "-"], input=source, capture_output=True, text=True)
except FileNotFoundError:
    print("\n== SKIPPED: the names in the seccomp profile are not compared with the kernel's: no C compiler")
    sys.exit()
known = set(re.findall(r"__NR_(\w+)", run.stdout))
# Those of other architectures.
elsewhere = {"arch_prctl", "epoll_wait", "getdents", "newfstatat", "open", "pipe", "poll", "readlink",
             "rename", "rmdir", "mkdir", "select", "stat", "lstat", "fstatat64", "unlink", "access", "dup2", "symlink"}
unknown = set(allowed) - known - elsewhere
assert not unknown, f"no such system call: {sorted(unknown)}"
