"""Labels over asyncio tasks that take turns on one thread. `interleaved.py SECONDS HZ ENGINE LEAST`
prints JSON, of at least so many samples.

Task 3 runs `work_3` under the label `task=3` and is interrupted at every await; in each sample the
function on the stack and the label must be of the same task.
"""

import asyncio
import contextvars
import json
import re
import sys

import sondage
from recording import recording

TASKS = 8
OTHERS = [contextvars.ContextVar(f"other_{n}") for n in range(40)]


def make_work(number):
    source = f"def work_{number}(x):\n    for n in range(300):\n        x = (x * 31 + n) % 65537\n    return x\n"
    namespace = {}
    exec(compile(source, "works.py", "exec"), namespace)
    return namespace[f"work_{number}"]


async def task(number, goes_on):
    work = make_work(number)
    for other in OTHERS:
        other.set(number)
    x = 0
    with sondage.labels(task=str(number)):
        while goes_on():
            x = work(x)
            await asyncio.sleep(0)
            OTHERS[x % len(OTHERS)].set(x)
            if x % 16 == 0:
                x = await asyncio.to_thread(work, x)


async def everything(goes_on):
    await asyncio.gather(*(task(number, goes_on) for number in range(TASKS)))


def judge(samples):
    right = wrong = 0
    for sample in samples:
        found = next((re.fullmatch(r"work_(\d)", name) for name in sample.names
                      if name.startswith("work_")), None)
        if found and sample.labels.get("task") == found[1]:
            right += sample.values["samples"]
        elif found:
            wrong += sample.values["samples"]
    return right, wrong


def main():
    seconds, hz, engine, least = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    with recording(hz=hz, engine=engine) as record:
        goes_on = record.lasting(seconds, lambda: judge(record.samples)[0] >= least)
        asyncio.run(everything(goes_on))
    right, wrong = judge(record.samples)
    print(json.dumps({"right": right, "wrong": wrong, "stats": record.stats}))


if __name__ == "__main__":
    main()
