"""Starts processes by `multiprocessing` and prints what each has burnt: METHOD on the command line.

The last one burns until it is terminated.
"""

import json
import multiprocessing
import os
import sys
import time

from burning import alpha

import sondage

sondage.start()


def spend(seconds: float) -> float:
    """CPU time that was used."""
    begin = time.thread_time()
    with sondage.labels(route="/alpha"):
        while time.thread_time() < begin + seconds:
            alpha()
    return time.thread_time() - begin


def child(results) -> None:
    """A process that ends by itself."""
    results.put((os.getpid(), spend(0.4)))


def endless(results) -> None:
    """A process that has to be ended."""
    results.put((os.getpid(), spend(0.4)))
    time.sleep(60)


def main() -> None:
    context = multiprocessing.get_context(sys.argv[1])
    results = context.Queue()
    spend(0.2)
    processes = [context.Process(target=child, args=(results,)) for _ in range(3)]
    terminated = context.Process(target=endless, args=(results,))
    for process in [*processes, terminated]:
        process.start()
    burnt = dict(results.get(timeout=20) for _ in range(4))
    begin = time.monotonic()
    terminated.terminate()
    for process in [*processes, terminated]:
        process.join(20)
    print(json.dumps({"burnt": burnt, "ended in": time.monotonic() - begin}))


if __name__ == "__main__":
    main()
