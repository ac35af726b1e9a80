"""Where CPU time is told to go, beside the truth: `shares [hz=250] [seconds=15]`."""

import collections
import re
import statistics

from figures import errors, head, largest, noise, percent, row, spread
from turns import Program, cells, good, take_turns

JDK = "11,17,21,25"
ROUNDS = 5
ENGINES = ["sondage", "async-profiler", "async-profiler-asgct", "jfr"]

KINDS = ["interpreted", "inlined", "megamorphic", "recursive", "allocating", "copying", "deflating",
         "text", "lambda", "mathematics"]
KIND = re.compile(rf"Shares\.({'|'.join(KINDS)})$")

# None is compiled into its caller, which calls all; what it calls may be compiled into it.
FLAGS = ["-XX:CompileCommand=quiet", "-XX:CompileCommand=exclude,Shares::interpreted",
         *(f"-XX:CompileCommand=dontinline,Shares::{kind}" for kind in KINDS)]


def table(context):
    hz = int(context.options.get("hz", 250))
    seconds = float(context.options.get("seconds", 15))
    program = Program("Shares", [int(seconds * 1000)], FLAGS, hz, uploads=False)
    print(f"Ten kinds of work on one thread, each of a tenth of {seconds:g} s of CPU time; {hz} Hz. "
          "Errors are in points of a share:\n")
    head("samples a run", "largest error, median", "highest", "noise of as many samples",
         "of all runs together, and their noise", "of no kind", "where, in each run")
    for runtime in context.runtimes:
        for engine, runs in take_turns(context, runtime, program).items():
            row(*cells(runtime, engine, runs), *told(good(runs)))


def told(runs):
    found = [judged(run) for run in runs]
    if not found:
        return ["–"] * 7
    worst = [largest(one.errors) for one in found]
    sizes = [abs(error) * 100 for _, error in worst]
    count = statistics.median(one.samples for one in found)
    expected, together = (noise(true(runs[0]), round(it)) for it in (count, count * len(found)))
    means = {kind: statistics.mean(one.errors[kind] for one in found) for kind in KINDS}
    return [
        spread((one.samples for one in found), 0), f"{statistics.median(sizes):.1f}",
        f"{max(sizes):.1f}", f"{expected * 100:.1f}",
        f"{abs(largest(means)[1]) * 100:.2f}, {together * 100:.2f}",
        percent(statistics.median(one.unknown for one in found)),
        ", ".join(f"{kind} {error * 100:+.1f}" for kind, error in worst),
    ]


Judged = collections.namedtuple("Judged", "samples errors unknown")


def judged(run):
    """Samples, the error of each kind's share, and the share without a kind."""
    sums, samples = collections.Counter(), 0
    for stack in run.stacks:
        if stack.thread == "load":
            sums[innermost(stack.names)] += stack.weight
            samples += stack.samples
    unknown = sums[""] / (sums.total() or 1)
    return Judged(samples, errors(sums, true(run)), unknown)


def true(run):
    return {kind: int(run.told[kind]) for kind in KINDS}


def innermost(names):
    """The kind of the first method from the leaf that has one, or ""."""
    return next((found[1] for name in names if (found := KIND.search(name))), "")
