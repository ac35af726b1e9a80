"""Parts of known CPU time: says `ready`, waits for a line, works, says what each part used."""
import asyncio
import hashlib
import json
import sys
import threading
import time

clock = time.thread_time
spent = {}


def until(end):
    total = 0
    while clock() < end:
        for number in range(50):
            total += number
    return total


def plain(seconds):
    until(clock() + seconds)


def beside(seconds):
    until(clock() + seconds)


def produce(seconds):
    end = clock() + seconds
    while clock() < end:
        until(clock() + 0.001)
        yield 1


def generator(seconds):
    sum(produce(seconds))


async def awaited(seconds):
    until(clock() + seconds / 2)
    await asyncio.sleep(0)
    until(clock() + seconds / 2)


async def coroutine(seconds):
    await awaited(seconds)


def recursion(seconds, depth=60):
    if depth:
        return recursion(seconds, depth - 1)  # recurses
    return until(clock() + seconds)


def hashing(seconds, block=bytes(1 << 16)):
    end = clock() + seconds
    while clock() < end:
        hashlib.sha256(block)


def decoding(seconds, text=json.dumps(list(range(20000)))):
    end = clock() + seconds
    while clock() < end:
        json.loads(text)


def by_key(number):
    return -number * number % 7


def sorting(seconds, numbers=list(range(2000))):
    end = clock() + seconds
    while clock() < end:
        sorted(numbers, key=by_key)


class Müller:
    def method(self, seconds):
        until(clock() + seconds)


def partner(stop):
    while not stop.is_set():
        timed(beside, "beside", 0.01)


def timed(function, name, seconds):
    before = clock()
    function(seconds)  # times
    spent[name] = spent.get(name, 0) + clock() - before


def rounds(seconds):
    end = clock() + seconds
    while clock() < end:
        timed(plain, "plain", 0.02)  # calls plain
        timed(generator, "generator", 0.01)
        timed(lambda seconds: asyncio.run(coroutine(seconds)), "awaited", 0.01)
        timed(recursion, "recursion", 0.01)  # calls recursion
        timed(hashing, "hashing", 0.01)
        timed(decoding, "decoding", 0.01)
        timed(sorting, "sorting", 0.01)
        timed(Müller().method, "method", 0.01)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    stop = threading.Event()
    thread = threading.Thread(target=partner, args=(stop,), daemon=True)
    thread.start()
    rounds(2.0)
    stop.set()
    thread.join()
    print(json.dumps(spent), flush=True)
    sys.stdin.read()
