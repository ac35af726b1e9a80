"""Forks many processes out of one that is busy on several threads: FORKS on the command line.

Prints how they ended; one that does not end is killed.
"""

import json
import os
import signal
import sys
import threading
import time

import sondage

#: Processes that run at once.
ABREAST = 8

#: CPU time that a process burns before it ends.
BURN = 0.05

#: Seconds after which a process hangs.
HANGS = 20.0

stopping = threading.Event()


def busy() -> None:
    """A thread that the forks interrupt anywhere: it sets labels, starts threads, allocates."""
    while not stopping.is_set():
        with sondage.labels(part="busy"):
            thread = threading.Thread(target=lambda: sum(n * n for n in range(5000)))
            thread.start()
            sondage.set_label("turn", "odd")
            thread.join()


def child(number: int) -> None:
    """What a forked process does."""
    # Its profiler starts beside it, on a busy machine perhaps after all of this: wait for it.
    sondage.flush()
    with sondage.labels(child=number):
        begin = time.thread_time()
        while time.thread_time() < begin + BURN:
            sum(n * n for n in range(1000))
    os._exit(0)


def reap(running: dict, said: dict, down_to: int) -> None:
    """Waits until only so many run."""
    while len(running) > down_to:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process:
            del running[process]
            said["failed"] += status != 0
        for process, begin in list(running.items()):
            if time.monotonic() > begin + HANGS:
                said["hung"] += 1
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                del running[process]
        time.sleep(0.002)


def main() -> None:
    sondage.start()
    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    said = {"hung": 0, "failed": 0}
    running = {}
    for number in range(int(sys.argv[1])):
        process = os.fork()
        if process == 0:
            child(number)
        running[process] = time.monotonic()
        reap(running, said, ABREAST - 1)
    reap(running, said, 0)
    stopping.set()
    for thread in threads:
        thread.join()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
