"""What the kernel says of BPF programs and maps, and of a process."""

import collections
import contextlib
import ctypes
import os
import pathlib
import re
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
BPF = 321 if os.uname().machine == "x86_64" else 280
PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD = 11, 13, 15
STATISTICS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
TICK = 1 / os.sysconf("SC_CLK_TCK")

Program = collections.namedtuple("Program", "name nanoseconds runs")


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = LIBC.syscall(BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result, buffer.raw


def programs():
    """Every loaded program by its number, with its run time so far."""
    found, number = {}, 0
    while True:
        try:
            _, answer = bpf(PROG_GET_NEXT_ID, struct.pack("II", number, 0))
        except FileNotFoundError:
            return found
        number = struct.unpack_from("I", answer, 4)[0]
        # One may be gone by now.
        with contextlib.suppress(FileNotFoundError):
            found[number] = program(number)


def program(number):
    descriptor, _ = bpf(PROG_GET_FD_BY_ID, struct.pack("I", number))
    try:
        info = ctypes.create_string_buffer(256)
        bpf(OBJ_GET_INFO_BY_FD, struct.pack("IIQ", descriptor, 256, ctypes.addressof(info)))
        # `struct bpf_prog_info` of linux/bpf.h.
        name = info.raw[64:80].split(b"\0")[0].decode()
        return Program(name, *struct.unpack_from("QQ", info.raw, 192))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def statistics():
    """Has the kernel measure how long programs run."""
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


def cpu_seconds(pid):
    """User and system time of a process' threads, also of those that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def peak_memory(pid):
    """The most that was resident, in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def map_memory(pid):
    """Bytes of the kernel's that a process' maps take."""
    maps = {}
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            text = path.read_text()
            if number := re.search(r"^map_id:\s+(\d+)", text, re.M):
                maps[number[1]] = int(re.search(r"^memlock:\s+(\d+)", text, re.M)[1])
    return sum(maps.values())
