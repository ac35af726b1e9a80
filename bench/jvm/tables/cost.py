"""What profiling costs a program that runs for long: `cost [warm=10] [work=20] [hz=100]`."""

import json

from figures import head, interval, row, spread
from turns import Program, cells, good, pairs, take_turns

from .shares import FLAGS

JDK = "17,25"
ROUNDS = 12
ENGINES = ["none", "sondage", "sondage-jar", "async-profiler", "pyroscope", "jfr"]

# How often in a second the ten kinds of work are done, half a millisecond each.
TURNS = 200


def table(context):
    """`warm` and `work` are in seconds, the latter roughly: it is a fixed amount of work."""
    warm = float(context.options.get("warm", 10))
    work = float(context.options.get("work", 20))
    hz = int(context.options.get("hz", 100))
    print(f"A fixed amount of work on one thread, after {warm:g} s of it; {hz} Hz, uploads every "
          "10 s. CPU time is that of the process:\n")
    head("CPU s", "ratio", "wall time, ratio", "whole process, ratio", "accounted for",
         "with the start", "RSS at the end, MiB", "highest RSS, MiB", "uploads")
    program = Program("Cost", [int(warm * 1000), int(work * TURNS)], FLAGS, hz)
    for runtime in context.runtimes:
        runs = take_turns(context, runtime, program)
        none = next((found for engine, found in runs.items() if engine.title == "none"), [])
        for engine, results in runs.items():
            row(*cells(runtime, engine, results), *told(results, none))


def told(runs, none):
    both = pairs(runs, none)

    def ratio(figure):
        return interval(figure(own) / figure(base) for own, base in both)

    return [
        spread((number(run, "cpu") / 1e9 for run in good(runs)), 2),
        ratio(lambda run: number(run, "cpu")), ratio(lambda run: number(run, "wall")),
        ratio(lambda run: run.cpu), accounted(runs, "before"), accounted(runs),
        spread((number(run, "VmRSS") / 1024 for run in good(runs)), 0),
        spread((number(run, "VmHWM") / 1024 for run in good(runs)), 0),
        spread((run.requests for run in good(runs)), 0),
    ]


def number(run, name):
    return int(run.told[name])


def accounted(runs, since=None):
    """What Sondage says of its own cost, of all CPU time: its threads and its handlers."""
    shares = []
    for run in good(runs):
        if (after := json.loads(run.told.get("after", "null"))) is None:
            continue
        before = json.loads(run.told[since]) if since else {}
        agent, handlers, host = (after[name] - before.get(name, 0)
                                 for name in ("agent_cpu", "handler_time", "host_cpu"))
        shares.append((agent + handlers) / (host + agent) * 100)
    return spread(shares, 2, " %")
