"""Stacks out of what profilers write: pprof, folded stacks and JFR."""

import dataclasses
import json
import subprocess
import sys

from runtimes import ROOT

sys.path.insert(0, str(ROOT / "bindings/python/tests"))

import pprof  # noqa: E402: found by the line above

# What a recording has of threads that run: those that were in native methods are apart before 25.
EVENTS = ["jdk.CPUTimeSample", "jdk.ExecutionSample", "jdk.NativeMethodSample"]
DEEPEST = "256"


@dataclasses.dataclass
class Stack:
    """Names from leaf to root, as `package.Class.method`; how many samples, and what they weigh."""

    names: list[str]
    thread: str
    samples: int
    weight: int


def of_pprof(folder):
    """Stacks of the pprof files in a folder, weighed by CPU time."""
    for file in sorted(folder.glob("*.pb.gz")):
        for sample in pprof.read(file.read_bytes()):
            yield Stack(sample.names, sample.labels.get("thread", ""),
                        sample.values.get("samples", 0), sample.values.get("cpu", 0))


def of_folded(file):
    """Stacks of a file with one a line, `[thread tid=1];root;…;leaf 7`."""
    for line in file.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        thread, *names = frames.split(";")
        names = [name.replace("/", ".") for name in reversed(names)]
        yield Stack(names, thread[1:].partition(" tid=")[0], int(count), int(count))


def of_jfr(tool, file):
    """Stacks of a recording, read by the runtime's own tool."""
    command = [tool, "print", "--json", "--stack-depth", DEEPEST, "--events", ",".join(EVENTS), file]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    for event in json.loads(printed)["recording"]["events"]:
        values = event["values"]
        frames = (values["stackTrace"] or {}).get("frames", [])
        thread = values.get("eventThread") or values.get("sampledThread") or {}
        name = "virtual" if thread.get("virtual") else thread.get("javaName") or ""
        yield Stack([method(frame) for frame in frames], name, 1, 1)


def method(frame):
    found = frame["method"]
    return f"{found['type']['name'].replace('/', '.')}.{found['name']}"
