"""Whether stacks of virtual threads reach their first method: `virtual [hz=250] [seconds=10]`."""

import collections
import re

from figures import head, row, spread
from turns import Program, cells, good, take_turns

JDK = "21,25"
ROUNDS = 3
ENGINES = ["sondage", "async-profiler", "jfr"]

COLLECTORS = ["G1", "Parallel", "Serial", "Z", "Shenandoah"]
# The threads that carry virtual ones, however the name is shortened.
CARRIER = re.compile("^(virtual$|ForkJo)")
BEFORE, AFTER, FIRST = "Virtual.before", "Virtual.after", "Virtual.first"

# So that no profiler takes either for what calls it: JFR has no stacks but where loops have polls.
FLAGS = ["-XX:+UseCountedLoopSafepoints", "-XX:CompileCommand=quiet",
         "-XX:CompileCommand=dontinline,Virtual::before",
         "-XX:CompileCommand=dontinline,Virtual::after"]


def table(context):
    hz = int(context.options.get("hz", 250))
    seconds = float(context.options.get("seconds", 10))
    print("50 virtual threads, 20 calls deep, that work, yield, and work, again and again; "
          f"{seconds:g} s, {hz} Hz. A stack is whole if it has the thread's first method:\n")
    head("garbage collector", "samples before the yield", "whole", "samples after it", "whole",
         "others of the carriers")
    for runtime in context.runtimes:
        if runtime.version < 21:
            raise SystemExit(f"Java {runtime.full} has no virtual threads")
        for collector in COLLECTORS:
            flag = f"-XX:+Use{collector}GC"
            if not runtime.runs_with(flag):
                row(runtime.full, "–", "0", collector, *["–"] * 5)
                continue
            program = Program("Virtual", [int(seconds * 1000)], [flag, *FLAGS], hz, uploads=False)
            for engine, runs in take_turns(context, runtime, program).items():
                row(*cells(runtime, engine, runs), collector, *told(good(runs)))


def told(runs):
    counts = [counted(run) for run in runs]
    texts = []
    for name in (BEFORE, AFTER):
        texts += [spread((one[name] for one in counts), 0),
                  spread((one[name, FIRST] / max(1, one[name]) * 100 for one in counts), 1, " %")]
    all_samples = [one[BEFORE] + one[AFTER] + one["other"] for one in counts]
    others = [one["other"] / max(1, every) * 100 for one, every in zip(counts, all_samples)]
    return [*texts, spread(others, 1, " %")]


def counted(run):
    """Samples in both kinds of work, those of them that are whole, and others of the carriers."""
    counts = collections.Counter()
    for stack in run.stacks:
        work = next((name for name in stack.names if name in (BEFORE, AFTER)), None)
        if work:
            counts[work] += stack.samples
            counts[work, FIRST] += stack.samples if FIRST in stack.names else 0
        elif CARRIER.search(stack.thread):
            counts["other"] += stack.samples
    return counts
