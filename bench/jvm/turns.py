"""Runs programs under the engines, which take turns: each run is a process of its own."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from engines import CLASSES, Sink
from runtimes import Runtime

PATIENCE = 300
HEAP = "-Xmx256m"


@dataclasses.dataclass
class Program:
    """A class of load/, what it is given, and the flags of `java` for it."""

    name: str
    arguments: list
    flags: list = dataclasses.field(default_factory=list)
    hz: int = 100
    # Whether profiles are uploaded, as people have them; otherwise they are read.
    uploads: bool = True


@dataclasses.dataclass
class Run:
    """One run of a program. CPU and wall time are in seconds, of the whole process."""

    runtime: Runtime
    sink: Sink
    folder: pathlib.Path
    hz: int
    uploads: bool
    told: dict = dataclasses.field(default_factory=dict)
    stacks: list = dataclasses.field(default_factory=list)
    cpu: float = 0
    wall: float = 0
    peak_kib: int = 0
    requests: int = 0
    failed: str = ""


# What Sondage has said of itself: once is enough.
_said = set()


def run(runtime, sink, engine, program):
    """Runs a program once; says on the error output what has failed."""
    with tempfile.TemporaryDirectory(prefix="sondage-bench-") as folder:
        one = Run(runtime, sink, pathlib.Path(folder), program.hz, program.uploads)
        sink.take()
        try:
            execute(one, engine, program)
            one.stacks = [] if program.uploads else list(engine.stacks(one))
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as problem:
            one.failed = one.failed or f"{type(problem).__name__}: {problem}"
        one.requests = len(sink.take())
    if one.failed:
        print(f"{program.name}, {engine.title}, {runtime}: {one.failed}", file=sys.stderr)
    return one


def execute(one, engine, program):
    command = [str(one.runtime.java), HEAP, f"-Djava.io.tmpdir={one.folder}",
               *engine.flags(one), *program.flags, "-cp",
               ":".join(map(str, (CLASSES, *engine.classes))), program.name,
               *map(str, program.arguments), *([str(engine.library)] if engine.library else [])]
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(("SONDAGE_", "PYROSCOPE_", "JAVA_TOOL_OPTIONS"))}
    output, errors = one.folder / "output", one.folder / "errors"
    with open(output, "w") as to, open(errors, "w") as errors_to:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=to, stderr=errors_to,
                                   env=clean | engine.environment(one), cwd=one.folder)
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.cancel()
        one.wall = time.monotonic() - begun
    one.cpu = usage.ru_utime + usage.ru_stime
    one.peak_kib = usage.ru_maxrss
    lines = output.read_text().splitlines()
    one.told = dict(line.split("=", 1) for line in lines if "=" in line)
    said = errors.read_text().splitlines()
    for line in said:
        if line.startswith("sondage: ") and line not in _said:
            _said.add(line)
            print(f"{program.name}, {engine.title}, {one.runtime}: {line}", file=sys.stderr)
    if process.returncode != 0:
        one.failed = f"ended with {process.returncode}: {' '.join(said[:3])}"


def take_turns(context, runtime, program):
    """Runs of a program by engine, in an order that is reversed from round to round."""
    runs = {engine: [] for engine in context.engines}
    for number in range(context.rounds):
        for engine in context.engines if number % 2 == 0 else reversed(context.engines):
            runs[engine].append(run(runtime, context.sink, engine, program))
    return runs


def good(runs):
    """Runs that ended well."""
    return [one for one in runs if not one.failed]


def pairs(runs, base):
    """Those rounds in which both ended well."""
    return [(own, other) for own, other in zip(runs, base) if not own.failed and not other.failed]


def cells(runtime, engine, runs):
    """The first cells of a row: the version of Java, the engine, and how many runs ended well."""
    well = len(good(runs))
    n = str(well) if well == len(runs) else f"{well}, {len(runs) - well} failed"
    return [runtime.full, engine.named(runtime), n]
