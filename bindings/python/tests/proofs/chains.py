"""Torn stacks: two chains of calls that never mix. `chains.py SECONDS HZ ENGINE LEAST`
prints JSON, of at least so many samples.

A stack with functions of both, or with a gap in one, was put together from two moments.
"""

import json
import re
import sys

from recording import recording

DEPTH = 12


def make_chain(letter):
    """`a0` calls `a1` … calls `a11`, which does almost nothing: the stack changes all the time."""
    source = "".join(
        f"def {letter}{n}(x):\n    return {letter}{n + 1}(x) + 1\n" for n in range(DEPTH - 1)
    )
    source += f"def {letter}{DEPTH - 1}(x):\n    return x + 1\n"
    namespace = {}
    exec(compile(source, f"chain_{letter}.py", "exec"), namespace)
    return namespace[f"{letter}0"]


def judge(samples):
    torn = judged = 0
    for sample in samples:
        links = [name for name in reversed(sample.names) if re.fullmatch(r"[ab]\d+", name)]
        expected = [f"{links[0][0]}{n}" for n in range(len(links))] if links else []
        judged += sample.values["samples"] if links else 0
        torn += sample.values["samples"] if links != expected else 0
    return judged, torn


def main():
    seconds, hz, engine, least = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    first, second = make_chain("a"), make_chain("b")

    def step():
        for number in range(2000):
            first(number)
            second(number)

    with recording(hz=hz, engine=engine) as record:
        record.spin(seconds, step, lambda: judge(record.samples)[0] >= least)
    judged, torn = judge(record.samples)
    print(json.dumps({"judged": judged, "torn": torn, "stats": record.stats}))


if __name__ == "__main__":
    main()
