"""Work of many shapes for the walks over a stopped process: says `ready`, then runs for ever."""
import asyncio
import functools
import json
import re
import sys
import threading
import time


def spin(rounds):
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


def countdown(left):
    while left > 0:
        spin(20)
        yield left
        left -= 1


def nested(levels):
    if levels > 0:
        yield from nested(levels - 1)
    yield spin(10)


class Größe:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return spin(3) < 10**9 and self.value < other.value

    @functools.lru_cache(maxsize=4)
    def cached(self, number):
        return recurse(number % 40)

    @property
    def half(self):
        return [spin(5) for _ in range(3)]


def recurse(depth):
    return spin(30) if depth == 0 else recurse(depth - 1) + 1


async def step(number):
    spin(50)
    if number % 3 == 0:
        await asyncio.sleep(0)
    return number


async def outer(number):
    return await step(number) + await step(number + 1)


async def tasks():
    while True:
        await asyncio.gather(*(outer(number) for number in range(5)))


def generators():
    while True:
        list(countdown(5))
        list(nested(6))


def callbacks():
    while True:
        sorted((Größe(number * 7 % 13) for number in range(20)), key=lambda it: it.value + spin(4))
        sorted([Größe(number * 7 % 13) for number in range(20)])
        re.sub("a", lambda match: str(spin(6)), "banana")
        json.loads(json.dumps({"a": [1, 2, {"b": spin(5)}]}), object_hook=lambda it: dict(it, c=spin(2)))
        Größe(4).cached(spin(9))
        Größe(4).half


def deep():
    sys.setrecursionlimit(5000)
    while True:
        recurse(300)
        recurse(3)


def made():
    while True:
        place = {}
        exec(compile("def made(spin):\n    return [spin(9) for _ in '12']\n", "<made>", "exec"), place)
        place["made"](spin)


def failing():
    while True:
        try:
            try:
                int("x" + str(spin(8)))
            except ValueError as error:
                raise KeyError(spin(4)) from error
        except KeyError:
            spin(3)


def waiting():
    while True:
        time.sleep(0.001)


if __name__ == "__main__":
    work = [generators, callbacks, deep, made, failing, waiting, lambda: asyncio.run(tasks())]
    for function in work:
        threading.Thread(target=function, daemon=True).start()
    sys.setswitchinterval(0.0002)
    print("ready", flush=True)
    while True:
        spin(1000)
