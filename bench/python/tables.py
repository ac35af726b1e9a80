"""Prints the Python tables of docs/performance.md.

`tables.py shares|cost|memory [rounds=N] [threads=N]`; 1 thread and 16 of them by default.

Engines take turns within each round, in an order that is reversed from round to round; each run is
a process of its own. A figure is the median, in brackets the lowest and the highest. Ratios are
taken within a round.
"""

import collections
import functools
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

import uploads
from sink import Sink

LOAD = re.compile(r"load_\w+")
HERE = pathlib.Path(__file__).parent
LABELS = {
    "none": "none",
    "sondage-timer": "Sondage, timer",
    "sondage-perf": "Sondage, perf",
    "sondage-process": "Sondage, process",
    "sondage": "Sondage",
    "sondage-memory": "Sondage, with memory",
    "pyroscope": "pyroscope-io",
    "pyroscope-stack": "pyroscope-io, Stack",
    "ddtrace-stack": "ddtrace, stack only",
    "ddtrace": "ddtrace",
    "py-spy": "py-spy",
}
ROUNDS = 2000
SHARES = ["sondage-timer", "sondage-perf", "pyroscope", "pyroscope-stack", "ddtrace-stack",
          "ddtrace", "py-spy"]


class Run:
    """One run of one engine: what the load says of itself, and what the engine reported."""

    def __init__(self, sink, engine, program, *arguments):
        sink.take()
        with tempfile.TemporaryDirectory() as folder:
            out, raw = pathlib.Path(folder, "out"), pathlib.Path(folder, "raw")
            command = [sys.executable, str(HERE / program), engine, *map(str, arguments), str(out)]
            environment = os.environ | {"SINK_PORT": str(sink.port)}
            if engine == "py-spy":
                spy = pathlib.Path(sys.executable).with_name("py-spy")
                command = [str(spy), "record", "-r", "100", "-t", "-f", "raw", "-o", str(raw), "--",
                           *command]
            before = os.times()
            subprocess.run(command, check=True, env=environment, timeout=900,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            after = os.times()
            self.cpu_of_all = (after.children_user - before.children_user
                               + after.children_system - before.children_system)
            self.told = json.loads(out.read_text())
            self.sums = collections.Counter()
            if raw.exists():
                self.read_folded(raw.read_text())
        for path, body in sink.take():
            for profile in uploads.profiles(path, body):
                self.sums += uploads.by_function(profile, LOAD)

    def read_folded(self, text):
        for line in text.splitlines():
            stack, _, count = line.rpartition(" ")
            self.sums[uploads.innermost(reversed(stack.split(";")), LOAD)] += int(count)


def distance(reported, true):
    """Half the sum of differences of two distributions: the share that is in the wrong place."""
    total, all_true = sum(reported.values()), sum(true.values())
    if not total:
        return 1.0
    return sum(abs(reported.get(name, 0) / total - true[name] / all_true) for name in true) / 2


def noise(true, count):
    """Median distance of `count` samples drawn at random from the true distribution."""
    names, weights = zip(*true.items())
    draws = random.Random(1)
    found = []
    for _ in range(200):
        drawn = collections.Counter(draws.choices(names, weights, k=count))
        found.append(distance(drawn, true))
    return statistics.median(found)


@functools.cache
def nine_functions(sink, threads, rounds):
    """The runs of which `shares` and `cost` tell: by engine, and without one."""
    return take_turns(sink, ["none", *SHARES], rounds, "load.py", threads, ROUNDS)


def shares(sink, rounds, all_threads):
    for threads in all_threads:
        runs = nine_functions(sink, threads, rounds)
        print(f"\n{threads} thread{'s' if threads > 1 else ''}:\n")
        head("", "share in the wrong place", "each run", "noise of as many samples",
             "without the GIL, told / true", "CPU s")
        for engine, results in list(runs.items())[1:]:
            true, told = collections.Counter(), collections.Counter()
            for run in results:
                true.update(run.told["truth"])
                told.update({name: value for name, value in run.sums.items() if name})
            cpu = sum(true.values())
            gil_free = "load_without_gil"
            row(LABELS[engine], percent(distance(told, true)),
                " ".join(percent(distance(run.sums, run.told["truth"])) for run in results),
                percent(noise(true, round(cpu * 100))),
                f"{percent(told[gil_free] / max(1, sum(told.values())))} / "
                f"{percent(true[gil_free] / cpu)}", f"{cpu:.0f}")


def cost(sink, rounds, all_threads):
    for threads in all_threads:
        runs = nine_functions(sink, threads, rounds)
        print(f"\n{threads} thread{'s' if threads > 1 else ''}:\n")
        head("", "CPU of the load, ratio", "wall time, ratio", "accounted for", "start, ms of CPU",
             "whole CPU, s", "peak memory, MiB")
        for engine, results in runs.items():
            pairs = list(zip(results, runs["none"]))
            ratios = {key: [run.told[key] / base.told[key] for run, base in pairs]
                      for key in ("cpu", "wall")}
            row(LABELS[engine], spread(ratios["cpu"], "{:.3f}"), spread(ratios["wall"], "{:.3f}"),
                accounted(results),
                spread([run.told["start_cpu"] * 1000 for run in results], "{:.0f}"),
                spread([run.cpu_of_all for run in results], "{:.2f}"),
                spread([run.told["peak_kib"] / 1024 for run in results], "{:.0f}"))


def accounted(results):
    """What a profiler says of its own cost: its threads and its handlers, of the CPU time of all."""
    stats = [run.told["stats"] for run in results]
    if not all(stats):
        return "–"
    own = [(one["agent_cpu"] + one["handler_time"]) / one["host_cpu"] for one in stats]
    return spread([share * 100 for share in own], "{:.2f} %")


def take_turns(sink, engines, rounds, program, *arguments):
    runs = {engine: [] for engine in engines}
    for number in range(rounds):
        for engine in engines if number % 2 == 0 else reversed(engines):
            runs[engine].append(Run(sink, engine, program, *arguments))
    return runs


def percent(share):
    return f"{share * 100:.1f} %"


def spread(values, form):
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(*cells):
    row(*cells)
    row(*["---"] * len(cells))


def memory(sink, rounds, _):
    import memory as table

    table.memory(sink, rounds)


TABLES = {"shares": (shares, 6), "cost": (cost, 6), "memory": (memory, 6)}


def main():
    names = [name for name in sys.argv[1:] if "=" not in name]
    options = dict(name.split("=") for name in sys.argv[1:] if "=" in name)
    sink = Sink()
    for name in names:
        table, usual = TABLES[name]
        print(f"{time.strftime('%F %H:%M UTC', time.gmtime())}; Python {sys.version.split()[0]}; "
              f"load average {os.getloadavg()[0]:.2f}")
        threads = [int(options["threads"])] if "threads" in options else [1, 16]
        table(sink, int(options.get("rounds", usual)), threads)


if __name__ == "__main__":
    main()
