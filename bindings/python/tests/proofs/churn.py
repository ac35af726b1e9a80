"""Everything that moves the interpreter's structures, at a high rate. `churn.py SECONDS HZ ENGINE LEAST`
prints JSON, of at least so many samples.

Generators, exceptions, code made and thrown away, garbage collection, threads that come and go,
asyncio, and greenlets where they are installed. The process must live, and stacks must have their
Python frames.
"""

import asyncio
import gc
import json
import sys
import threading

from recording import recording

try:
    import greenlet
except ImportError:
    greenlet = None


def generators():
    def countdown(n):
        while n:
            yield n
            n -= 1

    def delegated(n):
        yield from countdown(n)
        yield from (x * x for x in countdown(n))

    return sum(delegated(200))


def exceptions(depth=0):
    try:
        if depth == 20:
            raise ValueError("the deepest")
        exceptions(depth + 1)
    except ValueError as error:
        if depth:
            raise RuntimeError("from below") from error
    except RuntimeError:
        if depth:
            raise


def made_code(state=[0]):
    state[0] += 1
    name = f"made_{state[0] % 50}_é"
    namespace = {}
    body = "".join(f"    x = x + {n}\n" for n in range(30))
    exec(compile(f"def {name}(x):\n{body}    return x\n", f"made{state[0] % 7}.py", "exec"), namespace)
    for _ in range(20):
        namespace[name](1)


def garbage():
    rings = []
    for _ in range(50):
        ring = []
        ring.append(ring)
        rings.append(ring)
    del rings
    gc.collect(0)


def threads():
    def brief():
        sum(n * n for n in range(500))

    running = [threading.Thread(target=brief) for _ in range(3)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def loops():
    async def child(n):
        await asyncio.sleep(0)
        return sum(range(n))

    async def parent():
        return await asyncio.gather(*(child(50) for _ in range(20)))

    asyncio.run(parent())


def greenlets():
    if greenlet is None:
        return

    def ping(other):
        total = 0
        for n in range(20):
            total += n
            other.switch()
        return total

    main = greenlet.getcurrent()
    for one in [greenlet.greenlet(ping) for _ in range(10)]:
        one.switch(main)
        while not one.dead:
            one.switch()


PARTS = [generators, exceptions, made_code, garbage, threads, loops, greenlets]


def busy(ended):
    while not ended.is_set():
        for part in PARTS[:4]:
            part()


def main():
    seconds, hz, engine, least = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    with recording(hz=hz, engine=engine) as record:
        ended = threading.Event()
        others = [threading.Thread(target=busy, args=(ended,), daemon=True) for _ in range(3)]
        for thread in others:
            thread.start()

        def step():
            for part in PARTS:
                part()

        record.spin(seconds, step, lambda: record.count() >= least)
        ended.set()
        for thread in others:
            thread.join()
    python = lost = 0
    for sample in record.samples:
        files = [frame.file for frame in sample.frames]
        if "[python frames lost]" in sample.names:
            lost += sample.values["samples"]
        elif any(file.endswith(".py") for file in files):
            python += sample.values["samples"]
    print(json.dumps({"samples": record.count(), "python": python, "lost": lost,
                      "greenlets": greenlet is not None, "stats": record.stats}))


if __name__ == "__main__":
    main()
