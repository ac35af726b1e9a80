"""Threads that live for 5 ms of CPU time. `short.py SECONDS HZ ENGINE` prints JSON.

How much of their CPU time is in the profile, on stacks that show what they did.
"""

import json
import sys
import threading
import time

from recording import recording

LIFE = 0.005


def brief(spent):
    start = time.thread_time()
    number = 0
    while time.thread_time() - start < LIFE:
        number = (number * 31 + 7) % 65537
    spent.append(time.thread_time() - start)


def main():
    seconds, hz, engine = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    spent = []

    def step():
        threads = [threading.Thread(target=brief, args=(spent,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with recording(hz=hz, engine=engine) as record:
        record.spin(seconds, step)
    told = sum(sample.values["cpu"] for sample in record.samples if "brief" in sample.names)
    print(json.dumps({"spent": sum(spent), "told": told / 1e9, "threads": len(spent),
                      "stats": record.stats}))


if __name__ == "__main__":
    main()
