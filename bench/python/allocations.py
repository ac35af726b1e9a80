"""A loop that does little but allocate, for the cost of profiling memory.

Run as `allocations.py windows`: in one process, without a profiler, with CPU profiles and with those
of memory in turn, each for a third of a second of CPU time, with threads of the profiler included;
prints the CPU times as JSON.

Run as `allocations.py ENGINE ROUNDS OUT`: starts the engine, lets the loop run ROUNDS times, about
3 ms of CPU time each, and writes the CPU time of the loop, of the process and its peak memory to
OUT as JSON. `tracemalloc` is an engine here too, which keeps one frame for each block.
"""

import json
import resource
import sys
import time

import engines


class Row:
    """What a program makes of a line: an object with a dictionary."""

    def __init__(self, number, text):
        self.number = number
        self.text = text


def rows(count):
    return [Row(number, f"row {number}") for number in range(count)]


def tables(count):
    return {str(number): [number, (number, number + 1), {"at": number}] for number in range(count)}


def strings(count):
    text = ""
    for number in range(count):
        text = "-".join((str(number), text[:80]))
    return text


def run(rounds):
    """Allocates some 20,000 blocks a round, and keeps those of the last 20 rounds."""
    kept = [None] * 20
    for number in range(rounds):
        kept[number % len(kept)] = rows(2000), tables(1500), strings(4000)
    return kept


class Tracemalloc(engines.Nothing):
    def __init__(self):
        import tracemalloc

        tracemalloc.start(1)


def windows(turns=40, rounds=100):
    """CPU times of as many windows of each way."""
    import sondage

    ways = {"none": None, "sondage": False, "sondage-memory": True}
    found = {way: [] for way in ways}
    for _ in range(turns):
        for way, memory in ways.items():
            if memory is not None:
                sondage.start(push=[], memory=memory)
            run(rounds // 10)
            before = time.process_time()
            run(rounds)
            found[way].append(time.process_time() - before)
            sondage.stop()
    print(json.dumps(found))


def main():
    if sys.argv[1:] == ["windows"]:
        return windows()
    name, rounds, out = sys.argv[1:]
    engine = Tracemalloc() if name == "tracemalloc" else engines.start(name)
    before = time.process_time()
    run(int(rounds))
    result = {"cpu": time.process_time() - before}
    engine.stop()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result |= {"peak_kib": usage.ru_maxrss, "stats": engine.stats()}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
