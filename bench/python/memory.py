"""The table of what profiling memory costs: `tables.py memory [rounds=N]`.

Each engine runs the loop of allocations.py in a process of its own, and ratios are taken within a
round, as in tables.py.
"""

import json
import statistics
import subprocess
import sys

import tables

ROUNDS = 2500
ENGINES = {
    "none": "none",
    "sondage": "Sondage, CPU only",
    "sondage-memory": "Sondage, with memory",
    "ddtrace-stack": "ddtrace, stack only",
    "ddtrace": "ddtrace",
    "tracemalloc": "tracemalloc, one frame",
}


def memory(sink, rounds):
    runs = tables.take_turns(sink, list(ENGINES), rounds, "allocations.py", ROUNDS)
    print(f"\n{ROUNDS} rounds of some 20,000 blocks:\n")
    tables.head("", "CPU of the loop, ratio", "CPU of the loop, s", "peak memory, MiB")
    for engine, results in runs.items():
        ratios = [run.told["cpu"] / base.told["cpu"] for run, base in zip(results, runs["none"])]
        tables.row(ENGINES[engine], tables.spread(ratios, "{:.3f}"),
                   tables.spread([run.told["cpu"] for run in results], "{:.2f}"),
                   tables.spread([run.told["peak_kib"] / 1024 for run in results], "{:.0f}"))
    windows()


def windows():
    """What others on the machine do to a window falls on all ways alike, and least on their lowest."""
    program = str(tables.HERE / "allocations.py")
    told = subprocess.run([sys.executable, program, "windows"], check=True, stdout=subprocess.PIPE)
    found = json.loads(told.stdout)
    print(f"\n{len(found['none'])} windows of each in one process, in turn:\n")
    tables.head("", "lowest", "lower quartile", "median, s")
    for way, times in found.items():
        base, own = statistics.quantiles(found["none"]), statistics.quantiles(times)
        tables.row(ENGINES[way], f"{min(times) / min(found['none']):.3f}", f"{own[0] / base[0]:.3f}",
                   f"{own[1]:.3f}")

