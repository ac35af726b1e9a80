"""What a profiler adds to a program that does nothing: `start`."""

import dataclasses

from figures import head, row, spread
from turns import Program, cells, good, take_turns

JDK = "17,25"
ROUNDS = 15
ENGINES = ["none", "sondage", "empty-jar", "sondage-jar", "async-profiler", "pyroscope", "jfr"]


def table(context):
    print("A program that says hello, from its start to its end, at 100 Hz:\n")
    head("CPU ms", "wall ms", "highest RSS, MiB")
    # The first round finds files that are not in memory yet.
    context = dataclasses.replace(context, rounds=context.rounds + 1)
    for runtime in context.runtimes:
        for engine, runs in take_turns(context, runtime, Program("Hello", [])).items():
            later = good(runs[1:])
            row(*cells(runtime, engine, runs[1:]), spread((run.cpu * 1000 for run in later), 0),
                spread((run.wall * 1000 for run in later), 0),
                spread((run.peak_kib / 1024 for run in later), 0))
