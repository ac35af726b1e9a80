"""Nine functions whose CPU time is known: each adds up what its thread's CPU clock says.

Run as `load.py ENGINE THREADS ROUNDS OUT`: starts the engine, lets the threads call the nine ROUNDS
times together, each time in another order, and writes the true CPU time of each function, of the
process and its peak memory to OUT as JSON. A round takes about 5 ms of CPU time.
"""

import hashlib
import json
import random
import re
import resource
import sys
import threading
import time

import engines

BLOCK = bytes(range(256)) * 4096
WORDS = [f"word{number % 97}x{number}" for number in range(400)]
RECORDS = [{"id": n, "name": f"name {n}", "tags": ["a", "b", str(n)], "price": n / 7} for n in range(60)]
PATTERN = re.compile(r"(\w+?)(\d+)x(\d+)")


def load_arithmetic():
    total = 0
    for number in range(9000):
        total = (total * 31 + number) % 65537
    return total


def load_dictionary():
    table = {}
    for number in range(4500):
        key = number % 613
        table[key] = table.get(key, 0) + number
    return table


def load_strings():
    text = ""
    for _ in range(14):
        text = ",".join(word.upper() for word in WORDS)
        text = text.replace("WORD", "w")
    return text


def load_sorting():
    return [sorted(WORDS, key=lambda word: word[::-1]) for _ in range(7)]


def load_deep(depth=0):
    if depth == 60:
        return sum(number * number for number in range(9000))
    return load_deep(depth + 1)


def load_generators():
    numbers = (number for number in range(5000))
    squares = (number * number for number in numbers)
    return sum(square for square in squares if square % 3)


def load_json():
    for _ in range(5):
        json.loads(json.dumps(RECORDS))


def load_regex():
    for _ in range(2):
        for word in WORDS:
            PATTERN.match(word)


def load_without_gil():
    """OpenSSL's SHA-256, which gives the GIL away."""
    return hashlib.sha256(BLOCK).hexdigest()


LOADS = [
    load_arithmetic,
    load_dictionary,
    load_strings,
    load_sorting,
    load_deep,
    load_generators,
    load_json,
    load_regex,
    load_without_gil,
]


def work(seed, rounds, truth):
    """Runs rounds of the nine, each round in another order, and adds their CPU time to `truth`."""
    order = random.Random(seed)
    for _ in range(rounds):
        for load in order.sample(LOADS, len(LOADS)):
            before = time.thread_time()
            load()
            truth[load.__name__] += time.thread_time() - before


def run(threads, rounds):
    truths = [dict.fromkeys((load.__name__ for load in LOADS), 0.0) for _ in range(threads)]
    wall, before = time.perf_counter(), time.process_time()
    if threads == 1:
        work(0, rounds, truths[0])
    else:
        workers = [
            threading.Thread(target=work, args=(seed, rounds // threads, truth))
            for seed, truth in enumerate(truths)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    truth = {name: sum(one[name] for one in truths) for name in truths[0]}
    return {"truth": truth, "cpu": time.process_time() - before,
            "wall": time.perf_counter() - wall}


def main():
    name, threads, rounds, out = sys.argv[1:]
    before = time.process_time()
    engine = engines.start(name)
    start_cpu = time.process_time() - before
    result = run(int(threads), int(rounds))
    engine.stop()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result |= {"start_cpu": start_cpu, "whole_cpu": usage.ru_utime + usage.ru_stime,
               "peak_kib": usage.ru_maxrss, "stats": engine.stats()}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
